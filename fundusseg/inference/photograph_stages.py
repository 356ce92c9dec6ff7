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
from fundusseg.inference.pipeline import pipeline

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
        workers: Threads that decode, and that write.
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

    for photograph, future in pipeline(photographs, read or read_capture, work, store, workers):
        error = future.exception()
        yield photograph, future.result() if error is None else failed_row(photograph, error)
