"""Picture files: the one door through which pixels come in and go out.

Pillow decodes: it raises on a truncated file where OpenCV returns a half-grey picture, keeps the indices of a palette
image, and knows how the camera was held (EXIF).
"""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps

from fundusseg.atomic_file import write_whole
from fundusseg.errors import ImageError
from fundusseg.imaging.dicom_files import is_dicom, photograph_header, read_dicom
from fundusseg.imaging.pixel_codes import eight_bits, grey_plane, palette_codes
from fundusseg.sample import Image

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".webp"),
        *(".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".avif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx"),
        *(".psd", ".sgi", ".rgb", ".ras", ".qoi"),
    }
)
"""File endings, in lower case, that count as pictures when a folder is read: every one that Pillow decodes, save icons,
films, game textures, printers' documents, fax pages and numbers of other sciences."""

Source: TypeAlias = str | Path | bytes
"""A file's path, or its content, which a service has in memory and never on a disk."""

_ACCEPTED = "H x W x 3 RGB of uint8 (or uint16, grey, RGBA, a Pillow picture)"
_FROM_FILE = "read it with fundusseg.imaging.read_photograph"
_TO_ARRAY = "turn it into an array, of a tensor by tensor.permute(1, 2, 0).cpu().numpy()"
_TO_NUMBERS = "bring 0..1 to 0..255 by (255 * pixels).round().astype('uint8'), other numbers as they are meant"
_TO_SHAPE = "give one photograph at a time, channels last by pixels.transpose(1, 2, 0)"

_DEEP = "deep colour"
_STRIP = 256
"""Rows that are copied at once."""

_ORIENTATION, _TIFF_BITS, _TIFF_SAMPLES, _TIFF_LAYOUT = 0x0112, 258, 277, 284


def read_photograph(path: str | Path, page: int = 0) -> Image:
    """Read a photograph as the camera gave it, upright.

    More than 8 bits are scaled by the range of the smallest of 10, 12, 14 and 16 bits that holds the brightest value:
    cameras of 12 bits save theirs unscaled in files of 16, which would be black otherwise. Alpha is left out.

    Args:
        path: JPEG, PNG, TIFF or whatever else Pillow decodes (`SUFFIXES`); grey, palette, RGB or RGBA; 8 or 16 bit; up
            to 178 megapixels. DICOM of any ending, with the extra `dicom`.
        page: Page of a TIFF file of several, frame of a DICOM file; counted from 0.

    Returns:
        H x W x 3 uint8 RGB.

    Raises:
        ImageError: There is no such file, it is truncated, or it is no picture.
    """
    return read_with_light(path, page)[0]


def read_with_light(source: Source, page: int = 0) -> tuple[Image, float]:
    """Read a photograph, and how much of the light that its file can hold became 255.

    The scaling of `read_photograph` makes an underexposed photograph of 16 bits look like one of a 12-bit camera; the
    share tells them apart from a well-lit one, see `fundusseg.imaging.quality.assess`.

    Args:
        source: As `read_photograph`, or the content of such a file.
        page: As `read_photograph`.

    Returns:
        H x W x 3 uint8 RGB, and the share: 1 for 8 bits, and 1/16 for 12 bits in a file of 16.

    Raises:
        ImageError: There is no such file, it is truncated, or it is no picture.
    """
    if is_dicom(source):
        return read_dicom(source, page)
    picture, light = _decode(source, page), 1.0
    if picture.info.get(_DEEP):
        pixels, light = eight_bits(_deep_colour(source, page), _called(source), _depth(picture))
        picture = _turned_like(picture, pixels)
    # In place: a copy of 60 megapixels is 180 MB.
    ImageOps.exif_transpose(picture, in_place=True)
    pixels, of_grey = _rgb(picture, _called(source))
    return pixels, light * of_grey


def picture_size(source: Source) -> tuple[int, int]:
    """Width and height as a file's head gives them; no pixel is decoded, so that a bomb costs nothing.

    Raises:
        ImageError: There is no such file, or it is no picture.
    """
    if header := photograph_header(source):
        return header.width, header.height
    try:
        with _opened(source) as stream, Pillow.open(stream) as picture:
            return picture.size
    except Exception as error:  # damaged bytes raise whatever the decoder meets first
        raise _undecodable(source, error) from error


def as_photograph(picture: Any) -> tuple[Image, float]:
    """Take a photograph that is in memory already, where there is no doubt how it is meant.

    Args:
        picture: A Pillow picture, which is turned upright as a file is; or an array: H x W grey, H x W x 1, H x W x 3
            RGB or H x W x 4 RGBA, of uint8, or of uint16 by the rule of `read_photograph`.

    Returns:
        H x W x 3 uint8 RGB, the very array where it is that already; and its light as `read_with_light` gives it.

    Raises:
        ImageError: Anything else, with what to do: fractions of 0 to 1, channels first and tensors could be read in
            more than one way.

    >>> pixels, light = as_photograph(np.full((20, 30), 4095, np.uint16))
    >>> pixels.shape, int(pixels.max()), round(16 * light, 2)
    ((20, 30, 3), 255, 1.0)
    """
    if isinstance(picture, Pillow.Image):
        if _is_deep_colour(picture):
            raise ImageError("colours of more than 8 bits, of which Pillow keeps 8", "the file itself", _FROM_FILE)
        return _rgb(ImageOps.exif_transpose(picture), "the picture in memory")
    if not isinstance(picture, np.ndarray):
        do = _FROM_FILE if isinstance(picture, str | Path) else _TO_ARRAY
        raise ImageError(f"a {type(picture).__name__} as photograph", _ACCEPTED, do)
    if picture.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"a photograph of {picture.dtype} numbers", _ACCEPTED, _TO_NUMBERS)
    if 0 in picture.shape or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] in (1, 3, 4))):
        raise ImageError(f"a photograph of shape {picture.shape}", _ACCEPTED, _TO_SHAPE)
    colours = picture[..., None] if picture.ndim == 2 else picture[..., :3]  # without alpha
    pixels, light = (colours, 1.0) if colours.dtype == np.uint8 else eight_bits(colours, "the array in memory")
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels), light


def read_mask(path: str | Path, page: int = 0) -> Image:
    """Read a mask's codes, upright as its photograph is.

    A palette of greys is read through: it is a grey picture stored compactly, and its index 0 may be white. Of a
    coloured palette the indices are the codes, and index 0 is the background. Colours must be grey: of a disc in red
    and a cup in green the first channel would be a disc with a hole.

    Args:
        path: The mask's file.
        page: Page of a TIFF file of several.

    Returns:
        H x W uint8; a 1-bit mask gives 0 and 255.

    Raises:
        ImageError: There is no such file, it is truncated, it is no picture, or its colours are no codes.
    """
    picture = _decode(path, page)
    if picture.info.get(_DEEP):
        picture = _turned_like(picture, grey_plane(_deep_colour(path, page), path))
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode == "P":
        palette = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
        picture = _turned_like(picture, palette_codes(np.asarray(picture), palette, path))
    elif picture.mode != "L" and not _is_wide(picture):
        colours = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
        picture = _turned_like(picture, grey_plane(np.asarray(colours), path))
    ImageOps.exif_transpose(picture, in_place=True)
    codes = np.asarray(picture)
    if codes.dtype != np.uint8:
        # Small codes in a deeper file are codes all the same; only what does not fit is a scaled picture.
        fits = np.issubdtype(codes.dtype, np.integer) and codes.max(initial=0) <= 255
        codes = codes.astype(np.uint8) if fits else eight_bits(codes, path)[0]
    return np.ascontiguousarray(codes)


def count_pages(path: str | Path) -> int:
    """Count the pages of a TIFF file, or the frames of any picture; no pixel is decoded.

    Raises:
        ImageError: There is no such file, it is truncated, or it is no picture.
    """
    _check_file(path)
    try:
        with Pillow.open(path) as picture:
            return int(getattr(picture, "n_frames", 1))
    except Exception as error:  # damaged bytes raise whatever the decoder meets first
        raise _undecodable(path, error) from error


def write_png(path: str | Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write H x W or H x W x 3 (RGB) uint8 as PNG, atomically: a killed run leaves no half-written file."""
    write_whole(Path(path), encode_png(pixels))


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """H x W or H x W x 3 (RGB) uint8 as a PNG file's content."""
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, format="PNG", compress_level=3)
    return stream.getvalue()


def encode_jpeg(pixels: npt.NDArray[np.uint8], quality: int = 90) -> bytes:
    """H x W x 3 (RGB) uint8 as a JPEG file's content; for pictures that are looked at, not measured.

    Args:
        pixels: Up to 65,500 a side, the format's own limit.
        quality: 1..95.
    """
    stream = io.BytesIO()
    # Colours at full resolution: thin coloured contours would be washed out.
    Pillow.fromarray(pixels).save(stream, format="JPEG", quality=quality, subsampling=0)
    return stream.getvalue()


def as_pillow(pixels: npt.NDArray[np.uint8]) -> Pillow.Image:
    """Hand H x W or H x W x 3 uint8 to a library that works on Pillow's pictures."""
    return Pillow.fromarray(pixels)


def _rgb(picture: Pillow.Image, path: str | Path) -> tuple[Image, float]:
    """H x W x 3 uint8 and light of a decoded picture: up to 8 bits a colour, or 16 bits of grey."""
    if _is_wide(picture):
        grey, light = eight_bits(np.asarray(picture), path, _depth(picture))
        return np.repeat(grey[..., None], 3, axis=2), light
    return _pixels(picture if picture.mode == "RGB" else picture.convert("RGB")), 1.0


def _pixels(picture: Pillow.Image) -> Image:
    """H x W x 3 uint8 of an RGB picture, strip by strip: Pillow hands out a whole one by way of two copies."""
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for top in range(0, picture.height, _STRIP):
        bottom = min(picture.height, top + _STRIP)
        pixels[top:bottom] = np.asarray(picture.crop((0, top, picture.width, bottom)))
    return pixels


def _decode(source: Source, page: int = 0) -> Pillow.Image:
    """Open and fully decode a picture, every failure in one sentence."""
    _check_file(source)
    try:
        # A stream, not the path: Pillow maps a grey TIFF file into memory by its turned size, and shears it.
        with _opened(source) as stream, Pillow.open(stream) as picture:
            if page:
                picture.seek(page)
            deep = _is_deep_colour(picture)
            picture.load()
            picture.getexif()  # parsed here, so that a broken block is named as a broken file is
            picture.info[_DEEP] = deep
            return picture
    except Exception as error:  # damaged bytes raise whatever the decoder meets first
        raise _undecodable(source, error) from error


def _opened(source: Source) -> BinaryIO:
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def _called(source: Source) -> str | Path:
    """What a sentence calls it; content has no name."""
    return "the photograph" if isinstance(source, bytes) else Path(source)


def _check_file(source: Source) -> None:
    if not isinstance(source, bytes) and not os.path.isfile(source):  # noqa: PTH113 - no error of a name that no file can have
        raise ImageError(f"no file at {Path(source)}", "a picture", "check the path")


def _undecodable(source: Source, error: BaseException) -> ImageError:
    """One sentence for all that Pillow raises."""
    reason = str(error).split(" <")[0].split(" '")[0].split(": ")[0] or type(error).__name__
    return ImageError(
        f"a file that cannot be decoded ({reason}): {_called(source)}",
        "a whole picture such as JPEG, PNG or TIFF",
        "copy the file again from its source, or remove it",
    )


def _is_deep_colour(picture: Pillow.Image) -> bool:
    """Whether the file's colours have more than 8 bits, of which Pillow keeps the upper 8."""
    tags = getattr(picture, "tag_v2", None)
    if tags is not None:
        return bool(max(tags.get(_TIFF_BITS, (1,))) > 8 and tags.get(_TIFF_SAMPLES, 1) >= 3)
    return any(str(tile[3]).startswith("RGB") and ";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


def _deep_colour(source: Source, page: int) -> npt.NDArray[np.generic]:
    """Read colours of more than 8 bits as they are stored, H x W x 3 RGB; Pillow has found the file whole."""
    with _opened(source) as stream, Pillow.open(stream) as picture:
        picture.seek(page)
        if getattr(picture, "tag_v2", {}).get(_TIFF_LAYOUT, 1) != 1:
            raise ImageError(
                f"16-bit colours in separate planes: {_called(source)}",
                "colours stored pixel by pixel",
                "save it as such",
            )
    content = np.frombuffer(source if isinstance(source, bytes) else Path(source).read_bytes(), np.uint8)
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    if page:
        _, pages = cv2.imdecodemulti(content, flags, range=(page, page + 1))
        pixels = pages[0] if pages else None
    else:
        pixels = cv2.imdecode(content, flags)
    if pixels is None or pixels.ndim != 3:
        raise _undecodable(source, OSError("colours of more than 8 bits in an unusual form"))
    return np.asarray(pixels)[..., 2::-1]


def _is_wide(picture: Pillow.Image) -> bool:
    """Whether a picture is grey of more than 8 bits."""
    return picture.mode.startswith("I;16") or picture.mode in {"I", "F"}


def _depth(picture: Pillow.Image) -> int:
    """Bits that a deep file's numbers may fill, as far as it says so: TIFF does, PNG's are 16."""
    bits = max(getattr(picture, "tag_v2", {}).get(_TIFF_BITS, (16,)))
    return int(bits) if 8 < bits < 16 else 16


def _turned_like(picture: Pillow.Image, pixels: npt.NDArray[np.generic]) -> Pillow.Image:
    """Pixels that still lie as they are stored, with what the file says of how the camera was held."""
    turned = Pillow.fromarray(pixels)
    turned.getexif()[_ORIENTATION] = picture.getexif().get(_ORIENTATION, 1)
    return turned
