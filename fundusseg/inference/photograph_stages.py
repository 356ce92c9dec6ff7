"""From photographs to their rows of the table: read ahead, segment, write behind; what fails is a row too."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fundusseg.inference.capture import Capture, read_capture
from fundusseg.inference.dicom_results import write_dicom
from fundusseg.inference.output_files import (
    OutputFolder,
    PhotographResult,
    failed_row,
    photograph_result,
    write_result,
)
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.pipeline import pipeline, side_by_side

if TYPE_CHECKING:
    from fundusseg.dicom.findings import Algorithm
    from fundusseg.inference.predictor import Predictor

Read = Callable[[Photograph], Capture]
"""Reads a photograph."""


def photograph_rows(
    predictor: "Predictor",
    photographs: Sequence[Photograph],
    folder: OutputFolder,
    workers: int = 1,
    charts: bool = False,
    read: Read | None = None,
    algorithm: "Algorithm | None" = None,
) -> Iterator[tuple[Photograph, dict[str, Any]]]:
    """Segment photographs, in order; each row comes once its files are written.

    Args:
        predictor: The network.
        photographs: What to do.
        folder: Where their files go.
        workers: Threads that decode, and that write, where photographs are segmented one after the other.
        charts: Draw a chart of every eye.
        read: Reads one; None for where its path says.
        algorithm: How SEG and SR name what made them; None writes none.
    """
    regions = predictor.description.preparation.regions

    def work(photograph: Photograph, capture: Capture) -> PhotographResult:
        prediction = capture.predict(predictor, photograph)
        return photograph_result(photograph, capture.image, prediction, capture.columns(photograph))

    def store(photograph: Photograph, result: PhotographResult) -> dict[str, Any]:
        write_result(folder, photograph, result, regions, charts)
        if algorithm is not None:
            write_dicom(folder, photograph, result, regions, algorithm)
        return result.row

    def do(photograph: Photograph) -> dict[str, Any]:
        return store(photograph, work(photograph, (read or read_capture)(photograph)))

    done = (
        pipeline(photographs, read or read_capture, work, store, workers)
        if predictor.at_once == 1
        else side_by_side(photographs, do, predictor.at_once)
    )
    for photograph, future in done:
        error = future.exception()
        yield photograph, future.result() if error is None else failed_row(photograph, error)
