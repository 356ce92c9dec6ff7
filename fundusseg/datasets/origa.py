"""ORIGA: 650 photographs with disc and cup."""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fundusseg.datasets._label_codes import code_of, nested
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._tables import line_of, meaning, read_csv, read_sheet
from fundusseg.datasets.base import FundusDataset, mask_size_error
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record, Subset

_DIAGNOSES: dict[str, Diagnosis] = {"0": "healthy", "1": "glaucoma"}
_SUBSETS: dict[str, Subset] = {"A": "train", "B": "test"}
AGREE = 0.001
"""Difference of a mask's vertical ratio from the table's up to which both are the same number."""

WRONG = 0.05
"""Difference from which the mask cannot be the one that the table speaks of; a reduced mask differs by less."""

_MATRICES = r"(?:semi-automatic-annotations[^/]*|manual marking)"
_CLASSIFIED = r"(?:training|testing)/(?:normal|glaucoma)/[^/]+\.jpe?g"

_EYES: dict[str, Eye] = {"OD": "OD", "OS": "OS"}


class Origa(FundusDataset):
    """ORIGA(-light).

    - Images: 650 photographs, JPEG, about 2048 pixels high; Singapore.
    - Masks: one for both regions, 0 background, 1 rim, 2 cup, as PNG (copies also have 0/128/255 and 255/128/0: the
      border tells); where there is no PNG, the original MATLAB files with the matrix ``mask`` of the same codes.
    - Experts: 1; trained graders of the Singapore Eye Research Institute.
    - Table: ``OrigaList.csv`` gives eye, diagnosis (168 glaucoma, 482 not, which counts as healthy) and the set. It may
      be missing; then these are not known. Its ExpCDR is the vertical ratio of the published masks: a mask that is far
      off it is refused, small differences are counted and said.
    - Patients: not told, so each photograph counts as a patient of its own.
    - Split: set A and set B of the table, 325 each; A is taken for training and B for test.

    Raises:
        DatasetError: On reading, a photograph without its mask, a mask without its photograph, or a table that does
            not fit the photographs.
    """

    source = "origa"
    regions = (DISC, CUP)
    url = "https://doi.org/10.1109/IEMBS.2010.5626137"
    signs = r"origa"
    published: ClassVar = {"train": 325, "test": 325}
    licence = "research use; cite the paper"
    citation = (
        "Zhang, Yin, Liu, Wong, Tan, Lee, Cheng, Wong: ORIGA-light: an online retinal fundus image database for "
        "glaucoma analysis and research, IEEE Engineering in Medicine and Biology 2010, "
        "doi 10.1109/IEMBS.2010.5626137"
    )
    known: ClassVar = {"pictures among the matrices": rf"{_MATRICES}/\d+\.tiff?"}
    layout = "Images/NNN.jpg, Masks/NNN.png or Semi-automatic-annotations/NNN.mat, and OrigaList.csv"

    def index(self) -> list[Record]:
        """Pair photographs and masks by number; the table says the rest."""
        pictures = keyed("photograph", self.find(r"images/(\d+)\.(?:jpe?g|png)"))
        masks = self.find(r"masks/(\d+)\.png") or self.find(rf"{_MATRICES}/(\d+)\.mat")
        if (pictures and not masks) or self.match(_CLASSIFIED):
            self._refuse_without_masks(pictures)
        files = self.pair(pictures, {"mask": ("mask", masks)})
        tables = list(self.match(r"OrigaList\.csv"))
        table = tables[0] if tables else None
        rows = read_csv(table, "Filename", ("Eye", "Set", "Glaucoma")) if table else {}
        told = {} if table else self._labels()
        return [self._record(name, picture, files[name], rows, table, told) for name, picture in pictures.items()]

    def form(self) -> str:
        """PNG or MATLAB masks."""
        return "PNG masks" if self.records[0].files["mask"].suffix.lower() == ".png" else "MATLAB masks"

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask."""
        path = record.files["mask"]
        codes = _read_matrix(path) if path.suffix.lower() == ".mat" else read_mask(path)
        if codes.shape != shape:
            raise mask_size_error(record, DISC, codes.shape, shape)
        annotations = nested(codes, code_of(codes, path), path)
        self._compare_ratio(record, *(annotation.mask for annotation in annotations))
        return annotations

    @cached_property
    def ratios(self) -> dict[str, float]:
        """ExpCDR by picture: the vertical cup/disc ratio of the published mask; empty without the table."""
        tables = list(self.match(r"OrigaList\.csv"))
        rows = read_csv(tables[0], "Filename") if tables else {}
        return {name: float(row["ExpCDR"]) for name, row in rows.items() if _is_number(row.get("ExpCDR", ""))}

    @cached_property
    def differing(self) -> dict[str, float]:
        """Pictures read so far whose mask has another ratio than the table says, and by how much."""
        return {}

    def remark(self) -> str:
        """Where masks and table do not agree."""
        if not self.differing:
            return ""
        worst = max(self.differing, key=lambda name: abs(self.differing[name]))
        return (
            f"vertical ratios of {len(self.differing)} masks more than {AGREE} off the table's ExpCDR, "
            f"the most {self.differing[worst]:+.3f} in {worst}"
        )

    def _compare_ratio(self, record: Record, disc: npt.NDArray[np.bool_], cup: npt.NDArray[np.bool_]) -> None:
        """Check the decoding: the table has the ratio of the masks as they were published."""
        expected = self.ratios.get(record.name)
        # An empty cup has an error of its own, in `FundusDataset.load`.
        if expected is None or not cup.any():
            return
        found = _rows(cup) / _rows(disc)
        if abs(found - expected) > WRONG:
            raise DatasetError(
                f"a vertical cup/disc ratio of {found:.3f} in {record.files['mask']}",
                f"{expected:.3f}, as ExpCDR of OrigaList.csv says",
                "restore the mask from the dataset's package: its codes were changed, or it is of another photograph",
            )
        if abs(found - expected) > AGREE:
            self.differing[record.name] = found - expected

    def _labels(self) -> dict[str, Diagnosis]:
        """Diagnosis by picture, of other copies' tables: a line's first cell names it, its last says 0 or 1."""
        lines = [row for path in self.match(r"binary_labels\.xlsx") for row in read_sheet(path)]
        for path in self.match(r"glaucoma\.csv"):
            lines += [row.split(",") for row in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()]
        # By place: copies differ in their headings, whose first cell is no number of three digits.
        named = [(re.fullmatch(r"(\d{3})(?:\.\w+)?", row[0].strip()), row[-1].strip()) for row in lines if row]
        return {hit[1]: _DIAGNOSES[value] for hit, value in named if hit and value in _DIAGNOSES}

    def _refuse_without_masks(self, pictures: Mapping[str, Path]) -> None:
        """Tell the form for classification, which has photographs alone, from the one with masks."""
        shown = next(iter([*pictures.values(), *self.match(_CLASSIFIED)]))
        if not pictures or self.match(r"glaucoma\.csv|" + _CLASSIFIED):
            raise DatasetError(
                f"a copy of ORIGA for classification, without any mask: {shown}",
                self.layout,
                "take a copy with masks, in Masks or Semi-automatic-annotations",
            )

    def _record(
        self,
        name: str,
        image: Path,
        files: dict[str, Path],
        rows: dict[str, dict[str, str]],
        table: Path | None,
        told: dict[str, Diagnosis],
    ) -> Record:
        if table is None:
            return Record(self.source, name, image, name, self.regions, diagnosis=told.get(name), files=files)
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


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"\d*\.?\d+", cell))


def _rows(mask: npt.NDArray[np.bool_]) -> int:
    """Rows from the highest to the lowest marked pixel, both included."""
    marked = np.flatnonzero(mask.any(axis=1))
    return int(marked[-1] - marked[0] + 1)


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
