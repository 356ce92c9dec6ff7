"""DICOM behind the one door for photographs: known by their content, whatever their ending; read by the room dicom.

Nothing here loads pydicom until a DICOM file is met.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from fundusseg.errors import ImageError
from fundusseg.imaging.pixel_codes import eight_bits
from fundusseg.sample import Image

if TYPE_CHECKING:
    from fundusseg.dicom.header import PhotographHeader

ENDINGS = frozenset({".dcm", ".dicom"})
"""Most archives give none; files with these endings may lack the mark that DICOM files have."""

NOT_INSTALLED = "DICOM, which the extra dicom reads"


def is_dicom(source: str | Path | bytes) -> bool:
    """Whether a file, or its content, is DICOM: by its mark, or by its ending.

    Raises nothing: what cannot be opened is none.
    """
    if isinstance(source, bytes):
        return source[128:132] == b"DICM"
    path = source
    if os.path.splitext(path)[1].lower() in ENDINGS:  # noqa: PTH122 - no error of a name that no file can have
        return True
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(132)[128:] == b"DICM"
    except (OSError, ValueError):
        return False


def is_installed() -> bool:
    """Whether the extra is there."""
    try:
        _room()
    except ImageError:
        return False
    return True


def read_dicom(source: str | Path | bytes, frame: int = 0) -> tuple[Image, float]:
    """Read one frame; as `fundusseg.imaging.image_files.read_with_light`."""
    _room()
    from fundusseg.dicom.frames import read_frame

    stored, bits = read_frame(source, frame)
    pixels, light = (stored, 1.0) if stored.dtype == np.uint8 else eight_bits(stored, "DICOM", bits)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(pixels, np.uint8), light


def photograph_header(source: str | Path | bytes) -> "PhotographHeader | None":
    """What a DICOM file says of its photograph; None of any other file.

    Raises:
        ImageError: It is DICOM and cannot be read, or is no fundus photograph.
    """
    if not is_dicom(source):
        return None
    _room()
    from fundusseg.dicom.header import read_header

    return read_header(source)


def _room() -> ModuleType:
    """The room dicom.

    Raises:
        ImageError: What it stands on is not installed.
    """
    try:
        import fundusseg.dicom.frames as room
    except ModuleNotFoundError as error:
        raise ImageError(
            f"a DICOM file, and no {error.name} to read it", "the extra dicom", "pip install 'fundusseg[dicom]'"
        ) from error
    return room
