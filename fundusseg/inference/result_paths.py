"""Where the results of a photograph lie in an output folder, and which files are results of an earlier run."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

JOURNAL = "journal"
"""Folder below the output folder that says what made the results, see `fundusseg.inference.run_journal`."""

PROVENANCE = "run.json"
"""File of the journal by which an output folder is known."""

EARLIER = "earlier results"
"""Why a picture that a former run drew is passed over."""

_DRAWN = re.compile(r".+_(labels\.png|overlay\.jpg|chart\.png)")


def label_map_path(output: Path, name: str) -> Path:
    """Native size; 0 background, 1 rim, 2 cup."""
    return output / f"{name}_labels.png"


def contours_path(output: Path, name: str) -> Path:
    """Outlines, to a part of a pixel."""
    return output / f"{name}_contours.json"


def overlay_path(output: Path, name: str) -> Path:
    """Native size, with contours."""
    return output / f"{name}_overlay.jpg"


def chart_path(output: Path, name: str) -> Path:
    """The eye with its numbers."""
    return output / f"{name}_chart.png"


def dicom_path(output: Path, name: str, kind: str) -> Path:
    """Segmentation (``seg``) or structured report (``sr``)."""
    return output / f"{name}_{kind}.dcm"


def thumbnail_path(output: Path, name: str) -> Path:
    """Small, for the report."""
    return output / JOURNAL / "thumbnails" / f"{name}.jpg"


def earlier_results(files: Iterable[Path]) -> set[Path]:
    """Those of some pictures that a former run drew: by name, below a folder with a journal."""

    @cache
    def is_output(folder: Path) -> bool:
        return (folder / JOURNAL / PROVENANCE).is_file()

    def is_result(file: Path) -> bool:
        above = file.absolute().parents
        if _DRAWN.fullmatch(file.name) and any(map(is_output, above)):
            return True
        return any(folder.name == JOURNAL and is_output(folder.parent) for folder in above)

    return {file for file in files if is_result(file)}
