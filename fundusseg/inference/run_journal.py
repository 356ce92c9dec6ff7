"""An output folder that a killed run can take up again: what is done stands in an append-only journal.

Below the output folder lies ``journal``: ``run.json`` says what made the results, ``rows.jsonl`` holds a line for each
photograph done, written after its files. A photograph counts as done as long as its path, size and time of change are
the same. A torn last line is passed over. ``lock`` is held by the one process that writes.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from fundusseg.atomic_file import write_whole
from fundusseg.errors import ConfigurationError, FundusSegError
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.result_paths import JOURNAL, PROVENANCE
from fundusseg.reports.files import difference

ROWS = "rows.jsonl"
_LOCK = "lock"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One photograph done.

    Attributes:
        name: Of its results.
        path: Its file, from the root.
        size: Bytes; -1 where there was no file.
        changed: Nanoseconds; -1 likewise.
        eye: As given.
        row: Its row of measures.csv; NaN is None.
        page: Frame of a file of several, counted from 0.
    """

    name: str
    path: str
    size: int
    changed: int
    eye: str
    row: dict[str, Any]
    page: int = 0

    @classmethod
    def of_line(cls, line: str | bytes) -> "JournalEntry":
        """The entry that a line holds.

        Raises:
            ValueError, TypeError, AttributeError: It is torn, or holds something else.
        """
        entry = cls(**json.loads(line))
        # The columns' names, of which a hundred thousand rows would each hold their own.
        return replace(entry, row={sys.intern(key): value for key, value in entry.row.items()})

    def line(self) -> str:
        """ASCII: file names need not be Unicode, and escapes keep every byte of them."""
        return json.dumps(asdict(self), allow_nan=False) + "\n"

    @classmethod
    def of_photograph(cls, photograph: Photograph, row: Mapping[str, Any]) -> "JournalEntry":
        """The entry of a photograph as its file is now."""
        try:
            stat = photograph.path.stat()
            size, changed = stat.st_size, stat.st_mtime_ns
        except (OSError, ValueError):  # there is no such file, or a name that no file can have
            size = changed = -1
        path = os.path.abspath(photograph.path)  # noqa: PTH100 - links stay links, ".." goes
        # NaN, which differs from itself, is no JSON.
        plain = {key: None if value != value else value for key, value in row.items()}
        return cls(photograph.name, path, size, changed, photograph.eye, plain, photograph.page)

    def holds(self, now: "JournalEntry") -> bool:
        """Whether the photograph is the same still, and was measured."""
        return replace(self, row={}) == replace(now, row={}) and not self.row["error"]


class Journal:
    """The journal of one run; a context manager, as it holds a file open.

    Args:
        output: The output folder.
        run: What makes the results: plain types. It is compared with what the folder's results were made by.
        overwrite: Begin anew, also where the folder was made by something else.

    Attributes:
        partial: Folder where files are written before they take their names.

    Raises:
        ConfigurationError: The folder's results were made by something else, another process writes to it, or it cannot
            be written to.
    """

    def __init__(self, output: Path, run: Mapping[str, Any], overwrite: bool = False) -> None:
        self.output, self.folder = output, output / JOURNAL
        self.partial, self._path = self.folder / "partial", self.folder / ROWS
        self._lock = FileLock(self.folder / _LOCK)
        try:
            # The lock before all else: a second run would clear away what the first is writing.
            self._claim()
            if overwrite:
                self._forget()
            # What a killed run was writing when it ended.
            shutil.rmtree(self.partial, ignore_errors=True)
            self.partial.mkdir(parents=True)
            self._check(dict(run))
            self.entries = {entry.name: entry for entry in read_entries(self._path)}
            self._compact(self.entries.values())
            self._file = self._path.open("a", encoding="ascii", newline="\n")
        except FundusSegError:
            self._lock.release()
            raise
        except OSError as error:
            self._lock.release()
            raise ConfigurationError(
                f"an output folder that cannot be written to ({error.strerror}): {output}",
                "a folder of your own, on a disk with space",
                "give another with --output",
            ) from error

    def _claim(self) -> None:
        """Be the only process that writes here; the system lets go of the lock when the process ends, however it ends.

        Raises:
            ConfigurationError: Another process writes.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigurationError(
                f"an output folder that another predict is writing to: {self.output}",
                "one run at a time in a folder",
                "wait for its end, or give another --output",
            ) from error

    def _forget(self) -> None:
        """Clear away what the folder knows of its results."""
        for path in self.folder.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _check(self, run: dict[str, Any]) -> None:
        """Compare with what made the folder's results."""
        before = read_provenance(self.output)
        if before is None:
            self.write(self.folder / PROVENANCE, json.dumps(run, indent=2).encode())
        elif other := difference(before, run):
            self.partial.rmdir()
            raise ConfigurationError(
                f"an output folder whose results come from another {other}: {self.output}",
                "one checkpoint's results in a folder",
                "give another --output, or --overwrite to begin anew",
            )

    def write(self, path: Path, content: bytes) -> None:
        """Write a file of the output folder atomically, from any thread."""
        write_whole(path, content, self.partial / str(get_ident()))

    def keep(self, now: JournalEntry, file: str) -> bool:
        """Whether a photograph is done already; its path is then spelt as it is today.

        Args:
            now: The photograph's entry with an empty row.
            file: How its path is spelt.
        """
        entry = self.entries.get(now.name)
        if entry is None or not entry.holds(now):
            return False
        self.entries[now.name] = replace(entry, row={**entry.row, "file": file})
        return True

    def add(self, entry: JournalEntry) -> None:
        """Note a photograph whose files are written."""
        self.entries[entry.name] = entry
        self._file.write(entry.line())
        # To the system, not the disk: a kill loses no line that is written, a power cut may lose the last.
        self._file.flush()

    def order(self, names: Sequence[str]) -> list[JournalEntry]:
        """End a run that is done: write the journal anew, what is named first and in that order, and return it."""
        self._file.close()
        wanted = {name: self.entries[name] for name in names}
        self._compact((wanted | self.entries).values())
        return list(wanted.values())

    def close(self) -> None:
        """End the run; it can be taken up again."""
        self._file.close()
        shutil.rmtree(self.partial, ignore_errors=True)
        self._lock.release()

    def _compact(self, entries: Iterable[JournalEntry]) -> None:
        """One whole line for each name."""
        self.write(self._path, "".join(entry.line() for entry in entries).encode("ascii"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read_entries(path: Path) -> list[JournalEntry]:
    """A journal's entries, the last one of each name; what is torn or foreign is passed over."""
    entries = {}
    if path.is_file():
        with path.open("rb") as lines:
            for line in lines:
                try:
                    entry = JournalEntry.of_line(line)
                except (ValueError, TypeError, AttributeError):
                    continue
                entries[entry.name] = entry
    return list(entries.values())


def read_provenance(output: Path) -> dict[str, Any] | None:
    """What a folder's results were made by; None where there are none."""
    try:
        content: dict[str, Any] = json.loads((output / JOURNAL / PROVENANCE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"a damaged journal in {output} ({type(error).__name__})", "what predict wrote", "use --overwrite"
        ) from error
    return content
