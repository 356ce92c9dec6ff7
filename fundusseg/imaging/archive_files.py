"""DICOM files among others: folders of an archive's export, DICOMDIRs, and frames, listed before a pixel is read."""

from collections.abc import Iterable
from pathlib import Path

from fundusseg.errors import ImageError
from fundusseg.imaging.dicom_files import NOT_INSTALLED, is_dicom, is_installed, photograph_header
from fundusseg.imaging.photograph_files import HIDDEN, UNREADABLE, FolderContent


def with_dicom(content: FolderContent) -> FolderContent:
    """Take the DICOM photographs among the files that a walk passed over, whatever their ending.

    Every other DICOM file stays passed over, with what it is as the reason: ``DICOM Comprehensive SR``.
    """
    photographs: list[Path] = []
    passed_over: dict[Path, str] = {}
    for path, reason in content.passed_over.items():
        if reason not in (HIDDEN, UNREADABLE) and is_dicom(path):
            reason = why_no_photograph(path)
        if reason:
            passed_over[path] = reason
        else:
            photographs.append(path)
    return FolderContent(tuple(sorted((*content.files, *photographs))), passed_over)


def why_no_photograph(path: Path) -> str:
    """What a DICOM file holds instead, in words; empty of a photograph, and of what cannot be read, which is told."""
    if not is_installed():
        return NOT_INSTALLED
    from fundusseg.dicom.dataset_files import opened, text
    from fundusseg.dicom.sop_classes import PHOTOGRAPHS, class_name

    try:
        with opened(path) as (_, dataset):
            uid = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    except ImageError:
        return ""
    return "" if uid in PHOTOGRAPHS else f"DICOM {class_name(uid)}"


def is_directory(path: Path) -> bool:
    """Whether a file is a DICOMDIR."""
    if not is_dicom(path) or not is_installed():
        return False
    from fundusseg.dicom import directory

    return directory.is_directory(path)


def directory_files(path: Path) -> tuple[list[Path], dict[Path, str]]:
    """The photographs that a DICOMDIR names, and every other file with what it holds.

    Raises:
        ImageError: It cannot be read.
    """
    from fundusseg.dicom.directory import read_directory

    return read_directory(path)


def frame_names(path: Path) -> Iterable[str]:
    """What tells each frame of a file from the others; one empty name for a file of one, and for any other file."""
    try:
        header = photograph_header(path)
    except ImageError:  # told when its pixels are asked for
        return ("",)
    return [header.frame_name(frame) for frame in range(header.frames)] if header else ("",)
