"""Tables that people make with a spreadsheet: rows of cells, whatever the encoding, the delimiter and the spelling."""

import csv
import io
import re
from pathlib import Path
from unicodedata import normalize

from fundusseg.errors import ImageError
from fundusseg.sample import Eye

PATH_COLUMNS = ("file", "path", "image", "filename", "photograph", "photo")
"""Columns that may name the photographs, the first that is there."""

EYES: dict[str, Eye] = {"od": "OD", "right": "OD", "r": "OD", "os": "OS", "left": "OS", "l": "OS"}
"""What a cell, in lower case, may say of the eye."""

EYE_WORDS = "OD, right or R, OS, left or L, or nothing"


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Read a CSV file with comma, semicolon or tab between its cells.

    Excel's "Unicode text" is UTF-16 with a mark; what is no UTF-8 is taken for Western Europe's Windows-1252.

    Returns:
        Number of the last line of each row that is not empty, counted from 1, and its cells, stripped.

    Raises:
        OSError: It cannot be read.
        ValueError: Its mark says UTF-16, which it is not, or it is no table.
    """
    text = _decoded(path.read_bytes())
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), skipinitialspace=True)
    rows = ((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    try:
        return [(line, row) for line, row in rows if any(row)]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def eye_of(cell: str) -> Eye | None:
    """The eye that a cell names; None where it is empty.

    Raises:
        ImageError: It says something else.

    >>> eye_of("Right eye"), eye_of("os"), eye_of("")
    ('OD', 'OS', None)
    """
    word = cell.strip().lower().removesuffix(" eye")
    if word and word not in EYES:
        raise ImageError(f"{cell!r} as eye", EYE_WORDS, "mend it")
    return EYES.get(word)


def file_name(cell: str) -> str:
    r"""A file's name without its folders, of Windows' paths too, in the composed form of Unicode (NFC).

    >>> file_name(r"images\a.png"), file_name("images/a.png")
    ('a.png', 'a.png')
    """
    return normalize("NFC", re.split(r"[\\/]", cell)[-1])


def _decoded(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # A few bytes mean nothing in Windows-1252.
        return content.decode("cp1252", errors="replace")
