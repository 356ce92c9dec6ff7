"""One picture of what predict drew in many photographs: outlines, verdict and reasons; of two runs side by side.

    python tools/contact_sheet.py predictions --output sheet.jpg
    python tools/contact_sheet.py before after --output sheet.jpg --columns 3 --only 08 11 "RET*"

For looking at what numbers do not show: discs cut by the edge, peripapillary atrophy, tilted discs, and what is no
fundus photograph. Each photograph has a cell for each run, in the order in which the folders are given.
"""

import argparse
import csv
import sys
import textwrap
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np

from fundusseg.atomic_file import write_whole
from fundusseg.errors import ConfigurationError, FundusSegError
from fundusseg.imaging.image_files import encode_jpeg, read_photograph
from fundusseg.imaging.roi import Box, crop, disc_box, square
from fundusseg.inference.output_files import label_map_path
from fundusseg.reports.overlay import overlay, panel
from fundusseg.sample import Image

_LINES, _LINE = 4, 15
"""Lines of the caption, and pixels of each."""

_AROUND = 2.6
"""Side of what is shown, in disc diameters."""


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of a run's table by the photograph's file.

    Raises:
        ConfigurationError: The folder is no finished run's.
    """
    table = folder / "measures.csv"
    if not table.is_file():
        raise ConfigurationError(f"no measures.csv in {folder}", "the output folder of predict", "run predict first")
    with table.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def cell(folder: Path, row: Mapping[str, str], size: int) -> Image:
    """One photograph's square, with what one run drew in it and said of it."""
    photograph = read_photograph(row["file"])
    labels = np.zeros(photograph.shape[:2], np.uint8)
    stem = Path(row["file"]).stem
    # predict names its files after as much of the photograph's path as tells it from the others.
    parts = Path(row["file"]).with_suffix("").parts
    names = ["/".join(parts[start:]) for start in range(1, len(parts))]
    if drawn := [path for name in names if (path := label_map_path(folder, name)).is_file()]:
        labels = read_photograph(drawn[0])[..., 0]
    whole = square(Box(0, 0, *labels.shape))
    box = disc_box(labels > 0, _AROUND) if labels.any() else whole
    box = box if box.height < whole.height else whole
    # Each region alone is cut out at twice the size, so that averaging by area keeps its outline smooth.
    cut = sum((crop((labels >= code).astype(np.uint8) * 255, box, size) > 127).astype(np.uint8) for code in (1, 2))
    picture = overlay(crop(photograph, box, size), np.asarray(cut, np.uint8))
    ratio = f"{float(row['vertical_cdr']):.2f}" if row.get("vertical_cdr") not in (None, "", "nan") else "-"
    words = [f"{stem} {row.get('eye') or '?'} {row.get('verdict') or 'error'} {ratio}"]
    words += textwrap.wrap(row.get("reasons") or row.get("error") or "", size // 6)
    return np.concatenate([picture, _caption(words, size)])


def _caption(lines: list[str], width: int) -> Image:
    """Words in white on black."""
    band = np.zeros((_LINES * _LINE + 4, width, 3), np.uint8)
    for number, line in enumerate(lines[:_LINES], start=1):
        place = (3, number * _LINE - 2)
        cv2.putText(band, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA)
    return band


def cells(folders: list[Path], only: list[str], size: int) -> Iterator[Image]:
    """Of each photograph that all runs have, one cell for each run."""
    tables = [rows(folder) for folder in folders]
    for file in tables[0]:
        named = not only or any(fnmatch(Path(file).stem, pattern) for pattern in only)
        if named and all(file in table for table in tables):
            yield np.concatenate([cell(*one, size) for one in zip(folders, [t[file] for t in tables], strict=True)], 1)


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="output folders of predict, over the same photographs")
    parser.add_argument("--output", type=Path, default=Path("sheet.jpg"))
    parser.add_argument("--columns", type=int, default=4, help="photographs in a row")
    parser.add_argument("--size", type=int, default=280, help="pixels of each picture")
    parser.add_argument("--only", nargs="*", default=[], help="names, or patterns of names, without ending")
    settings = parser.parse_args()
    shown = list(cells(settings.folders, settings.only, settings.size))
    if not shown:
        raise ConfigurationError("no photograph to show", "one that all folders hold", "look at --only and the folders")
    write_whole(settings.output, encode_jpeg(panel(shown, settings.columns)))
    print(f"{settings.output}: {len(shown)} photographs of {len(settings.folders)} runs")


if __name__ == "__main__":
    try:
        main()
    except FundusSegError as error:
        sys.exit(str(error))
