"""The user's own photographs: a folder of images and a folder of masks."""

import logging
import re
from collections.abc import Sequence
from csv import DictReader
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from fundusseg.datasets.base import FundusDataset, keyed, pair
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.images import SUFFIXES, read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record, Region, Subset

CODES: dict[str, tuple[int, int, int]] = {
    "0/1/2": (0, 1, 2),
    "0/128/255": (0, 128, 255),
    "255/128/0": (255, 128, 0),
}
"""Values of background, rim (disc without cup) and cup in one mask for both regions."""

BINARY = "binary"
"""A mask for each region, or the mask of the only region: 0 outside, 1 or 255 inside."""

INSPECTED = 8
"""Masks that are read to find the code."""

_SUFFIX = "(?:" + "|".join(re.escape(suffix) for suffix in sorted(SUFFIXES)) + ")"
_WHOLE = "all"

log = logging.getLogger(__name__)


class Folder(FundusDataset):
    """A folder of one's own: ``images/NAME.jpg`` and masks of the same names.

    - Images: JPEG, PNG, TIFF or BMP, directly in the folder ``images``.
    - Masks: ``masks/NAME.png`` for all regions together, with the values 0/1/2, 0/128/255 or 255/128/0 (as
      in REFUGE) for background, rim and cup. Or a binary file for each region: ``masks/disc/NAME.png`` or
      ``masks/NAME_disc.png``. A single region may also stand in a binary ``masks/NAME.png``. Files of
      regions that ``regions`` does not name are passed over.
    - Experts: 1.
    - Table: a CSV file with the column ``image`` (name, with or without its ending) and any of ``patient``,
      ``eye`` (OD, OS), ``diagnosis`` (glaucoma, suspect, healthy) and ``split`` (train, val, test). An empty
      cell means not known. Without a patient, each picture counts as a patient of its own.

    With ``code="auto"`` a few masks are read: their values and the value along their borders, which is
    background, must fit one code alone. What was found stands in ``code`` and in the log.

    Args:
        root: The folder that holds the two folders, or its parent.
        images: Name of the images' folder.
        masks: Name of the masks' folder.
        name: Name of the source in splits, metrics and tables.
        code: ``auto``, ``0/1/2``, ``0/128/255``, ``255/128/0`` or ``binary``.
        regions: Regions that the masks label.
        csv: Path of the table below the root.

    Raises:
        ConfigurationError: The code is unknown, or does not fit the regions.
        DatasetError: On reading, a picture or mask without its counterpart, a code that cannot be told, or a
            table that does not fit the pictures.
    """

    licence = "the user's own"
    citation = "none"
    layout = "images/NAME.jpg and masks/NAME.png, or masks/REGION/NAME.png, or masks/NAME_REGION.png"

    def __init__(
        self,
        root: str | Path,
        images: str = "images",
        masks: str = "masks",
        name: str = "folder",
        code: str = "auto",
        regions: Sequence[Region] = (DISC, CUP),
        csv: str | Path | None = None,
    ) -> None:
        super().__init__(root)
        known = ["auto", *CODES, BINARY]
        if code not in known:
            raise ConfigurationError(f"code={code!r} for Folder", f"one of {', '.join(known)}", "choose one of these")
        if not regions or len(set(regions)) < len(regions) or (code in CODES and not set(regions) <= {DISC, CUP}):
            raise ConfigurationError(
                f"regions={list(regions)} for Folder with code={code!r}",
                f"different regions; a code of three values speaks of {DISC} and {CUP} alone",
                f"change the regions, or give code={BINARY!r}",
            )
        self.images, self.masks, self.asked, self.csv = images, masks, code, csv
        self.source, self.regions = name, tuple(regions)

    @cached_property
    def code(self) -> str:
        """The masks' code, found on first use when it was to be found."""
        if self.asked != "auto":
            return self.asked
        files = [file for found in self._mask_files.values() for file in found.values()]
        inspected = files[:: max(1, len(files) // INSPECTED)][:INSPECTED]
        apart = any(_WHOLE not in found for found in self._mask_files.values())
        code = BINARY if apart else _find_code(inspected, self.regions)
        log.info("%s: masks below %s have the code %s", self.source, self.root, code)
        return code

    def index(self) -> list[Record]:
        """Pair images and masks by name; of the pixels, a few masks are read when the code is to be found."""
        rows = self._rows()
        files = self._mask_files
        code = self.code if files else self.asked
        if code in CODES and any(_WHOLE not in found for found in files.values()):
            raise ConfigurationError(
                f"code={code!r} for a mask file for each region",
                f"code={BINARY!r}",
                "give that code, or code=auto",
            )
        records = []
        for stem, image in self._pictures.items():
            row = rows.get(stem, {})
            records.append(
                Record(
                    self.source,
                    stem,
                    image,
                    row.get("patient") or stem,
                    self.regions,
                    eye=row.get("eye"),
                    diagnosis=row.get("diagnosis"),
                    subset=row.get("split"),
                    files=files[stem],
                )
            )
        return records

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read one picture's masks."""
        annotations = []
        for region in self.regions:
            path = record.files.get(region) or record.files[_WHOLE]
            codes = read_mask(path)
            annotations.append(Annotation(region, "expert1", _decode(codes, region, self.code, path)))
        return annotations

    @cached_property
    def _pictures(self) -> dict[str, Path]:
        """Picture by name."""
        hits = self.match(rf"{re.escape(self.images)}/([^/]+){_SUFFIX}")
        return keyed("picture", ((hit[1], path) for path, hit in hits.items()))

    @cached_property
    def _mask_files(self) -> dict[str, dict[str, Path]]:
        """Mask files of each picture: one for all regions, or one for each."""
        whole: list[tuple[str, Path]] = []
        apart: dict[Region, list[tuple[str, Path]]] = {region: [] for region in self.regions}
        for path, hit in self.match(rf"{re.escape(self.masks)}/(?:([^/]+)/)?([^/]+){_SUFFIX}").items():
            folder, stem = hit[1], hit[2]
            base, _, ending = stem.rpartition("_")
            if folder is None and stem not in self._pictures and (base in self._pictures or ending in apart):
                folder, stem = ending, base
            if folder is None:
                whole.append((stem, path))
            elif folder in apart:
                apart[folder].append((stem, path))
        single = [path for found in apart.values() for _, path in found]
        if whole and single:
            raise DatasetError(
                f"masks for all regions together ({whole[0][1]}) and for one region ({single[0]})",
                self.layout,
                "keep one of the two kinds",
            )
        if single:
            kinds = {region: keyed(f"{region} mask", found) for region, found in apart.items()}
        else:
            kinds = {_WHOLE: keyed("mask", whole)}
        files: dict[str, dict[str, Path]] = {stem: {} for stem in self._pictures}
        for kind, found in kinds.items():
            what = "mask" if kind == _WHOLE else f"{kind} mask"
            for stem, _, path in pair(what, self._pictures, found):
                files[stem][kind] = path
        return files

    def _rows(self) -> dict[str, dict[str, Any]]:
        """The table's checked rows by picture."""
        if self.csv is None:
            return {}
        path = self.root / self.csv
        if not path.is_file():
            raise DatasetError(f"no table at {path}", "a CSV file with a column image", "check the setting csv")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = DictReader(file)
            if "image" not in (reader.fieldnames or ()):
                raise DatasetError(
                    f"the columns {', '.join(reader.fieldnames or ()) or 'none'} in {path}",
                    "a column image, and any of patient, eye, diagnosis, split",
                    "name the columns in the table's first line",
                )
            rows = [(reader.line_num, row) for row in reader]
        stems = {picture.name: stem for stem, picture in self._pictures.items()}
        table: dict[str, dict[str, Any]] = {}
        for line, row in rows:
            named = (row["image"] or "").strip()
            stem = stems.get(named, named)
            if stem not in self._pictures or stem in table:
                raise DatasetError(
                    f"{named!r} in line {line} of {path}",
                    "the name of a picture, each on one line",
                    "correct the line, or take it out",
                )
            table[stem] = _checked(row, line, path)
        missing = sorted(set(self._pictures) - set(table))
        if missing:
            raise DatasetError(
                f"no line for {self._pictures[missing[0]]} in {path}",
                "a line for each picture",
                "add the line",
            )
        return table


def _checked(row: dict[str, str], line: int, path: Path) -> dict[str, Any]:
    """A table row's values, None where a cell is empty."""
    allowed = {"eye": get_args(Eye), "diagnosis": get_args(Diagnosis), "split": get_args(Subset)}
    values: dict[str, Any] = {"patient": (row.get("patient") or "").strip() or None}
    for column, names in allowed.items():
        value = (row.get(column) or "").strip()
        if value and value not in names:
            raise DatasetError(
                f"{value!r} as {column} in line {line} of {path}",
                f"{', '.join(names)}, or an empty cell",
                "correct the table",
            )
        values[column] = value or None
    return values


def _find_code(files: Sequence[Path], regions: Sequence[Region]) -> str:
    """The one code that fits the values of these masks and the background along their borders.

    Raises:
        DatasetError: No code fits, or the masks do not tell which.
    """
    masks = [read_mask(file) for file in files]
    values = {int(value) for mask in masks for value in np.unique(mask)}
    border = {int(value) for mask in masks for edge in (mask[[0, -1]], mask[:, [0, -1]].T) for value in np.unique(edge)}
    fitting = [code for code, table in CODES.items() if values == set(table) and border == {table[0]}]
    if fitting and set(regions) <= {DISC, CUP}:
        return fitting[0]
    if len(regions) == 1 and values in ({0, 1}, {0, 255}) and border == {0}:
        return BINARY
    shown = ", ".join(map(str, sorted(values)[:8])) + (", ..." if len(values) > 8 else "")
    raise DatasetError(
        f"the values {shown}, and {', '.join(map(str, sorted(border)[:8]))} along the border, in "
        f"{len(files)} masks such as {files[0]}, which do not tell the code for {' and '.join(regions)}",
        f"all three values of {', '.join(CODES)} with background alone along the border, or a binary mask "
        "for each region",
        "give the code, for example code=0/1/2, or correct the masks",
    )


def _decode(codes: npt.NDArray[np.uint8], region: Region, code: str, path: Path) -> npt.NDArray[np.bool_]:
    """One region's mask; every value must be the code's."""
    values = np.unique(codes)
    if code == BINARY:
        known = [0, 1] if values.max(initial=0) <= 1 else [0, 255]
        inside = [known[1]]
    else:
        known = list(CODES[code])
        inside = known[2:] if region == CUP else known[1:]
    unknown = np.setdiff1d(values, known)
    if unknown.size:
        raise DatasetError(
            f"the value {unknown[0]} in {path}",
            f"the values {', '.join(map(str, known))} of the code {code}",
            "correct the mask; save it as PNG (JPEG changes values) and never interpolate it",
        )
    return np.isin(codes, inside)
