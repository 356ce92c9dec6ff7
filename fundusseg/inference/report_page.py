"""The report of many photographs: one HTML file that opens offline, asks no network and runs no foreign script."""

import base64
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt

from fundusseg.imaging.image_files import encode_jpeg
from fundusseg.imaging.roi import Box, crop, disc_box, square
from fundusseg.measures.cup_disc import NOT_SOUGHT
from fundusseg.reports.overlay import overlay
from fundusseg.sample import CUP, DISC, Image, Region

SIDE = 160
"""Of a thumbnail, in pixels: with JPEG some 5 kB, so that a thousand fit into one page."""

_AROUND = 2.0
"""Side of a thumbnail's square over the longer side of what was found."""

EMBEDDED = 1500
"""Rows with a picture in the page, of some 7 kB each; further ones have a link to their overlay."""

LISTED_PASSED_OVER = 200
"""Files passed over that the page names for each reason."""

LISTED = 20_000
"""Rows of the table, those to look at first; a browser would not scroll through more."""

STATUSES = ("failed", "reject", "review", "look at", "measured", "accept")
"""In the order of the table. Without a verdict, a measured photograph is to be looked at where a reason is given."""

_COLUMNS = {
    "vertical_cdr": ("Vertical", "Vertical cup/disc ratio"),
    "horizontal_cdr": ("Horizontal", "Horizontal cup/disc ratio"),
    "area_cdr": ("Area", "Area cup/disc ratio"),
    "rim_min_ratio": ("Minimal rim", "Smallest rim/disc ratio"),
    "rim_min_clock_hour": ("Clock hour", "Where the rim is smallest"),
    "isnt_kept": ("ISNT", "Whether the rim is widest inferior, then superior, nasal, temporal"),
}
_FORMATS: dict[str, Callable[[float], str]] = {
    "rim_min_clock_hour": lambda hour: f"{hour:.0f}",
    "isnt_kept": lambda kept: "kept" if kept else "not kept",
}
_LOW, _HIGH = "{}_low", "{}_high"


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One photograph of the report.

    Attributes:
        columns: Its row of measures.csv by column; None where undefined.
        overlay: The overlay's file.
        thumbnail: The small picture's file.
    """

    columns: Mapping[str, Any]
    overlay: Path
    thumbnail: Path


def row_status(row: Mapping[str, Any]) -> str:
    """One of `STATUSES`."""
    if row.get("error"):
        return "failed"
    if row.get("verdict") in STATUSES:
        return str(row["verdict"])
    return "look at" if row.get("reason") and row["reason"] not in NOT_SOUGHT.values() else "measured"


def report_html(
    rows: Sequence[ReportRow],
    provenance: Mapping[str, Any],
    folder: Path,
    passed_over: Mapping[Path, str] = MappingProxyType({}),
) -> bytes:
    """Lay out the report; the same results give the same bytes.

    Args:
        rows: The photographs, in order.
        provenance: What made the results.
        folder: Where the page will lie; links start there.
        passed_over: Files that were not taken for photographs, each with the reason.

    Returns:
        The content of an HTML file. Its Content-Security-Policy forbids every request.
    """
    from fundusseg.reports.page_templates import render_page  # with jinja2's cost, only when a run has come to its end

    counts = Counter(row_status(row.columns) for row in rows)
    shown = [name for name in _COLUMNS if any(row.columns.get(name) is not None for row in rows)]
    # The sort is stable: within a status the order of the list stays.
    ordered = sorted(rows, key=lambda row: STATUSES.index(row_status(row.columns)))[:LISTED]
    note = "measures.csv, beside this page, holds every measure."
    if len(rows) > LISTED:
        note = f"The table ends after {LISTED:,} of {len(rows):,}; measures.csv, beside this page, holds them all."
    return render_page(
        "page.html",
        styles=("page.css",),
        scripts=("page.js",),
        total=len(rows),
        counts={word: counts[word] for word in STATUSES if counts[word]},
        passed_over=_by_reason(passed_over),
        histogram=_histogram([r for row in rows if (r := row.columns.get("vertical_cdr")) is not None]),
        note=note,
        headings=[
            {"text": "Status", "title": ""},
            {"text": "File", "title": ""},
            *({"text": _COLUMNS[name][0], "title": _COLUMNS[name][1]} for name in shown),
            {"text": "Remarks", "title": ""},
        ],
        rows=[_row(row, shown, folder, number < EMBEDDED) for number, row in enumerate(ordered)],
        side=SIDE,
        about={key: _words(value) for key, value in provenance.items()},
    )


def _row(row: ReportRow, shown: Sequence[str], folder: Path, embedded: bool) -> dict[str, Any]:
    """What the template needs of one photograph."""
    columns, word = row.columns, row_status(row.columns)
    picture = ""
    if word != "failed" and embedded and row.thumbnail.is_file():
        picture = base64.b64encode(row.thumbnail.read_bytes()).decode()
    remarks = [columns.get(name) for name in ("error", "reasons", "reason", "remarks")]
    return {
        "status": word,
        "rank": STATUSES.index(word),
        "file": columns["file"],
        "overlay": "" if word == "failed" else relative_link(row.overlay, folder),
        "thumbnail": picture,
        "cells": [_cell(columns, name) for name in shown],
        "remarks": "; ".join(dict.fromkeys(str(remark) for remark in remarks if remark)),
    }


def _cell(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A number as it is sorted and as it is read, with its interval where there is one."""
    value, low, high = (row.get(key) for key in (name, _LOW.format(name), _HIGH.format(name)))
    if value is None:
        return {"sort": "", "text": "", "interval": ""}
    text = _FORMATS.get(name, "{:.2f}".format)(value)
    interval = "" if low is None or high is None else f"{low:.2f} to {high:.2f}"
    return {"sort": value, "text": text, "interval": interval}


def _histogram(ratios: Sequence[float]) -> dict[str, Any]:
    """Bars of 0.05 from 0 to 1, in the drawing's units; empty without ratios."""
    if not ratios:
        return {}
    # A value on a border belongs to the bar that it opens, but for rounding; 1 to the last.
    counts = np.bincount(np.minimum(np.asarray(ratios) * 20 + 1e-9, 19).astype(int), minlength=20)
    bars = []
    for number, count in enumerate(counts.tolist()):
        height = round(125 * count / max(counts.max(), 1), 1)
        title = f"{number / 20:.2f} to {(number + 1) / 20:.2f}: {count}"
        bars.append(
            {"x": 21 + 30 * number, "y": round(150 - height, 1), "height": height, "count": count, "title": title}
        )
    lower, median, upper = np.quantile(ratios, [0.25, 0.5, 0.75])
    return {
        "bars": bars,
        "ticks": [{"x": 20 + 60 * step, "label": f"{step / 10:.1f}"} for step in range(11)],
        "median_x": round(20 + 600 * float(median), 1),
        "caption": f"{len(ratios):,} defined; median {median:.2f} (dashed), middle half {lower:.2f} to {upper:.2f}.",
    }


def _by_reason(passed_over: Mapping[Path, str]) -> dict[str, dict[str, Any]]:
    """How many files were passed over for each reason, and the first of them by name."""
    found: dict[str, list[str]] = {}
    for path, reason in passed_over.items():
        found.setdefault(reason, []).append(str(path))
    return {
        reason: {"count": len(files), "files": sorted(files)[:LISTED_PASSED_OVER]}
        for reason, files in sorted(found.items())
    }


def relative_link(path: Path, folder: Path) -> str:
    """A file's address in a page of a folder: relative, so that page and pictures can be moved together."""
    relative = Path(os.path.relpath(path, folder)).as_posix()
    return quote(relative, safe="/", errors="surrogateescape")


def _words(value: Any) -> str:
    """Plain types for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    return ", ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)


def thumbnail(image: Image, label_map: npt.NDArray[np.uint8], regions: Sequence[Region] = (DISC, CUP)) -> bytes:
    """The square around what was found, or the whole photograph where nothing was.

    Args:
        image: H x W x 3 uint8 RGB.
        label_map: H x W uint8, 0 background.
        regions: What the map was made with.

    Returns:
        A JPEG file of 160 x 160 pixels.
    """
    box = _shown_square(label_map)
    # Drawn at twice the size: smooth lines of one pixel.
    side = 2 * SIDE
    drawn = overlay(crop(image, box, side), _nearest(label_map, box, side), regions=regions, line=2)
    return encode_jpeg(np.asarray(cv2.resize(drawn, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8), quality=80)


def _shown_square(label_map: npt.NDArray[np.uint8]) -> Box:
    """The square to show, moved into the picture as far as it fits."""
    height, width = label_map.shape
    whole = square(Box(0, 0, height, width))
    found = label_map > 0
    if not found.any() or (box := disc_box(found, _AROUND)).height >= whole.height:
        return whole
    top, left = (
        min(max(first, 0), side - box.height) if box.height <= side else -((box.height - side) // 2)
        for first, side in ((box.top, height), (box.left, width))
    )
    return Box(top, left, box.height, box.width)


def _nearest(label_map: npt.NDArray[np.uint8], box: Box, side: int) -> npt.NDArray[np.uint8]:
    """Cut a box out of a label map; codes are not mixed."""
    steps = (np.arange(side) + 0.5) / side
    rows, columns = ((steps * box.height).astype(int) + box.top, (steps * box.width).astype(int) + box.left)
    height, width = label_map.shape
    cut = label_map[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(inside, cut, 0).astype(np.uint8)
