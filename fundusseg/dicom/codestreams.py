"""What a compressed picture says of itself (JPEG, JPEG-LS, JPEG 2000): its size, its colours; nothing is decoded."""

import struct

_FRAME_MARKERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
"""Start of frame: of JPEG in all its processes, and of JPEG-LS; C4, C8 and CC are tables."""

_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a length."""


def codestream_size(content: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and channels that a codestream claims.

    Args:
        content: One frame, all its fragments together.

    Returns:
        None where it is none of the three formats or too damaged to say.
    """
    if content[:4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000(content, 2)
    if content[4:8] == b"jP  ":  # a JPEG 2000 file, which encoders wrote where a codestream belongs
        inside = content.find(b"\xff\x4f\xff\x51")
        return _jpeg_2000(content, inside + 2) if inside >= 0 else None
    if (start := _start_of_frame(content)) is not None:
        rows, columns, channels = struct.unpack_from(">HHB", content, start + 5)
        return rows, columns, channels
    return None


def has_coarse_chroma(content: bytes) -> bool:
    """Whether a JPEG keeps two of its three channels at a lower resolution: only luma and chroma are kept so."""
    start = _start_of_frame(content)
    if start is None or content[start + 9] != 3 or len(content) < start + 19:
        return False
    first, *others = content[start + 11 : start + 19 : 3]
    return first != 0x11 and others == [0x11, 0x11]


def _jpeg_2000(content: bytes, start: int) -> tuple[int, int, int] | None:
    """From the SIZ segment, ISO/IEC 15444-1, A.5.1."""
    if len(content) < start + 40:
        return None
    x1, y1, x0, y0 = struct.unpack_from(">4I", content, start + 6)
    (channels,) = struct.unpack_from(">H", content, start + 38)
    return y1 - y0, x1 - x0, channels


def _start_of_frame(content: bytes) -> int | None:
    """Where the marker stands behind which the size is told, ISO/IEC 10918-1, B.2.2, and 14495-1, C.2.2."""
    if content[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in _FRAME_MARKERS:
            return place
        if marker == 0xFF:
            place += 1
        elif marker in _BARE:
            place += 2
        else:
            place += 2 + max(2, int.from_bytes(content[place + 2 : place + 4], "big"))
    return None
