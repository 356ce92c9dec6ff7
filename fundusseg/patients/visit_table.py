"""A table of photographs with patient, eye and date, as people make them with a spreadsheet."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fundusseg.errors import ConfigurationError
from fundusseg.imaging.csv_files import PATH_COLUMNS, file_name, read_rows
from fundusseg.inference.photograph_list import Photograph, listed_file

PATIENT_COLUMNS = ("patient", "patient_id", "patientid", "id")
"""Columns that may name the patient, the first that is there."""

DATE_COLUMNS = ("date", "visit", "visit_date", "exam_date")
"""Columns that may hold the date."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line.

    Attributes:
        where: Table and line, for people.
        file: As the cell says it.
        path: The file that it names, from the root.
        patient: As it stands there.
        eye: Likewise.
        date: Likewise.
    """

    where: str
    file: str
    path: str
    patient: str
    eye: str
    date: str


class VisitTable:
    """Lines of a table by the photograph that they name: by its path, or by its file's name where that is one's alone.

    Args:
        path: A CSV file with columns `file` (or path, image, ...) and `patient`; `eye` and `date` where known.

    Raises:
        ConfigurationError: It cannot be read, or one of the two columns is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = _rows(path)

    def of(self, photographs: Sequence[Photograph]) -> tuple[dict[int, list[TableRow]], list[TableRow]]:
        """Lines of each photograph by its position, and the lines that name none of them."""
        by_path: dict[str, list[int]] = {}
        by_name: dict[str, list[int]] = {}
        for number, photograph in enumerate(photographs):
            by_path.setdefault(_absolute(photograph.path), []).append(number)
            by_name.setdefault(file_name(str(photograph.path)), []).append(number)
        found: dict[int, list[TableRow]] = {}
        unknown = []
        for row in self.rows:
            named = by_name.get(file_name(row.file), [])
            alone = len({photographs[number].path for number in named}) == 1
            places = by_path.get(row.path) or (named if alone else [])
            for number in places:
                found.setdefault(number, []).append(row)
            if not places:
                unknown.append(row)
        return found, unknown


def has_patients(path: Path) -> bool:
    """Whether a list of photographs names their patients too."""
    try:
        heading = [cell.lower() for cell in read_rows(path)[0][1]]
    except (OSError, ValueError, IndexError):
        return False  # who reads the list says so
    return any(name in heading for name in PATIENT_COLUMNS[:3])


def _rows(path: Path) -> list[TableRow]:
    try:
        (_, heading), *rows = read_rows(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"a table that cannot be read ({type(error).__name__}): {path}", "a CSV file in UTF-8", "save it as such"
        ) from error
    columns = [cell.lower() for cell in heading]

    def place(names: Sequence[str], needed: str = "") -> int:
        found = next((columns.index(name) for name in names if name in columns), len(columns))
        if needed and found == len(columns):
            raise ConfigurationError(
                f"the columns {', '.join(heading)} in {path}", f"one called {needed}", "name its columns in line 1"
            )
        return found

    file, patient = place(PATH_COLUMNS, PATH_COLUMNS[0]), place(PATIENT_COLUMNS, PATIENT_COLUMNS[0])
    eye, date = place(("eye", "laterality")), place(DATE_COLUMNS)

    def row(line: int, cells: list[str]) -> TableRow:
        said = ["".join(cells[column : column + 1]) for column in (file, patient, eye, date)]
        return TableRow(f"{path.name}, line {line}", said[0], _absolute(listed_file(said[0], path.parent)), *said[1:])

    return [row(line, cells) for line, cells in rows]


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay links, ".." goes, asks no disk
