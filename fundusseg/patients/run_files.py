"""What a run left of its photographs, and the photographs themselves, read again; tables of an earlier run removed."""

from pathlib import Path

from fundusseg.cli import console
from fundusseg.imaging.image_files import read_photograph
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.patients.columns import MADE_BY
from fundusseg.reports.data_dictionary import dictionary_names
from fundusseg.sample import Image

UNASSIGNED = "unassigned.csv"
"""Photographs of nobody and lines of no photograph, with a sentence each."""

PAGE = "patients.html"

BY_TABLE = {
    name: (*dictionary_names(name), *more, name)
    for name, more in {"eyes.csv": (), "visits.csv": (), "patients.csv": (UNASSIGNED, PAGE)}.items()
}
"""The files that come with each table; the table itself, by which they are known, last."""

WRITTEN = tuple(file for files in BY_TABLE.values() for file in files)
"""All that a run writes whose patients are known."""


class RunFiles:
    """The files of a run in a folder.

    Args:
        output: The output folder.
    """

    def __init__(self, output: Path) -> None:
        self.output = output

    def local(self, path: Path) -> Path:
        """Where a file can be opened whose path starts in the output folder; it may be gone."""
        return self.output / path

    def photograph(self, entry: JournalEntry) -> Image:
        """Read a photograph again.

        Raises:
            ImageError: It cannot be read.
        """
        return read_photograph(entry.path, entry.page)


def remove_tables(output: Path) -> list[str]:
    """Remove the patients' tables of an earlier run: they stand for its photographs, not for those of this one.

    A file of the same name that predict did not write stays.

    Returns:
        The names of what is gone.
    """
    ours = [name for name in BY_TABLE if _is_ours(output / name)]
    gone = [file for name in ours for file in BY_TABLE[name]]
    for file in gone:
        (output / file).unlink(missing_ok=True)
    if ours:
        console.print(
            f"{', '.join(ours)} of an earlier run removed: a run writes its own where it knows patients",
            style="yellow",
            soft_wrap=True,
        )
    return gone


def _is_ours(table: Path) -> bool:
    """Whether a table has the columns that say what made its rows."""
    if not table.is_file():
        return False
    with table.open("rb") as lines:
        heading = lines.readline().rstrip().split(b",")
    return all(column.name.encode() in heading for column in MADE_BY)
