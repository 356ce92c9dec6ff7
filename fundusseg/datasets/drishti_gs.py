"""DRISHTI-GS1: 101 photographs with the disc and cup of four experts."""

import re
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._tables import column, meaning, read_sheet
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Image, Record, Subset

LEVELS = np.array([0, 64, 128, 191, 255], dtype=np.int16)
"""Value of a soft map where 0, 1, 2, 3 and 4 experts agree."""

TOLERANCE = 8
"""Grey levels that a value may lie off: a re-saved map rounds otherwise, a resampled one blends levels."""

_FOLDERS: dict[str, Diagnosis] = {"glaucoma": "glaucoma", "normal": "healthy"}
_TOTALS: dict[str, Diagnosis] = {"glaucomatous": "glaucoma", "normal": "healthy"}
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
    - Diagnosis and patient: from ``Drishti-GS1_diagnosis.xlsx``, 68 patients; without it the diagnosis is that of the
      folder GLAUCOMA or NORMAL, where there are these, and each photograph counts as a patient of its own. Eye: not
      told.
    - Split: 50 training, 51 test. **Patients stand on both sides of it**: where the sheet tells so, their training
      photographs are left out, unless ``published_split`` is false.

    Args:
        root: The folder that the public package unpacks to, or its parent.
        published_split: Take the publisher's split; false leaves the split to be drawn by patient, of all photographs.

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
    known: ClassVar = {"soft maps of pictures that are left out": r"drishtiGS_\d+_(?:OD|cup)segSoftmap\.png"}
    layout = (
        "{Training,Test}/Images/[GLAUCOMA|NORMAL/]drishtiGS_NNN.png and "
        "{Training/GT,Test/Test_GT}/drishtiGS_NNN/SoftMap/drishtiGS_NNN_{ODsegSoftmap,cupsegSoftmap}.png; "
        "Drishti-GS1_diagnosis.xlsx"
    )

    def __init__(self, root: str | Path, published_split: bool = True) -> None:
        super().__init__(root)
        self.published_split = published_split

    def index(self) -> list[Record]:
        """Pair photographs and soft maps by number; the sheet says patient and diagnosis."""
        images = self.match(r"(?:(training|test)/)?images/(?:(glaucoma|normal)/)?drishtiGS_(\d+)\.(?:png|jpe?g)")
        pictures = keyed("photograph", ((hit[3], path) for path, hit in images.items()))
        truth = r"(?:(?:training|test)/)?((?:training_|test_)?gt)/drishtiGS_(\d+)"
        found = {
            region: self.match(rf"{truth}/softmap/drishtiGS_\2_{name}\.png").items() for region, name in _FILES.items()
        }
        maps = {
            region: (f"{region} soft map", [(hit[2], path) for path, hit in hits]) for region, hits in found.items()
        }
        # A copy without the folders Training and Test has the part in the name of the truth's folder alone.
        tested = {hit[2] for hits in found.values() for _, hit in hits if hit[1].lower().startswith("test")}
        parts: dict[str, Subset | None] = {hit[3]: _part(hit[1], hit[3] in tested) for hit in images.values()}
        files = self.pair(pictures, maps, lambda number: parts[number] or "")
        for path, hit in self.match(rf"{truth}/drishtiGS_\2_cdrValues\.txt").items():
            if hit[2] in files:
                files[hit[2]]["cdr"] = path
        records = [
            self._record(hit[3], path, parts[hit[3]], hit[2], files[hit[3]])
            for path, hit in images.items()
            if hit[3] in files
        ]
        return self._apart(records)

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

    @cached_property
    def sheet(self) -> dict[str, tuple[str, Diagnosis]]:
        """Patient and diagnosis by number, of the package's sheet; empty where there is none.

        Three lines of heading; cells name the photograph ``drishtiGS_001'``, with an apostrophe.
        """
        tables = list(self.match(r"Drishti-GS1_diagnosis\.xlsx"))
        if not tables:
            return {}
        rows = read_sheet(tables[0])
        name, patient, total = (column(rows, heading, tables[0]) for heading in ("DrishtiGSFile", "PatientID", "Total"))
        told = {}
        for row in rows:
            if hit := re.fullmatch(r"drishtiGS_(\d+)\W*", row[name], re.IGNORECASE):
                diagnosis = meaning(row[total].lower(), _TOTALS, f"Total of {row[name]}", tables[0])
                told[hit[1]] = (re.sub(r"\.0$", "", row[patient]), diagnosis)
        return told

    def _record(
        self, number: str, image: Path, part: Subset | None, folder: str | None, files: dict[str, Path]
    ) -> Record:
        name = f"drishtiGS_{number}"
        patient, diagnosis = self.sheet.get(number, (name, _FOLDERS[folder.lower()] if folder else None))
        subset = part if self.published_split else None
        return Record(self.source, name, image, patient, self.regions, diagnosis=diagnosis, subset=subset, files=files)

    def _apart(self, records: list[Record]) -> list[Record]:
        """Leave out the training photographs of patients who are tested."""
        tested = {record.patient for record in records if record.subset == "test"}
        both = [record for record in records if record.subset == "train" and record.patient in tested]
        self.leave_out("training pictures of patients who are tested", (record.image for record in both))
        return [record for record in records if record not in both]


def _part(folder: str | None, tested: bool) -> Subset | None:
    """The publisher's part: by the folder Training or Test, or by that of the truth."""
    if folder is None:
        return "test" if tested else None
    return "train" if folder.lower() == "training" else "test"


def _agreeing(path: Path) -> Image:
    """How many experts agree at each pixel: H x W uint8, 0..4."""
    values = np.arange(256, dtype=np.int16)
    distance = np.abs(values[:, None] - LEVELS)
    # From 256 x 5 distances one table of 256 counts: each pixel is looked up. 255 is no count and refused below.
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
