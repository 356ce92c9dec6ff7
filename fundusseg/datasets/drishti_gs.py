"""DRISHTI-GS1: 101 photographs with the disc and cup of four experts."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Image, Record, Subset

LEVELS = np.array([0, 64, 128, 191, 255], dtype=np.int16)
"""Value of a soft map where 0, 1, 2, 3 and 4 experts agree."""

TOLERANCE = 8
"""Grey levels that a value may lie off: a re-saved map rounds otherwise, a resampled one blends levels."""

_FILES = {DISC: "ODsegSoftmap", CUP: "cupsegSoftmap"}


class DrishtiGS(FundusDataset):
    """DRISHTI-GS1.

    - Images: 101 photographs, PNG, about 2047 x 1760, 30 degree field of view centred on the disc; Aravind
      eye hospital, Madurai.
    - Masks: soft maps of disc and cup, 0, 64, 128, 191, 255 where 0 to 4 of the four experts agree. They
      become four nested annotations ``agree1`` to ``agree4``, "at least k experts agree": their mean is the
      share of the experts, their majority is "two or more agree". Who drew what is not published. A published
      description reports maps of 2045 x 1752 beside photographs of 2047 x 1760: such a map is refused, for where it
      lies on the photograph is not told.
    - Ratios: the experts' own vertical cup/disc ratios in ``*_cdrValues.txt``; see ``cdr_values``.
    - Diagnosis: from the folder GLAUCOMA or NORMAL, where the package has these. Eye and patient: not told.
    - Split: 50 training, 51 test.

    Raises:
        DatasetError: On reading, a photograph without its soft maps or a map without its photograph.
    """

    source = "drishti_gs"
    nested_experts = True
    regions = (DISC, CUP)
    url = "http://cvit.iiit.ac.in/projects/mip/drishti-gs/mip-dataset2/Home.php"
    published: ClassVar = {"train": 50, "test": 51}
    licence = "research use; cite the paper"
    citation = (
        "Sivaswamy, Krishnadas, Joshi, Jain, Tabish: Drishti-GS: retinal image dataset for optic nerve head "
        "segmentation, ISBI 2014, doi 10.1109/ISBI.2014.6867807"
    )
    layout = (
        "{Training,Test}/Images/[GLAUCOMA|NORMAL/]drishtiGS_NNN.png and "
        "{Training/GT,Test/Test_GT}/drishtiGS_NNN/SoftMap/drishtiGS_NNN_{ODsegSoftmap,cupsegSoftmap}.png"
    )

    def index(self) -> list[Record]:
        """Pair photographs and soft maps by number."""
        images = self.match(r"(training|test)/images/(?:(glaucoma|normal)/)?drishtiGS_(\d+)\.png")
        pictures = keyed("photograph", ((hit[3], path) for path, hit in images.items()))
        truth = r"(?:training|test)/(?:training_|test_)?gt/drishtiGS_(\d+)"
        maps = {
            region: (f"{region} soft map", self.find(rf"{truth}/softmap/drishtiGS_\1_{name}\.png"))
            for region, name in _FILES.items()
        }
        subsets: dict[str, Subset] = {
            hit[3]: "train" if hit[1].lower() == "training" else "test" for hit in images.values()
        }
        files = self.pair(pictures, maps, subsets.__getitem__)
        for number, path in self.find(rf"{truth}/drishtiGS_\1_cdrValues\.txt"):
            if number in files:
                files[number]["cdr"] = path
        return [
            self._record(hit[3], path, subsets[hit[3]], hit[2], files[hit[3]])
            for path, hit in images.items()
            if hit[3] in files
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the two soft maps, four annotations each."""
        return [
            Annotation(region, f"agree{least}", count >= least)
            for region in self.regions
            for count in [_agreeing(record.files[region])]
            for least in (1, 2, 3, 4)
        ]

    def cdr_values(self, record: Record) -> tuple[float, ...]:
        """The four experts' own vertical cup/disc ratios of one photograph.

        Raises:
            DatasetError: The file is missing or does not hold four ratios from 0 to 1.
        """
        path = record.files.get("cdr")
        words = path.read_text(encoding="utf-8-sig", errors="replace").split() if path else []
        try:
            values = tuple(float(word) for word in words)
        except ValueError:
            values = ()
        if len(values) != 4 or not all(0.0 < value < 1.0 for value in values):
            raise DatasetError(
                f"{' '.join(words)[:60]!r} in {path}" if path else f"no cdrValues.txt for {record.image}",
                "the four experts' vertical cup/disc ratios, each between 0 and 1",
                "restore the file from the dataset's package",
            )
        return values

    def _record(self, number: str, image: Path, subset: Subset, folder: str | None, files: dict[str, Path]) -> Record:
        name = f"drishtiGS_{number}"
        diagnoses: dict[str, Diagnosis] = {"glaucoma": "glaucoma", "normal": "healthy"}
        diagnosis = diagnoses[folder.lower()] if folder else None
        return Record(self.source, name, image, name, self.regions, diagnosis=diagnosis, subset=subset, files=files)


def _agreeing(path: Path) -> Image:
    """How many experts agree at each pixel: H x W uint8, 0..4."""
    values = np.arange(256, dtype=np.int16)
    distance = np.abs(values[:, None] - LEVELS)
    table = np.where(distance.min(axis=1) <= TOLERANCE, distance.argmin(axis=1), 255).astype(np.uint8)
    codes = read_mask(path)
    count: Image = table[codes]
    if count.max() > 4:
        raise DatasetError(
            f"the value {codes[count > 4][0]} in {path}",
            f"a soft map of the values {', '.join(map(str, LEVELS))}",
            "restore the map from the dataset's package; resize a soft map with nearest interpolation only",
        )
    return count
