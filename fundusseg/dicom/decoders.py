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


def decode_compressed(source: Source, frame: int, syntax: str, bits: int, force_rgb: bool) -> npt.NDArray[Any]:
    """Decode one frame.

    Args:
        source: The DICOM file or its content; its header and the frame's own have been checked.
        frame: Counted from 0.
        syntax: The transfer syntax, of `PLUGINS`.
        bits: Stored; no library here decodes lossy JPEG of more than 8.
        force_rgb: What is said to be RGB is luma and chroma.

    Raises:
        ValueError: It cannot be decoded, or took too long or too much.
    """
    plugin = PLUGINS[syntax]
    if plugin == "pillow" and bits > 8:
        raise ValueError(f"lossy JPEG of {bits} bits, which nothing here decodes")
    if plugin in ("pillow", "pydicom"):
        return _decode(source, frame, syntax, plugin, force_rgb)
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
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    np.save(sys.stdout.buffer, _decode(source, int(frame), syntax, plugin, force_rgb == "1"))


def _decode(source: Source, frame: int, syntax: str, plugin: str, force_rgb: bool) -> npt.NDArray[Any]:
    options: dict[str, Any] = {"force_rgb": True} if force_rgb else {}
    with stream_of(source) as stream:
        return pixel_array(stream, index=frame, transfer_syntax_uid=uid.UID(syntax), decoding_plugin=plugin, **options)
