"""The user's own photographs: a folder of images and a folder of masks."""

import logging
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np

from fundusseg.datasets._label_codes import nested, read_binary
from fundusseg.datasets._listing import LEFTOVERS, some
from fundusseg.datasets._pairing import keyed, pair
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets._tables import line_of, meaning, read_csv, table_rows
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError, DatasetError, ImageError
from fundusseg.imaging.csv_files import EYES, PATH_COLUMNS
from fundusseg.imaging.image_files import SUFFIXES, read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Record, Region, Subset

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

_CELLS: dict[str, dict[str, str | None]] = {
    "eye": {**EYES, "": None},
    **{
        column: {**{value: value for value in get_args(values)}, "": None}
        for column, values in (("diagnosis", Diagnosis), ("split", Subset))
    },
}
"""Columns of the table and what their cells, in lower case, mean."""

_ALIASES: dict[Region, frozenset[str]] = {
    DISC: frozenset({"disk", "od", "opticdisc", "opticdisk"}),
    CUP: frozenset({"oc", "opticcup"}),
}
"""Other names of the regions' folders and endings, in lower case, without marks; OD is a right eye too: `_region`."""

_SUFFIX = "(?:" + "|".join(re.escape(suffix) for suffix in sorted(SUFFIXES)) + ")"
_WHOLE = "all"

log = logging.getLogger(__name__)


class Folder(FundusDataset):
    """A folder of one's own: ``images/NAME.jpg`` and masks of the same names.

    In a configuration, or pasted from ``python -m fundusseg.prepare --find``::

        data:
          datasets:
            - class_path: fundusseg.datasets.Folder
              init_args: {root: my_photographs, name: mine, csv: patients.csv}

    - Images: JPEG, PNG, TIFF or BMP, directly in the folder ``images``.
    - Masks: ``masks/NAME.png`` for all regions together, with the values 0/1/2, 0/128/255 or 255/128/0 (as
      in REFUGE) for background, rim and cup. Or a binary file for each region: ``masks/disc/NAME.png`` or
      ``masks/NAME_disc.png``, where OD, optic_disc, OC and optic_cup do as well, in any letter case. A single
      region may also stand in a binary ``masks/NAME.png``. Files of regions that ``regions`` does not name are
      passed over.
    - Experts: 1. Or several, each with masks of some or all photographs: ``masks/EXPERT/REGION/NAME.png``, binary,
      every region of ``regions``; the service's store exports its graders so.
    - Table: a CSV file with the column ``image`` or ``file`` (name, with or without folders and ending) and any of
      ``patient``, ``eye`` (OD, right or R, OS, left or L), ``diagnosis`` (glaucoma, suspect, healthy) and ``split``
      (train, val, test), in any letter case; comma, semicolon or tab; UTF-8, UTF-16 or Windows-1252. An empty
      cell means not known. Without a patient, each picture counts as a patient of its own.

    With ``code="auto"`` a few masks are read: their values and the value along their borders, which is
    background, must fit one code alone. What was found stands in ``code`` and in the log.

    Args:
        root: The folder that holds the two folders, or its parent.
        images: Name of the images' folder.
        masks: Name of the masks' folder; None for photographs without masks, which can be measured but not learnt from.
        name: Name of the source in splits, metrics and tables.
        code: ``auto``, ``0/1/2``, ``0/128/255``, ``255/128/0`` or ``binary``.
        regions: Regions that the masks label.
        csv: Path of the table below the root.
        empty_cup: A mask in which no cup is marked says that this eye has none; else it is refused as forgotten.

    Raises:
        ConfigurationError: The code is unknown, or does not fit the regions or the mask files.
        DatasetError: On reading, a picture or mask without its counterpart, a code that cannot be told, or a
            table that does not fit the pictures.
    """

    licence = "the user's own"
    citation = "none"
    strays = LEFTOVERS
    second_copies = False
    layout = (
        "images/NAME.jpg and masks/NAME.png, or masks/REGION/NAME.png, or masks/NAME_REGION.png, "
        "or masks/EXPERT/REGION/NAME.png"
    )

    def __init__(
        self,
        root: str | Path,
        images: str = "images",
        masks: str | None = "masks",
        name: str = "folder",
        code: str = "auto",
        regions: Sequence[Region] = (DISC, CUP),
        csv: str | Path | None = None,
        empty_cup: bool = False,
    ) -> None:
        super().__init__(root)
        check_choice("Folder", "code", code, ("auto", *CODES, BINARY))
        if not regions or len(set(regions)) < len(regions) or (code in CODES and not set(regions) <= {DISC, CUP}):
            raise ConfigurationError(
                f"regions={list(regions)} for Folder with code={code!r}",
                f"different regions; a code of three values speaks of {DISC} and {CUP} alone",
                f"change the regions, or give code={BINARY!r}",
            )
        self.images, self.masks, self.asked, self.csv = images, masks, code, csv
        self.source, self.regions = name, tuple(regions) if masks is not None else ()
        self.may_be_empty = frozenset({CUP} if empty_cup else ())

    @cached_property
    def code(self) -> str:
        """The masks' code, found on first use when it was to be found."""
        if self.asked != "auto":
            return self.asked
        files = [file for found in self._mask_files.values() for file in found.values()]
        # Spread over all of them: neighbours by name may be of one patient or one hand.
        inspected = files[:: max(1, len(files) // INSPECTED)][:INSPECTED]
        code = BINARY if self._apart else _find_code(inspected, self.regions)
        log.info("%s: masks below %s have the code %s", self.source, self.root, code)
        return code

    def index(self) -> list[Record]:
        """Pair images and masks by name; of the pixels, a few masks are read when the code is to be found."""
        rows = self._rows()
        files = self._mask_files
        if files and self.regions:
            self._check_code()
        return [
            Record(
                self.source,
                stem,
                image,
                rows[stem]["patient"] or stem,
                self.regions,
                eye=rows[stem]["eye"],
                diagnosis=rows[stem]["diagnosis"],
                subset=rows[stem]["split"],
                files=files[stem],
            )
            for stem, image in self._pictures.items()
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read one picture's masks."""
        if self._experts:
            return [
                Annotation(region, expert, read_binary(record.files[f"{expert}/{region}"]))
                for expert in dict.fromkeys(key.partition("/")[0] for key in record.files)
                for region in self.regions
            ]
        whole = record.files.get(_WHOLE)
        if whole and self.code in CODES:
            return nested(read_mask(whole), CODES[self.code], whole, self.regions)
        return [Annotation(region, "expert1", read_binary(whole or record.files[region])) for region in self.regions]

    def remark(self) -> str:
        """What the masks' values are taken for."""
        if not self.regions:
            return "photographs without masks"
        return f"{self._code_in_words()}{'; an empty cup is an eye without one' if self.may_be_empty else ''}"

    def _code_in_words(self) -> str:
        if self.code == BINARY:
            return "masks read as binary (0 outside, 1 or 255 inside)"
        return f"masks read as {self.code} (background, rim, cup)"

    @cached_property
    def _pictures(self) -> dict[str, Path]:
        """Picture by name."""
        return keyed("picture", self.find(rf"{re.escape(self.images)}/([^/]+){_SUFFIX}"))

    @property
    def _apart(self) -> bool:
        """Whether each region has a mask file of its own."""
        return bool(self._experts) or any(_WHOLE not in found for found in self._mask_files.values())

    def _check_code(self) -> None:
        """Refuse a code that the mask files cannot have: one binary mask does not tell two regions apart."""
        if self._apart:
            fits, files, codes = self.code == BINARY, "a mask file for each region", [BINARY]
        else:
            fits, files, codes = self.code in CODES or len(self.regions) == 1, "one mask for all regions", list(CODES)
        if not fits:
            raise ConfigurationError(
                f"code={self.code!r} for {files}", f"code={' or '.join(codes)}", "give that code, or code=auto"
            )

    @cached_property
    def _mask_files(self) -> dict[str, dict[str, Path]]:
        """Mask files of each picture: one for all regions, or one for each; none where there are no masks."""
        if self.masks is None:
            return {stem: {} for stem in self._pictures}
        if self._experts:
            return self._experts
        whole: list[tuple[str, Path]] = []
        apart: dict[Region, list[tuple[str, Path]]] = {region: [] for region in self.regions}
        for path, hit in self.match(rf"{re.escape(self.masks)}/(?:([^/]+)/)?([^/]+){_SUFFIX}").items():
            folder, stem = hit[1], hit[2]
            # A photograph may itself be called a_disc: a mask of its whole name is no disc of a photograph a.
            if folder is None and stem not in self._pictures:
                folder, stem = self._split(stem)
            if folder is None:
                whole.append((stem, path))
            elif region := self._region(folder):
                apart[region].append((stem, path))
        if self._pictures and not whole and not any(apart.values()):
            raise self._no_mask_error()
        single = [path for found in apart.values() for _, path in found]
        if whole and single:
            raise DatasetError(
                f"masks for all regions together ({whole[0][1]}) and for one region ({single[0]})",
                self.layout,
                "keep one of the two kinds",
            )
        if single:
            return pair(self._pictures, {region: (f"{region} mask", found) for region, found in apart.items()})
        return pair(self._pictures, {_WHOLE: ("mask", whole)})

    @cached_property
    def _experts(self) -> dict[str, dict[str, Path]]:
        """Mask files of each picture by expert and region, ``anna/disc``; empty where there are no experts' folders."""
        found: dict[str, dict[str, list[tuple[str, Path]]]] = {}
        for path, hit in self.match(rf"{re.escape(self.masks or '')}/([^/]+)/([^/]+)/([^/]+){_SUFFIX}").items():
            if region := self._region(hit[2]):
                found.setdefault(hit[1], {}).setdefault(region, []).append((hit[3], path))
        files: dict[str, dict[str, Path]] = {}
        for expert in sorted(found):
            # An expert may have drawn a part of the pictures, but every region of these.
            drawn = {stem for listed in found[expert].values() for stem, _ in listed}
            pictures = {stem: picture for stem, picture in self._pictures.items() if stem in drawn}
            kinds = {region: (f"{expert}'s {region} mask", found[expert].get(region, [])) for region in self.regions}
            for stem, masks in pair(pictures, kinds).items():
                files.setdefault(stem, {}).update({f"{expert}/{region}": path for region, path in masks.items()})
        if files:
            several = [(stem, next(iter(masks.values()))) for stem, masks in files.items()]
            pair(self._pictures, {"any": ("expert's mask", several)})
        return files

    def _split(self, stem: str) -> tuple[str | None, str]:
        """Region's word and picture's name of ``NAME_disc`` or ``NAME_optic_disc``; no word where it is neither."""
        splits = [(stem[: hit.start()], stem[hit.end() :]) for hit in re.finditer("_", stem)]
        # A picture and a region before one of the two; of several pictures the longest name, a_left before a.
        rated = [((name in self._pictures) + bool(self._region(word)), len(name)) for name, word in splits]
        if not rated or max(rated)[0] == 0:
            return None, stem
        name, word = splits[rated.index(max(rated))]
        return word, name

    def _region(self, word: str) -> Region | None:
        """The region that a folder or ending names; OD beside OS is an eye, and no region."""
        plain = re.sub(r"[\W_]", "", word).lower()
        if plain == "od" and self.match(rf"{re.escape(self.masks or '')}/(?:[^/]*_)?os(?:/[^/]+|\.\w+)"):
            return None
        names = {region: {re.sub(r"[\W_]", "", region).lower(), *_ALIASES.get(region, ())} for region in self.regions}
        return next((region for region, known in names.items() if plain in known), None)

    def _no_mask_error(self) -> DatasetError:
        """None of the files below the masks' folder counts: which lie there, and why."""
        masks = re.escape(self.masks or "")
        reasons: dict[str, list[Path]] = {}
        for path, hit in self.match(rf"{masks}/(.+)").items():
            *folders, _ = hit[1].split("/")
            if path.suffix.lower() not in SUFFIXES:
                reason = f"end in {path.suffix or 'nothing'}, which is no picture's ending"
            elif len(folders) > 1:
                reason = "lie in folders of folders"
            elif folders:
                reason = f"lie in {folders[0]}, which is none of {', '.join(self.regions)}"
            else:
                reason = f"are named after none of {', '.join(self.regions)}"
            reasons.setdefault(reason, []).append(path)
        why = "".join(f"; {len(files)} {reason}: {some(files, self.root)}" for reason, files in reasons.items())
        return DatasetError(
            f"no mask below {self.root / (self.masks or '')} for {len(self._pictures)} photographs{why}",
            self.layout,
            "add or rename the masks, or set masks to null to evaluate photographs without truth",
        )

    def _rows(self) -> dict[str, dict[str, Any]]:
        """What the table tells of each picture; None where it does not."""
        if self.csv is None:
            return {stem: dict.fromkeys(("patient", *_CELLS)) for stem in self._pictures}
        path = self.root / self.csv
        if not os.path.isfile(path):  # noqa: PTH113 - no error of a name that no file can have
            raise DatasetError(f"no table at {path}", "a CSV file with a column image", "check the setting csv")
        heading = {cell.casefold() for _, cells in table_rows(path)[:1] for cell in cells}
        key = next((column for column in ("image", *PATH_COLUMNS) if column in heading), "image")
        table = read_csv(path, key, more=("patient", *_CELLS))
        unknown = sorted(set(table) - set(self._pictures))
        if unknown:
            raise DatasetError(
                f"{unknown[0]!r}, which is no picture, in {path}",
                "the names of pictures",
                "correct the line, or take it out",
            )
        rows: dict[str, dict[str, Any]] = {}
        for stem, picture in self._pictures.items():
            row = line_of(stem, table, picture, path)
            rows[stem] = {"patient": row.get("patient")}
            for column, meanings in _CELLS.items():
                rows[stem][column] = meaning(row.get(column, "").lower(), meanings, f"{column} of {stem}", path)
        return rows


def _find_code(files: Sequence[Path], regions: Sequence[Region]) -> str:
    """The one code that fits the values of these masks and the background along their borders.

    Raises:
        DatasetError: No code fits, or the masks do not tell which.
        ImageError: None of them can be read.
    """
    masks, broken = [], []
    for file in files:
        try:
            masks.append(read_mask(file))
        except ImageError as error:  # named when its own picture is read: one bad file stops no batch
            broken.append(error)
    if broken and not masks:
        raise broken[0]
    values = {int(value) for mask in masks for value in np.unique(mask)}
    border = {int(value) for mask in masks for edge in (mask[[0, -1]], mask[:, [0, -1]].T) for value in np.unique(edge)}
    # All three values: 0 and 255 alone could as well be one region's binary mask.
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
