"""ORIGA: 650 photographs with disc and cup."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fundusseg.datasets._label_codes import nested
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._tables import line_of, meaning, read_csv
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record, Subset

_DIAGNOSES: dict[str, Diagnosis] = {"0": "healthy", "1": "glaucoma"}
_SUBSETS: dict[str, Subset] = {"A": "train", "B": "test"}
_EYES: dict[str, Eye] = {"OD": "OD", "OS": "OS"}


class Origa(FundusDataset):
    """ORIGA(-light).

    - Images: 650 photographs, JPEG, about 2048 pixels high; Singapore.
    - Masks: one for both regions, 0 background, 1 rim, 2 cup, as PNG; where there is no PNG, the original MATLAB
      files with the matrix ``mask`` of the same codes.
    - Experts: 1; trained graders of the Singapore Eye Research Institute.
    - Table: ``OrigaList.csv`` gives eye, diagnosis (168 glaucoma, 482 not, which counts as healthy) and the set. It may
      be missing; then these are not known. Its ExpCDR is not read.
    - Patients: not told, so each photograph counts as a patient of its own.
    - Split: set A and set B of the table, 325 each; A is taken for training and B for test.

    Raises:
        DatasetError: On reading, a photograph without its mask, a mask without its photograph, or a table that does
            not fit the photographs.
    """

    source = "origa"
    regions = (DISC, CUP)
    url = "https://doi.org/10.1109/IEMBS.2010.5626137"
    published: ClassVar = {"train": 325, "test": 325}
    licence = "research use; cite the paper"
    citation = (
        "Zhang, Yin, Liu, Wong, Tan, Lee, Cheng, Wong: ORIGA-light: an online retinal fundus image database for "
        "glaucoma analysis and research, IEEE Engineering in Medicine and Biology 2010, "
        "doi 10.1109/IEMBS.2010.5626137"
    )
    layout = "Images/NNN.jpg, Masks/NNN.png or Semi-automatic-annotations/NNN.mat, and OrigaList.csv"

    def index(self) -> list[Record]:
        """Pair photographs and masks by number; the table says the rest."""
        pictures = keyed("photograph", self.find(r"images/(\d+)\.(?:jpe?g|png)"))
        masks = self.find(r"masks/(\d+)\.png") or self.find(r"(?:semi-automatic-annotations|manual marking)/(\d+)\.mat")
        files = self.pair(pictures, {"mask": ("mask", masks)})
        tables = list(self.match(r"OrigaList\.csv"))
        table = tables[0] if tables else None
        rows = read_csv(table, "Filename", ("Eye", "Set", "Glaucoma")) if table else {}
        return [self._record(name, picture, files[name], rows, table) for name, picture in pictures.items()]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask."""
        path = record.files["mask"]
        codes = _read_matrix(path) if path.suffix.lower() == ".mat" else read_mask(path)
        return nested(codes, (0, 1, 2), path)

    def _record(
        self, name: str, image: Path, files: dict[str, Path], rows: dict[str, dict[str, str]], table: Path | None
    ) -> Record:
        if table is None:
            return Record(self.source, name, image, name, self.regions, files=files)
        row = line_of(name, rows, image, table)
        return Record(
            self.source,
            name,
            image,
            name,
            self.regions,
            eye=meaning(row["Eye"], _EYES, f"Eye of {name}", table),
            diagnosis=meaning(row["Glaucoma"], _DIAGNOSES, f"Glaucoma of {name}", table),
            subset=meaning(row["Set"], _SUBSETS, f"Set of {name}", table),
            files=files,
        )


def _read_matrix(path: Path) -> npt.NDArray[np.generic]:
    """The matrix ``mask`` of a MATLAB file: H x W of codes."""
    # Only this format needs it.
    from scipy.io import loadmat

    try:
        matrix = loadmat(path)["mask"]
    except Exception as error:  # scipy raises a dozen kinds for a broken file
        reason = "no matrix mask" if isinstance(error, KeyError) else type(error).__name__
        raise DatasetError(
            f"a MATLAB file that cannot be read ({reason}): {path}",
            "a MATLAB file with the matrix mask",
            "copy the file again from its source, or remove the photograph and its mask",
        ) from error
    return np.asarray(matrix)
