"""Tables that come with a dataset: rows by picture, every cell checked against what it may hold."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from fundusseg.errors import DatasetError
from fundusseg.imaging.csv_files import file_name, read_rows
from fundusseg.imaging.image_files import SUFFIXES

Meaning = TypeVar("Meaning")

_CORRECT = "correct the table, or restore it from the dataset's package"


def without_ending(name: str) -> str:
    """A picture's name in a table, without folders and without the ending of a picture's file."""
    picture = Path(file_name(name))
    return picture.stem if picture.suffix.lower() in SUFFIXES else picture.name


def read_csv(
    path: Path,
    key: str,
    columns: tuple[str, ...] = (),
    fold: Callable[[str], str] = without_ending,
    more: Iterable[str] = (),
) -> dict[str, dict[str, str]]:
    """Read a CSV file's rows by picture; a row that names none is passed over.

    Args:
        path: The table.
        key: The column that names the pictures, with or without the ending of a picture's file.
        columns: Further columns that must be there.
        fold: What makes a picture's name of that column's cell.
        more: Columns that may be there. Of all that are named, letter case does not count in the table.

    Returns:
        Every cell, stripped, by the picture's name and by column.

    Raises:
        DatasetError: A column is missing, or a picture stands on two lines.
    """
    lines = table_rows(path)
    heading = lines[0][1] if lines else []
    wanted = {column.casefold(): column for column in (key, *columns, *more)}
    present = [wanted.get(cell.casefold(), cell) for cell in heading]
    missing = [column for column in (key, *columns) if column not in present]
    if missing:
        raise DatasetError(
            f"no column {missing[0]} (but {', '.join(heading)[:80] or 'none'}) in {path}",
            f"the columns {', '.join((key, *columns))}",
            _CORRECT,
        )
    rows: dict[str, dict[str, str]] = {}
    for line, cells in lines[1:]:
        # Cells beyond the last column mean nothing; a short line's last cells are empty.
        row = {**dict.fromkeys(present, ""), **dict(zip(present, cells, strict=False))}
        if not row[key]:
            continue
        name = fold(row[key])
        if name in rows:
            raise DatasetError(f"{name!r} twice, in line {line} of {path}", "each picture on one line", _CORRECT)
        rows[name] = row
    return rows


def table_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Read a table's rows with their lines' numbers.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        return read_rows(path)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"a table that cannot be read ({type(error).__name__}): {path}", "a CSV file in UTF-8", "save it as such"
        ) from error


def read_sheet(path: Path) -> list[list[str]]:
    """Read the first sheet of an Excel file: every row, cells as stripped text, empty where there is nothing.

    Raises:
        DatasetError: It cannot be read.
    """
    # pandas takes long to import and little else on the data side needs it.
    import pandas as pd

    try:
        # No header: these sheets have several lines of headings, or none; as text, so that 001 stays 001.
        sheet = pd.read_excel(path, header=None, dtype=str).fillna("")
    except Exception as error:  # zip, XML and openpyxl errors of a dozen kinds for a broken file
        raise DatasetError(
            f"a table that cannot be read ({type(error).__name__}): {path}",
            "the dataset's Excel sheet",
            "copy the file again from its source, or remove it to go without what it tells",
        ) from error
    return [[str(cell).strip() for cell in row] for row in sheet.to_numpy().tolist()]


def column(rows: Iterable[Sequence[str]], heading: str, path: Path) -> int:
    """Number of the column that one of the rows heads with these letters; case, blanks and marks do not count.

    Raises:
        DatasetError: No row does.
    """
    for row in rows:
        for position, cell in enumerate(row):
            if re.sub(r"[\W_]", "", cell).lower().startswith(heading.lower()):
                return position
    raise DatasetError(
        f"no column {heading} in {path}",
        "the dataset's Excel sheet",
        "restore the table from the dataset's package, or remove it to go without what it tells",
    )


def meaning(value: str, meanings: Mapping[str, Meaning], what: str, path: Path) -> Meaning:
    """What a cell's value means.

    Args:
        value: The cell.
        meanings: Meaning of each value.
        what: The cell's name for the message, ``"Glaucoma of 001"``.
        path: The table.

    Raises:
        DatasetError: The value is none of these.
    """
    if value not in meanings:
        known = ", ".join(cell or "an empty cell" for cell in meanings)
        raise DatasetError(f"{value!r} as {what} in {path}", f"one of {known}", _CORRECT)
    return meanings[value]


def line_of(name: str, rows: Mapping[str, Meaning], picture: Path, path: Path) -> Meaning:
    """One picture's row.

    Raises:
        DatasetError: The table has none.
    """
    if name not in rows:
        raise DatasetError(
            f"no line for {picture} in {path}",
            "a line for each picture",
            "add the line, restore the table, or remove the picture",
        )
    return rows[name]
