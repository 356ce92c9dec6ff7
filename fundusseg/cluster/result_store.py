"""Where many machines write: a folder that all see, or an address of an object store (s3://, gs://, abfs://).

Files of a photograph have names that depend on the photograph alone and are written whole: written twice, they are the
same. The rows of a block are one Parquet file, named after what is in the block: a photograph is done once it stands in
one. Packed, that file holds the photographs' own files too, one object in place of four for each.
"""

import hashlib
import io
import json
import os
import posixpath
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import get_ident
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from fundusseg.atomic_file import write_whole
from fundusseg.cluster.addresses import at_address
from fundusseg.errors import ConfigurationError
from fundusseg.inference.result_paths import JOURNAL, PROVENANCE
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.reports.files import difference

BLOCKS = "blocks"
"""Folder of the Parquet files: below the journal, or, packed, a result of its own."""

_FILE = pa.struct([("path", pa.string()), ("content", pa.binary())])
_SCHEMA = pa.schema([("name", pa.binary()), ("entry", pa.string()), ("files", pa.list_(_FILE))])


class ResultStore:
    """A folder or an address.

    Args:
        place: It.
        packed: Keep a block's files in its Parquet file.

    Attributes:
        output: What the paths of its files begin with: nothing.
        folder: The folder; None at an address.
    """

    def __init__(self, place: str, packed: bool = False) -> None:
        self.output, self.packed = Path(), packed
        self.folder = None if "://" in place else Path(place).absolute()
        with at_address(place):
            self.files, self.root = fsspec.core.url_to_fs(str(self.folder or place))
        self._blocks = BLOCKS if packed else f"{JOURNAL}/{BLOCKS}"
        self._kept: list[dict[str, Any]] = []
        self._held: dict[str, str] = {}

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all; packed, keep it for its block."""
        if self.packed:
            self._kept.append({"path": path.as_posix(), "content": content})
        else:
            self.put(path.as_posix(), content)

    def put(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all."""
        if self.folder is None and "file" in self.files.protocol:
            write_whole(Path(self._at(name)), content)
            return
        if self.folder is None:
            self.files.pipe_file(self._at(name), content)  # an object appears whole
            return
        partial = self.folder / JOURNAL / "partial"
        partial.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / name, content, partial / f"{socket.gethostname()}-{os.getpid()}-{get_ident()}")

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self.files.exists(self._at(name)))

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        if self.exists(name):
            self.files.rm(self._at(name))

    def read_result(self, path: str, entries: Mapping[str, JournalEntry]) -> bytes | None:
        """A file of a photograph, out of its block where it is packed; None where it is gone.

        Args:
            path: As it was written.
            entries: Of the photographs, by name.
        """
        if not self.packed:
            try:
                return bytes(self.files.cat_file(self._at(path)))
            except FileNotFoundError:
                return None
        # A block may be of an earlier state of the photograph's file.
        self._held = self._held or {_state(entry): block for block, entry in self._rows()}
        name = photograph_of(path)
        block = self._held.get(_state(entries[name]))
        if block is None:
            return None
        with self.files.open(block, "rb") as file:
            table = pq.read_table(file, columns=["files"], filters=[("name", "==", os.fsencode(name))])
        kept = (file for row in table["files"].to_pylist() for file in row)
        return next((file["content"] for file in kept if file["path"] == path), None)

    def put_block(self, entries: Sequence[JournalEntry]) -> None:
        """Write a block's rows, and what was kept for it: from here on its photographs are done."""
        kept, self._kept = self._kept, []
        names = [os.fsencode(entry.name) for entry in entries]
        files: dict[str, list[dict[str, Any]]] = {entry.name: [] for entry in entries}
        for file in kept:
            files[photograph_of(file["path"])].append(file)
        table = pa.table([names, [entry.line() for entry in entries], [*files.values()]], schema=_SCHEMA)
        stream = io.BytesIO()
        # A row group for each photograph, packed: what reads one back need not read the others.
        pq.write_table(table, stream, row_group_size=1 if self.packed else None)
        digest = hashlib.blake2b(b"\0".join(names), digest_size=12).hexdigest()
        self.put(f"{self._blocks}/{digest}.parquet", stream.getvalue())

    def entries(self) -> Iterator[JournalEntry]:
        """Every row of every block; a photograph may have several, of its file's earlier states too."""
        return (entry for _, entry in self._rows())

    def _rows(self) -> Iterator[tuple[str, JournalEntry]]:
        for path in self._list_blocks():
            table = pq.read_table(io.BytesIO(self.files.cat_file(path)), columns=["entry"])
            yield from ((path, JournalEntry.of_line(line)) for line in table["entry"].to_pylist())

    def forget_blocks(self) -> None:
        """Remove the blocks' rows, once they stand in the journal."""
        if not self.packed and self.files.exists(self._at(self._blocks)):
            self.files.rm(self._at(self._blocks), recursive=True)

    def claim(self, made_by: dict[str, Any], overwrite: bool) -> None:
        """Say at an address what makes its results, or compare with what did; a folder's journal does that itself.

        Raises:
            ConfigurationError: The results there were made by something else, or the address cannot be used.
        """
        if overwrite:
            for path in self._list_blocks():
                self.files.rm(path)
        if self.folder is not None:
            return
        name = f"{JOURNAL}/{PROVENANCE}"
        with at_address(self.root):
            before = None
            if not overwrite and self.files.exists(self._at(name)):
                before = json.loads(self.files.cat_file(self._at(name)))
            if before is None:
                self.put(name, json.dumps(made_by, indent=2).encode())
        if before is not None and (other := difference(before, made_by)):
            raise ConfigurationError(
                f"an output whose results come from another {other}: {self.root}",
                "one checkpoint's results at an address",
                "give another --output, or --overwrite to begin anew",
            )

    def _list_blocks(self) -> list[str]:
        folder = self._at(self._blocks)
        if not self.files.exists(folder):
            return []
        self.files.invalidate_cache()  # of listings: other machines write
        return sorted(path for path in self.files.ls(folder, detail=False) if path.endswith(".parquet"))

    def _at(self, name: str) -> str:
        return posixpath.join(self.root, name)


def _state(entry: JournalEntry) -> str:
    """A photograph as its file was."""
    return replace(entry, row={}).line()


def photograph_of(path: str) -> str:
    """The photograph's name that a file is named after.

    >>> photograph_of("left/1_labels.png"), photograph_of("journal/thumbnails/left/1.jpg")
    ('left/1', 'left/1')
    """
    thumbnails = f"{JOURNAL}/thumbnails/"
    if path.startswith(thumbnails):
        return path.removeprefix(thumbnails).removesuffix(".jpg")
    return path.rpartition("_")[0]
