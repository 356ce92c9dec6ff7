"""Picture files: the one door through which pixels come in and go out.

Pillow decodes: it raises on a truncated file where OpenCV returns a half-grey picture, keeps the indices of a palette
image, and knows how the camera was held (EXIF).
"""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps

from fundusseg.errors import ImageError
from fundusseg.sample import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})
"""File endings, in lower case, that count as pictures when a folder is read."""

# What Pillow raises for a broken file; TypeError is a TIFF page that ends before its size.
_FAILURES = (OSError, EOFError, SyntaxError, TypeError, ValueError, Pillow.DecompressionBombError)


def read_photograph(path: str | Path, page: int = 0) -> Image:
    """Read a photograph as the camera gave it, upright.

    Args:
        path: JPEG, PNG, TIFF or BMP; grey, palette, RGB or RGBA; 8 or 16 bit.
        page: Page of a TIFF file of several.

    Returns:
        H x W x 3 uint8 RGB.

    Raises:
        ImageError: There is no such file, it is truncated, or it is no picture.
    """
    picture = ImageOps.exif_transpose(_decode(path, page))
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        return _eight_bits(np.asarray(picture), path)
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def read_mask(path: str | Path, page: int = 0) -> Image:
    """Read a mask's stored codes: palette indices stay indices, a colour mask gives its first channel.

    Args:
        path: The mask's file.
        page: Page of a TIFF file of several.

    Returns:
        H x W uint8; a 1-bit mask gives 0 and 255.

    Raises:
        ImageError: There is no such file, it is truncated, or it is no picture.
    """
    picture = _decode(path, page)
    if picture.mode == "1":
        picture = picture.convert("L")
    codes = np.asarray(picture)
    if codes.dtype != np.uint8:
        # Small codes in a deeper file are codes all the same; only what does not fit is a scaled picture.
        fits = np.issubdtype(codes.dtype, np.integer) and codes.max(initial=0) <= 255
        codes = codes.astype(np.uint8) if fits else _eight_bits(codes, path)[..., 0]
    return np.ascontiguousarray(codes if codes.ndim == 2 else codes[..., 0])


def count_pages(path: str | Path) -> int:
    """Count the pages of a TIFF file, or the frames of any picture; no pixel is decoded.

    Raises:
        ImageError: There is no such file, it is truncated, or it is no picture.
    """
    path = Path(path)
    _check_file(path)
    try:
        with Pillow.open(path) as picture:
            return int(getattr(picture, "n_frames", 1))
    except _FAILURES as error:
        raise _undecodable(path, error) from error


def write_png(path: str | Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write H x W or H x W x 3 (RGB) uint8 as PNG, atomically: a killed run leaves no half-written file."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    Pillow.fromarray(pixels).save(partial, format="PNG", compress_level=3)
    partial.replace(path)


def as_pillow(pixels: npt.NDArray[np.uint8]) -> Pillow.Image:
    """Hand H x W or H x W x 3 uint8 to a library that works on Pillow's pictures."""
    return Pillow.fromarray(pixels)


def _decode(path: str | Path, page: int = 0) -> Pillow.Image:
    """Open and fully decode a picture, every failure in one sentence."""
    path = Path(path)
    _check_file(path)
    try:
        with Pillow.open(path) as picture:
            if page:
                picture.seek(page)
            picture.load()
            return picture
    except _FAILURES as error:
        raise _undecodable(path, error) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ImageError(f"no file at {path}", "a picture", "check the path")


def _undecodable(path: Path, error: BaseException) -> ImageError:
    """One sentence for all that Pillow raises."""
    reason = str(error).split(" '")[0].split(": ")[0] or type(error).__name__
    return ImageError(
        f"a file that cannot be decoded ({reason}): {path}",
        "a whole JPEG, PNG, TIFF or BMP picture",
        "copy the file again from its source, or remove it",
    )


def _eight_bits(pixels: npt.NDArray[np.generic], path: str | Path) -> Image:
    """Scale 16-bit grey to 0..255 by the range of its type, as three equal channels."""
    if not np.issubdtype(pixels.dtype, np.integer):
        raise ImageError(
            f"a picture of {pixels.dtype} numbers: {path}", "whole numbers of 8 or 16 bits", "save it as one of these"
        )
    grey = (np.clip(pixels.astype(np.int64), 0, 65535) * 255 // 65535).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
