"""One frame's pixels out of a DICOM file: any common transfer syntax, colour, palette or grey."""

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
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

from fundusseg.dicom.codestreams import Codestream, read_codestream, with_colours
from fundusseg.dicom.dataset_files import Source, called, opened
from fundusseg.dicom.decoders import PLUGINS, decode_compressed, decode_jpeg
from fundusseg.dicom.header import header_of
from fundusseg.dicom.palettes import through_palette
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
        bits, shift = _check_form(dataset, path)
        syntax = _known_syntax(dataset, path)
        if syntax in PLUGINS and syntax != RLELossless:
            if shift:
                raise ImageError(
                    f"compressed pixels in the upper bits (HighBit): {path}", "the lower", "export it anew"
                )
            pixels, bits = _decompressed(source, stream, dataset, frame, header.frames, bits)
        else:
            if syntax == RLELossless:
                _check_runs(_content(stream, dataset, frame, header.frames), dataset)
            stream.seek(0)
            whole = dcmread(stream) if syntax.is_deflated else stream
            more: dict[str, Any] = {} if syntax.is_deflated else {"transfer_syntax_uid": syntax}
            if shift:  # all bits of a number, of which the lower ones are then dropped
                more["bits_stored"] = bits + shift
            pixels = pixel_array(whole, index=frame, **more) >> shift
        return _as_seen(pixels, dataset, bits, path)


def _check_form(dataset: Dataset, path: str) -> tuple[int, int]:
    """Refuse pixels of a form that no camera writes, before anything is reserved for them.

    Returns:
        The bits used, and how many unused ones lie below them, as older programs wrote it (HighBit).
    """
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
    high = dataset.get("HighBit")
    high = stored - 1 if high is None else int(high)
    if not stored - 1 <= high < allocated:
        raise ImageError(f"{stored} bits that end at bit {high} of {allocated}: {path}", "a HighBit", "export it anew")
    return stored, high - stored + 1


def _known_syntax(dataset: Dataset, path: str) -> UID:
    """The transfer syntax; refused by name where nothing here decodes it: films, JPEG XL."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if syntax not in PLUGINS and syntax not in NATIVE:
        known = "plain, RLE, JPEG, JPEG-LS, JPEG 2000 or HTJ2K pixels"
        raise ImageError(f"pixels in {syntax.name}: {path}", known, "export it in one of these")
    return syntax


def _content(stream: BinaryIO, dataset: Dataset, frame: int, frames: int) -> bytes:
    """A compressed frame, all its fragments together."""
    # Tag, VR and length of the pixel data; encapsulated ones are always explicit and little endian.
    stream.seek(stream.tell() + 12)
    return get_frame(stream, frame, number_of_frames=frames, extended_offsets=_extended_offsets(dataset))


def _check_runs(content: bytes, dataset: Dataset) -> None:
    """Refuse run-length coded pixels that are longer than the plain ones could be."""
    plain = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated) // 8
    if len(content) > 65536 + 2 * plain:
        raise ValueError("its compressed pixels are longer than the plain ones would be")


def _decompressed(
    source: Source, stream: BinaryIO, dataset: Dataset, frame: int, frames: int, bits: int
) -> tuple[npt.NDArray[Any], int]:
    """A compressed frame's pixels and the bits that they fill, once its own head agrees with the file's.

    Raises:
        ValueError: It does not: it is damaged, or meant to fill the memory.
    """
    content, syntax = _content(stream, dataset, frame, frames), UID(dataset.file_meta.TransferSyntaxUID)
    found = read_codestream(content)
    if found is None:
        raise ValueError("compressed pixels without a header")
    # CharLS looks for the end of a stream that has none for twenty seconds.
    if syntax in (JPEGLSLossless, JPEGLSNearLossless) and not content.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise ValueError("compressed pixels without an end")
    size = (int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel))
    if (found.rows, found.columns, found.channels) != size:
        rows, columns, samples = size
        raise ValueError(
            f"{found.columns} x {found.rows} pixels of {found.channels} channels in a file of {columns} x {rows} of "
            f"{samples}"
        )
    kind = str(dataset.PhotometricInterpretation)
    if PLUGINS[syntax] == "pillow":
        luma = (kind != "RGB") if found.luma is None else found.luma
        return decode_jpeg(with_colours(content, luma) if found.channels == 3 else content, syntax, size, found.bits), 8
    _check_colours(found, kind)
    luma = kind == "RGB" and bool(found.luma)
    pixels = decode_compressed(source, frame, syntax, luma)
    # Either of the two may name a larger container: what both hold is what is used.
    bits = min(bits, found.bits)
    if pixels.max(initial=0) >= 2**bits:
        raise ValueError(f"numbers up to {pixels.max()} where {bits} bits are said to be used")
    return pixels, bits


def _check_colours(found: Codestream, kind: str) -> None:
    """Refuse what contradicts itself: nobody can say whether the colours are turned back already."""
    if (kind in ("YBR_ICT", "YBR_RCT") and not found.turned) or (kind.startswith("YBR_FULL") and found.turned):
        without = "" if found.turned else "out"
        raise ValueError(f"{kind} in a JPEG 2000 codestream with{without} a colour transform of its own")
    if found.luma is False and kind != "RGB":
        raise ValueError(f"{kind} in a codestream that says that it is RGB")


def _extended_offsets(dataset: Dataset) -> Any:
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    return None


def _as_seen(pixels: npt.NDArray[Any], dataset: Dataset, bits: int, path: str) -> tuple[npt.NDArray[np.generic], int]:
    """Palettes read through, dark and light as they are seen, in the smallest number that holds the bits."""
    kind = str(dataset.PhotometricInterpretation)
    if kind == _PALETTE:
        return through_palette(pixels, dataset), 8
    if kind == "MONOCHROME1":
        pixels = (2**bits - 1) - np.minimum(pixels, 2**bits - 1)
    if bits < 8:  # all of the light, however few steps it has
        pixels = pixels.astype(np.uint16) * 255 // (2**bits - 1)
    return (pixels.astype(np.uint8), 8) if bits <= 8 else (pixels.astype(np.uint16), bits)
