"""One frame's pixels out of a DICOM file: any common transfer syntax, colour, palette or grey."""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from fundusseg.dicom.codestreams import codestream_size, has_coarse_chroma
from fundusseg.dicom.dataset_files import Source, called, opened
from fundusseg.dicom.decoders import PLUGINS, decode_compressed
from fundusseg.dicom.header import header_of
from fundusseg.errors import ImageError

MOST_PIXELS = 178_956_970
"""Of one frame, as for any other picture: Pillow's own bound."""

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_PALETTE = "PALETTE COLOR"

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def read_frame(source: Source, frame: int = 0) -> tuple[npt.NDArray[np.generic], int]:
    """Decode one frame as the camera gave it.

    Args:
        source: DICOM file of a fundus photograph, or its content.
        frame: Which of its frames, counted from 0.

    Returns:
        H x W x 3 RGB or H x W grey (light is high), uint8 or uint16, and the bits that its numbers may fill.

    Raises:
        ImageError: It cannot be read, is no fundus photograph, is compressed in a way that nothing here decodes, or has
            no such frame.
    """
    path = called(source)
    with opened(source) as (stream, dataset):
        header = header_of(dataset, source)
        if not 0 <= frame < header.frames:
            raise ImageError(f"frame {frame + 1} of {path}", f"1 to {header.frames}", "choose one of these")
        bits, syntax = _check_form(dataset, path), _known_syntax(dataset, path)
        if syntax in PLUGINS:
            luma = _check_codestream(stream, dataset, frame, header.frames)
            pixels = decode_compressed(source, frame, syntax, bits, luma)
        else:
            stream.seek(0)
            whole = dcmread(stream) if syntax.is_deflated else stream
            more: dict[str, Any] = {} if syntax.is_deflated else {"transfer_syntax_uid": syntax}
            pixels = pixel_array(whole, index=frame, **more)
        return _as_seen(pixels, dataset, bits, path)


def _check_form(dataset: Dataset, path: str) -> int:
    """Refuse pixels of a form that no camera writes, before anything is reserved for them; returns the bits used."""
    numbers = {
        name: int(dataset.get(name) or 0)
        for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation")
    }
    rows, columns, samples, allocated, stored, signed = numbers.values()
    kind = str(dataset.get("PhotometricInterpretation") or "")
    if not (rows > 0 and columns > 0 and rows * columns <= MOST_PIXELS):
        raise ImageError(f"{columns} x {rows} pixels in {path}", f"1 to {MOST_PIXELS} of them", "export it anew")
    if allocated not in (8, 16) or not 1 <= stored <= allocated or signed:
        what = f"{stored} {'signed ' if signed else ''}bits in {allocated}"
        raise ImageError(f"pixels of {what}: {path}", "unsigned numbers of 8 or 16 bits", "export it as such")
    if (samples, kind in _COLOURS, kind in (*_GREYS, _PALETTE)) not in ((3, True, False), (1, False, True)):
        raise ImageError(
            f"{samples} samples of {kind or 'no named colour'} in {path}",
            f"3 of {', '.join(_COLOURS)}, or 1 of {', '.join((*_GREYS, _PALETTE))}",
            "export it as such",
        )
    return stored


def _known_syntax(dataset: Dataset, path: str) -> UID:
    """The transfer syntax; refused by name where nothing here decodes it: films, JPEG XL."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax not in PLUGINS and syntax not in NATIVE:
        known = "plain, RLE, JPEG, JPEG-LS, JPEG 2000 or HTJ2K pixels"
        raise ImageError(f"pixels in {syntax.name}: {path}", known, "export it in one of these")
    return syntax


def _check_codestream(stream: BinaryIO, dataset: Dataset, frame: int, frames: int) -> bool:
    """Look at a compressed frame before any decoder does.

    Returns:
        Whether it is luma and chroma where the file says RGB: cameras declare RGB and hand the picture to a JPEG
        library, which stores luma and coarse chroma all the same.

    Raises:
        ValueError: It claims another size than the file: it is damaged, or meant to fill the memory.
    """
    start = stream.tell()
    # Tag, VR and length of the pixel data; encapsulated ones are always explicit and little endian.
    stream.seek(start + 12)
    offsets = _extended_offsets(dataset)
    content = get_frame(stream, frame, number_of_frames=frames, extended_offsets=offsets)
    rows, columns, samples = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        if len(content) > 65536 + 2 * rows * columns * samples * (int(dataset.BitsAllocated) // 8):
            raise ValueError("its compressed pixels are longer than the plain ones would be")
        return False
    found = codestream_size(content)
    if found is None:
        raise ValueError("compressed pixels without a header")
    # CharLS looks for the end of a stream that has none for twenty seconds.
    if syntax in (JPEGLSLossless, JPEGLSNearLossless) and not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ValueError("compressed pixels without an end")
    if found != (rows, columns, samples):
        height, width, channels = found
        raise ValueError(
            f"{width} x {height} pixels of {channels} channels in a file of {columns} x {rows} of {samples}"
        )
    return dataset.PhotometricInterpretation == "RGB" and has_coarse_chroma(content)


def _extended_offsets(dataset: Dataset) -> Any:
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    return None


def _as_seen(pixels: npt.NDArray[Any], dataset: Dataset, bits: int, path: str) -> tuple[npt.NDArray[np.generic], int]:
    """Palettes read through, dark and light as they are seen, in the smallest number that holds the bits."""
    kind = str(dataset.PhotometricInterpretation)
    if kind == _PALETTE:
        colours = apply_color_lut(pixels, dataset)[..., :3]
        # Palettes of 16 bits hold 8, times 256 or 257.
        return np.ascontiguousarray(colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8), 8
    if kind == "MONOCHROME1":
        pixels = (2**bits - 1) - np.minimum(pixels, 2**bits - 1)
    return (pixels.astype(np.uint8), 8) if bits <= 8 else (pixels.astype(np.uint16), bits)
