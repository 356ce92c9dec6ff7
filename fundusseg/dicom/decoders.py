"""Which library decodes which compression, and in which process: damaged pixels take no run down.

GDCM ends its process on some damaged files, CharLS searches others for half a minute, and both are written in C++, as
OpenJPEG is in C. They run in a process of their own, with a limit of time and memory, at half a second more for each
photograph. Pillow and pydicom, for JPEG and RLE, run in this one.
"""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from fundusseg.dicom.dataset_files import Source, stream_of

SECONDS = 60
"""Of one frame; a photograph of 60 megapixels takes OpenJPEG ten."""

MEMORY = 8 * 2**30
"""Bytes of address space: four times what OpenJPEG needs for the largest frame that is taken."""

PLUGINS: dict[str, str] = {
    **dict.fromkeys((uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit), "pillow"),
    **dict.fromkeys((uid.JPEGLossless, uid.JPEGLosslessSV1), "gdcm"),
    **dict.fromkeys((uid.JPEGLSLossless, uid.JPEGLSNearLossless), "pyjpegls"),
    **dict.fromkeys((uid.JPEG2000Lossless, uid.JPEG2000), "pylibjpeg"),
    **dict.fromkeys((uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K), "pylibjpeg"),
    uid.RLELossless: "pydicom",
}
"""pydicom's name of what decodes a compressed transfer syntax."""

_STDIN = ""
"""No file has no name."""

_PROGRAM = "import sys; sys.path[:0] = [sys.argv[1]]; from fundusseg.dicom.decoders import main; main(sys.argv[2:])"


MOST_SCANS = 32
"""Of a lossy JPEG: sequential ones have four at most, progressive ones about ten. Each passes over all pixels."""


def decode_jpeg(content: bytes, syntax: str, size: tuple[int, int, int], bits: int) -> npt.NDArray[Any]:
    """Decode a lossy JPEG.

    Args:
        content: It; of three channels by `codestreams.with_colours`.
        syntax: Its transfer syntax.
        size: Rows, columns and channels.
        bits: As the codestream says.

    Returns:
        H x W x 3 RGB or H x W grey, uint8.

    Raises:
        ValueError: It cannot be decoded.
    """
    if bits != 8:
        raise ValueError(f"lossy JPEG of {bits} bits, which nothing here decodes")
    # In coded data FF is followed by 00: what is counted in excess are thumbnails.
    if (scans := content.count(b"\xff\xda")) > MOST_SCANS:
        raise ValueError(f"{scans} scans in a JPEG, of which no camera writes more than {MOST_SCANS}")
    rows, columns, channels = size
    how: dict[str, Any] = {"bits_allocated": 8, "bits_stored": 8, "pixel_representation": 0, "number_of_frames": 1}
    how |= {"pixel_keyword": "PixelData", "photometric_interpretation": "RGB" if channels == 3 else "MONOCHROME2"}
    how |= {"rows": rows, "columns": columns, "samples_per_pixel": channels, "planar_configuration": 0}
    stream = encapsulate([content + b"\0" * (len(content) % 2)])
    pixels, _ = get_decoder(uid.UID(syntax)).as_array(stream, index=0, decoding_plugin="pillow", **how)
    return pixels


def decode_compressed(source: Source, frame: int, syntax: str, force_rgb: bool) -> npt.NDArray[Any]:
    """Decode one frame that is neither lossy JPEG nor run-length coded, in a process of its own.

    Args:
        source: The DICOM file or its content; its header and the frame's own have been checked.
        frame: Counted from 0.
        syntax: The transfer syntax, of `PLUGINS`.
        force_rgb: What is said to be RGB is luma and chroma.

    Raises:
        ValueError: It cannot be decoded, or took too long or too much.
    """
    plugin = PLUGINS[syntax]
    content, name = (source, _STDIN) if isinstance(source, bytes) else (b"", str(source))
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", _PROGRAM, root, name, str(frame), syntax, plugin, str(int(force_rgb))]
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"not decoded within {SECONDS} s") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(lines[-1] if lines and done.returncode > 0 else f"it ends {plugin}")
    return np.asarray(np.load(io.BytesIO(done.stdout), allow_pickle=False))


def main(arguments: list[str]) -> None:
    """The other process: writes the pixels, as numpy saves them, to standard output."""
    name, frame, syntax, plugin, force_rgb = arguments
    source = sys.stdin.buffer.read() if name == _STDIN else name
    try:
        import resource
    except ImportError:  # Windows has no such limit
        pass
    else:
        _, most = resource.getrlimit(resource.RLIMIT_AS)  # schedulers set less, which only root can raise
        memory = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    np.save(sys.stdout.buffer, _decode(source, int(frame), syntax, plugin, force_rgb == "1"))


def _decode(source: Source, frame: int, syntax: str, plugin: str, force_rgb: bool) -> npt.NDArray[Any]:
    options: dict[str, Any] = {"force_rgb": True} if force_rgb else {}
    with stream_of(source) as stream:
        return pixel_array(stream, index=frame, transfer_syntax_uid=uid.UID(syntax), decoding_plugin=plugin, **options)
