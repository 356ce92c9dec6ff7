"""The objects that go back to an archive: segmentation and report of one photograph, as files' content."""

import io
from collections.abc import Callable

import pydicom
from pydicom.dataset import Dataset

from fundusseg.dicom.dataset_files import Source, called, opened
from fundusseg.dicom.findings import Algorithm, Findings
from fundusseg.dicom.reference_header import reference_header
from fundusseg.dicom.report import structured_report
from fundusseg.dicom.segmentation import segmentation
from fundusseg.errors import ImageError


def result_objects(
    photograph: Source, findings: Findings, algorithm: Algorithm, tell: Callable[[str], None] = lambda remark: None
) -> dict[str, bytes]:
    """Make what is said of one photograph.

    Args:
        photograph: Its DICOM file, or the content of it.
        findings: What was found in it.
        algorithm: What found it.
        tell: Told of each value of the photograph's header that could not be taken as it is.

    Returns:
        ``sr``, and ``seg`` where anything was found: DICOM files' content.

    Raises:
        ImageError: It is no DICOM photograph, has no UIDs to refer to, or no object can be made of it.
    """
    with opened(photograph) as (_, source):
        header, remarks = reference_header(source, photograph)
    try:
        made = {"sr": structured_report(header, findings, algorithm)}
        if (segments := segmentation(header, findings, algorithm)) is not None:
            made["seg"] = segments
        contents = {name: encode(dataset) for name, dataset in made.items()}
    except Exception as error:  # what the library that makes them does not take, which is not the pixels' fault
        raise ImageError(
            f"a photograph of which no DICOM objects can be made ({error}): {called(photograph)}",
            "a header that objects can be made of",
            "report it, with the file's header",
        ) from error
    for remark in remarks:
        tell(remark)
    return contents


def encode(dataset: Dataset) -> bytes:
    """An object as a DICOM file's content."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
