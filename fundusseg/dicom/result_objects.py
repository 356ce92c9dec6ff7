"""The objects that go back to an archive: segmentation and report of one photograph, as files' content."""

import io

import pydicom
from pydicom.dataset import Dataset

from fundusseg.dicom.dataset_files import Source, called, opened
from fundusseg.dicom.findings import Algorithm, Findings
from fundusseg.dicom.header import check_class
from fundusseg.dicom.report import structured_report
from fundusseg.dicom.segmentation import segmentation
from fundusseg.errors import ImageError

_NEEDED = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "PatientOrientation"),
)
"""Asked for in every object, with a value or without."""


def result_objects(photograph: Source, findings: Findings, algorithm: Algorithm) -> dict[str, bytes]:
    """Make what is said of one photograph.

    Args:
        photograph: Its DICOM file, or the content of it.
        findings: What was found in it.
        algorithm: What found it.

    Returns:
        ``sr``, and ``seg`` where anything was found: DICOM files' content.

    Raises:
        ImageError: It is no DICOM photograph, or has no UIDs to refer to.
    """
    path = called(photograph)
    with opened(photograph) as (_, source):
        check_class(source, photograph)
        if missing := [keyword for keyword in _NEEDED if not source.get(keyword)]:
            raise ImageError(
                f"a photograph without {missing[0]}: {path}", "one that can be referred to", "send it anew"
            )
        for keyword in _MAY_BE_EMPTY:
            if keyword not in source:
                setattr(source, keyword, None)
        made = {"sr": structured_report(source, findings, algorithm)}
        if (segments := segmentation(source, findings, algorithm)) is not None:
            made["seg"] = segments
        return {name: encode(dataset) for name, dataset in made.items()}


def encode(dataset: Dataset) -> bytes:
    """An object as a DICOM file's content."""
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
