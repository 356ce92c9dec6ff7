"""The files that a DICOMDIR names: a CD, a stick or an archive's export."""

from pathlib import Path

from fundusseg.dicom.dataset_files import opened, text, texts
from fundusseg.dicom.sop_classes import DIRECTORY, PHOTOGRAPHS, class_name
from fundusseg.errors import ImageError


def read_directory(path: str | Path) -> tuple[list[Path], dict[Path, str]]:
    """List the photographs of a medium.

    Args:
        path: Its DICOMDIR.

    Returns:
        The photographs' files, in its order, there or not; and every other file with its class in words, or with what
        is wrong with its entry: a medium names files of its own alone.

    Raises:
        ImageError: It cannot be read, or is no directory.
    """
    path = Path(path)
    with opened(path) as (_, dataset):
        if text(dataset.file_meta, "MediaStorageSOPClassUID") != DIRECTORY:
            raise ImageError(f"no directory in {path}", "a DICOMDIR", "name the photographs themselves")
        photographs: dict[Path, None] = {}
        others: dict[Path, str] = {}
        for record in dataset.get("DirectoryRecordSequence") or ():
            if not record.get("ReferencedFileID"):
                continue
            names = texts(record, "ReferencedFileID")
            if not all(map(_is_name, names)):
                others[path / "\\".join(names)] = "DICOMDIR entry that leads out of its folder"
                continue
            file = path.parent.joinpath(*names)
            uid = text(record, "ReferencedSOPClassUIDInFile")
            if uid in PHOTOGRAPHS:
                photographs[file] = None
            else:
                others[file] = f"DICOM {class_name(uid)}"
        return list(photographs), others


def _is_name(name: str) -> bool:
    """Whether it names something in a folder, and no other folder."""
    return name not in ("", ".", "..") and not any(mark in name for mark in "/\\:\0")


def is_directory(path: str | Path) -> bool:
    """Whether a DICOM file is a DICOMDIR; False too where it cannot be read."""
    try:
        with opened(Path(path)) as (_, dataset):
            return text(dataset.file_meta, "MediaStorageSOPClassUID") == DIRECTORY
    except ImageError:
        return False
