"""Tables that come with a dataset: rows by picture, every cell checked against what it may hold."""

from collections.abc import Mapping
from csv import DictReader
from pathlib import Path
from typing import TypeVar

from fundusseg.errors import DatasetError

Meaning = TypeVar("Meaning")


def read_csv(path: Path, key: str, columns: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Read a CSV file's rows by the stem of the picture that its column ``key`` names.

    Raises:
        DatasetError: A column is missing, or a picture stands on two lines.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = DictReader(file, skipinitialspace=True)
        missing = {key, *columns} - set(reader.fieldnames or ())
        if missing:
            raise DatasetError(
                f"no column {min(missing)} in {path}",
                f"the columns {', '.join((key, *columns))}",
                "restore the table from the dataset's package",
            )
        rows: dict[str, dict[str, str]] = {}
        for row in reader:
            stem = Path((row[key] or "").strip()).stem
            if stem in rows:
                raise DatasetError(
                    f"{stem!r} twice, in line {reader.line_num} of {path}",
                    "each picture on one line",
                    "restore the table from the dataset's package",
                )
            rows[stem] = {column: (row[column] or "").strip() for column in columns}
    return rows


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
        raise DatasetError(
            f"{value!r} as {what} in {path}",
            f"one of {', '.join(meanings)}",
            "restore the table from the dataset's package",
        )
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
            "restore the table from the dataset's package, or remove the picture",
        )
    return rows[name]
