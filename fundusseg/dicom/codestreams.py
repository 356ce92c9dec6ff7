"""What a compressed picture says of itself (JPEG, JPEG-LS, JPEG 2000): its size, its colours; nothing is decoded."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_FRAME_MARKERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
"""Start of frame: of JPEG in all its processes, and of JPEG-LS; C4, C8 and CC are tables."""

_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
"""Markers without a length."""

_APPLICATION = range(0xE0, 0xF0)


@dataclass(frozen=True, slots=True)
class Codestream:
    """The head of one frame.

    Attributes:
        rows: Claimed.
        columns: Claimed.
        channels: Claimed.
        bits: Of each number.
        luma: Whether the three channels are luma and chroma: of JPEG as its markers say it or, where they say nothing,
            as only luma and chroma are kept at two resolutions. None where nothing in it says it.
        turned: Of JPEG 2000, whether it turns colours into luma and chroma itself, and a decoder turns them back.
    """

    rows: int
    columns: int
    channels: int
    bits: int
    luma: bool | None = None
    turned: bool = False


def read_codestream(content: bytes) -> Codestream | None:
    """Read the head of one frame, all its fragments together; None where it is none of the three formats or damaged."""
    try:
        if content[:4] == b"\xff\x4f\xff\x51":
            return _jpeg_2000(content, 2)
        if content[4:8] == b"jP  ":  # a JPEG 2000 file, which encoders wrote where a codestream belongs
            inside = content.find(b"\xff\x4f\xff\x51")
            return _jpeg_2000(content, inside + 2) if inside >= 0 else None
        return _jpeg(content)
    except (struct.error, IndexError):
        return None


def with_colours(content: bytes, luma: bool) -> bytes:
    """A JPEG of three channels whose markers say, to every decoder alike, whether they are luma and chroma.

    Without a marker decoders guess, from the names of the channels, and guess wrong where a camera stores red, green
    and blue under the names of luma and chroma. Adobe's marker says it for good; other application data is left out.
    """
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([luma])
    kept, frame = [content[:2], adobe], 2
    for marker, start, end in _segments(content):
        if marker in _FRAME_MARKERS:
            frame = start
            break
        if marker not in _APPLICATION:
            kept.append(content[start:end])
    return b"".join((*kept, content[frame:]))


def _jpeg_2000(content: bytes, start: int) -> Codestream:
    """From the segments SIZ and COD, ISO/IEC 15444-1, A.5.1 and A.6.1."""
    x1, y1, x0, y0 = struct.unpack_from(">4I", content, start + 6)
    (channels,) = struct.unpack_from(">H", content, start + 38)
    bits = (content[start + 40] & 0x7F) + 1
    place, turned = start, False
    while content[place : place + 2] != b"\xff\x90":  # until the first tile
        marker, length = struct.unpack_from(">HH", content, place)
        if marker == 0xFF52:
            turned = content[place + 8] == 1
            break
        place += 2 + max(2, length)
    return Codestream(y1 - y0, x1 - x0, channels, bits, turned=turned)


def _jpeg(content: bytes) -> Codestream | None:
    """ISO/IEC 10918-1, B.2.2, and 14495-1, C.2.2; JFIF (ISO/IEC 10918-5), and Adobe's marker (its part 6)."""
    jfif, adobe = False, None
    for marker, start, end in _segments(content):
        body = content[start + 4 : end]
        if marker == 0xE0 and body[:5] == b"JFIF\0":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in _FRAME_MARKERS:
            bits, rows, columns, channels = struct.unpack_from(">BHHB", content, start + 4)
            luma = _luma(jfif, adobe, content[start + 10 : start + 19]) if channels == 3 and marker != 0xF7 else None
            return Codestream(rows, columns, channels, bits, luma)
    return None


def _luma(jfif: bool, adobe: int | None, channels: bytes) -> bool | None:
    """In the order in which libjpeg, and so every camera's viewer, believes the marks."""
    if jfif:
        return True
    if adobe is not None:
        return adobe != 0
    if channels[::3] in (b"RGB", b"rgb"):
        return False
    first, *others = channels[1::3]
    return True if first != 0x11 and others == [0x11, 0x11] else None


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment of a JPEG's head, up to the frame's."""
    if content[:2] != b"\xff\xd8":
        return
    place = 2
    while place + 10 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        length = 0 if marker in _BARE else max(2, int.from_bytes(content[place + 2 : place + 4], "big"))
        yield marker, place, place + 2 + length
        if marker in _FRAME_MARKERS:
            return
        place += 2 + length
