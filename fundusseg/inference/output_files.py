"""What a photograph leaves in the output folder: label map, contours, overlay, thumbnail, and its row of the table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import numpy as np

from fundusseg.cli import in_one_sentence
from fundusseg.imaging.image_files import encode_jpeg, encode_png
from fundusseg.imaging.roi import Box
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.report_page import thumbnail
from fundusseg.inference.result_paths import chart_path, contours_path, label_map_path, overlay_path, thumbnail_path
from fundusseg.measures.contours import as_json
from fundusseg.measures.cup_disc import Measures
from fundusseg.measures.rim import rim_profile
from fundusseg.reports.files import csv_line
from fundusseg.reports.overlay import overlay
from fundusseg.sample import Image, Region

if TYPE_CHECKING:
    from fundusseg.inference.prediction import Prediction

FileKind: TypeAlias = Literal["labels", "contours", "overlay", "chart"]

_FIRST = ("file", "error", "verdict", "reasons", "eye")


class OutputFolder(Protocol):
    """Where files go.

    Attributes:
        output: What their paths begin with.
    """

    output: Path

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all, from any thread."""


@dataclass(frozen=True, slots=True)
class PhotographResult:
    """What is kept of a photograph until it is written.

    Attributes:
        image: The photograph.
        prediction: What was found in it.
        row: Of the table.
    """

    image: Image
    prediction: "Prediction"
    row: dict[str, Any]


def photograph_result(
    photograph: Photograph, image: Image, prediction: "Prediction", more: Mapping[str, Any] | None = None
) -> PhotographResult:
    """Keep what the files are made from; ``more`` are columns beside the measured ones."""
    row: dict[str, Any] = {"file": str(photograph.path), "error": "", "eye": ""}
    return PhotographResult(image, prediction, row | _flat(prediction) | dict(more or {}))


def failed_row(photograph: Photograph, error: BaseException) -> dict[str, Any]:
    """The row of a photograph that could not be done: the sentence of its error, of any kind."""
    gist = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")
    said = in_one_sentence(error) or (
        f"got a failure of the program itself at {photograph.path} ({gist}); expected a result; "
        "try the file again, and report it if it fails again."
    )
    return {"file": str(photograph.path), "error": said}


def write_result(
    folder: OutputFolder,
    photograph: Photograph,
    result: PhotographResult,
    regions: Sequence[Region],
    charted: bool = False,
) -> None:
    """Write one photograph's files, each whole or not at all; a chart of the eye too, where that is asked for.

    The overlay is a JPEG, which takes a fiftieth of a PNG's time: it is looked at, not measured.
    """
    labels, output, name = result.prediction.label_map, folder.output, photograph.name
    folder.write(label_map_path(output, name), file_content("labels", photograph, result, regions))
    folder.write(contours_path(output, name), file_content("contours", photograph, result, regions))
    folder.write(overlay_path(output, name), file_content("overlay", photograph, result, regions))
    folder.write(thumbnail_path(output, name), thumbnail(result.image, labels, regions))
    if charted:
        folder.write(chart_path(output, name), file_content("chart", photograph, result, regions))


def file_content(kind: FileKind, photograph: Photograph, result: PhotographResult, regions: Sequence[Region]) -> bytes:
    """What one of a photograph's files holds, on a disk or in a service's answer."""
    if kind == "labels":
        return encode_png(result.prediction.label_map)
    if kind == "overlay":
        return encode_jpeg(overlay(result.image, result.prediction.label_map, regions=regions))
    return _contours_file(photograph, result) if kind == "contours" else encode_png(_chart(photograph, result))


def _chart(photograph: Photograph, result: PhotographResult) -> Image:
    """One eye's picture, with verdict and interval below its ratio."""
    from fundusseg.inference.eye_chart import chart

    prediction = result.prediction
    low, high = prediction.vertical_cdr_low, prediction.vertical_cdr_high
    # NaN, which differs from itself, is no interval.
    words = [f"interval {low:.2f} to {high:.2f}"] if low == low else []
    words += [prediction.verdict] if prediction.verdict else []
    rim = rim_profile(prediction.label_map, prediction.eye)
    labels, outlines, caption = prediction.label_map, prediction.outlines, "; ".join(words)
    title = photograph.path.name
    return chart(result.image, labels, prediction.measures, rim, outlines=outlines, title=title, caption=caption)


def _contours_file(photograph: Photograph, result: PhotographResult) -> bytes:
    """The outlines with the size that they belong to; x to the right, y down, whole numbers at pixel centres."""
    height, width = result.prediction.label_map.shape
    size = {"photograph": photograph.path.name, "width": width, "height": height}
    return (json.dumps(size | {"contours": as_json(result.prediction.outlines)}) + "\n").encode()


def measures_csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The rows as the content of a CSV file; None is left empty, and what a spreadsheet would run is made harmless."""
    rows = list(rows)
    columns = measures_names(rows)
    lines = [csv_line(columns), *(csv_line(row.get(column, "") for column in columns) for row in rows)]
    return "".join(lines).encode("utf-8", "backslashreplace")


def measures_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns of all rows; without a measured one, those of `Measures`."""
    # Columns first as measured: a failed row, which has few keys, may come first and must not order them.
    measured = [row for row in rows if not row["error"]] or [dict.fromkeys(field.name for field in fields(Measures))]
    columns = dict.fromkeys(key for row in (*measured, *rows) for key in row)
    first = [key for key in _FIRST if key in columns or key in ("file", "error")]
    return list(dict.fromkeys((*first, *columns)))


def _flat(content: Any) -> dict[str, Any]:
    """A prediction's plain fields by name, those of its inner dataclasses beside them; lists in words, no pixels."""
    row: dict[str, Any] = {}
    # A field's `repr` decides: what is declared with repr=False (views, outlines) is pixels or points, and no column.
    for field in (field for field in fields(content) if field.repr):
        value = getattr(content, field.name)
        value = value.item() if isinstance(value, np.generic) else value
        if is_dataclass(value) and not isinstance(value, Box):
            row |= _flat(value)
        elif isinstance(value, list | tuple):
            row[field.name] = "; ".join(map(str, value))
        elif isinstance(value, str | float | int):
            row[field.name] = value
    return row
