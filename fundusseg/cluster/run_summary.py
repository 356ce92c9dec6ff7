"""The end of `predict` on a cluster: table, report and patients' tables, by the code that ends a run on one machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fundusseg.cluster.addresses import SIGN, read_address
from fundusseg.cluster.result_store import ResultStore
from fundusseg.inference.photograph_list import Photograph, PhotographList
from fundusseg.inference.report_page import EMBEDDED
from fundusseg.inference.result_paths import thumbnail_path
from fundusseg.inference.run_journal import JournalEntry
from fundusseg.inference.summary import MEASURES, WRITTEN, summarise_run
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients import run_files
from fundusseg.patients.identity import Identities, find_identities
from fundusseg.patients.run_files import BY_TABLE, RunFiles, remove_tables
from fundusseg.patients.summary import summarise_patients
from fundusseg.sample import Image


@dataclass(frozen=True, slots=True)
class Patients:
    """Who says whose the photographs are, and how well an eye is measured.

    Attributes:
        table: A CSV file of this machine.
        pattern: Of the photographs' names.
        repeatability: Error of the measures.
        given: The files that all this was read from.
    """

    table: Path | None = None
    pattern: str | None = None
    repeatability: Repeatability = field(default_factory=Repeatability)
    given: tuple[str, ...] = ()

    def identify(self, photographs: Sequence[Photograph], named: Sequence[str], spelt: Mapping[str, str]) -> Identities:
        """As `find_identities`; what is said of a photograph names it as the user spelt it."""
        found = find_identities(photographs, self.table, self.pattern, named)
        by_name = dict(found.by_name)
        for photograph in photographs:
            if said := by_name.get(photograph.name):
                remarks = (remark.replace(str(photograph.path), spelt[photograph.name]) for remark in said.remarks)
                by_name[photograph.name] = replace(said, remarks=tuple(remarks))
        return replace(found, by_name=by_name)


class StoredFiles(RunFiles):
    """The files of a run wherever they lie.

    Args:
        store: That holds them.
        entries: Of the photographs.
        output: Where tables are written.
        scratch: For the file that was asked for last.
    """

    def __init__(self, store: ResultStore, entries: Sequence[JournalEntry], output: Path, scratch: Path) -> None:
        super().__init__(output)
        self._store, self._scratch = store, scratch
        self._entries = {entry.name: entry for entry in entries}

    def local(self, path: Path) -> Path:
        """The file itself where this machine sees it, else a copy, which the next one takes the place of."""
        if self._store.folder is not None and not self._store.packed:
            return super().local(path)
        content = self._store.read_result(path.as_posix(), self._entries)
        copy = self._scratch / "copy"
        copy.unlink(missing_ok=True)
        if content is not None:
            copy.write_bytes(content)
        return copy

    def photograph(self, entry: JournalEntry) -> Image:
        """Read a photograph again, at its address too."""
        return read_address(entry.path).image if SIGN in entry.path else super().photograph(entry)


def remove_ended(store: ResultStore, folder: Path) -> None:
    """Remove what stands for a run that came to its end: the table, and an earlier run's of patients."""
    store.remove(MEASURES)
    _remove_tables(store, folder)


def summarise(
    store: ResultStore,
    folder: Path,
    entries: Sequence[JournalEntry],
    made_by: Mapping[str, Any],
    listed: PhotographList,
    identities: Identities,
    repeatability: Repeatability,
) -> int:
    """Write tables and pages; at an address, from what was made here. The exit code."""
    place = None if store.folder else store.files.unstrip_protocol(store.root)
    with TemporaryDirectory() as scratch:
        files = StoredFiles(store, entries, folder, Path(scratch))
        summarise_patients(entries, identities, made_by, files, repeatability, place)
    if place is None:
        code = summarise_run(entries, made_by, folder, listed.passed_over)
        store.forget_blocks()
        return code
    if not store.packed:
        _fetch_thumbnails(store, folder, entries)
    code = summarise_run(entries, made_by, folder, listed.passed_over, place)
    made = [name for name in (*WRITTEN, *run_files.WRITTEN) if (folder / name).is_file()]
    if not set(made) & set(BY_TABLE):
        _remove_tables(store, folder)
    for name in sorted(made, key=MEASURES.__eq__):  # the table last: it stands for a run that came to its end
        store.put(name, (folder / name).read_bytes())
    return code


def _remove_tables(store: ResultStore, folder: Path) -> None:
    """Remove an earlier run's tables of patients; those of an address by what this does to their copies."""
    copied = [] if store.folder else [name for name in BY_TABLE if store.exists(name)]
    for name in copied:
        (folder / name).write_bytes(store.files.cat_file(f"{store.root}/{name}"))
    gone = remove_tables(folder)
    for name in gone if copied else ():
        store.remove(name)
    for name in copied:
        (folder / name).unlink(missing_ok=True)


def _fetch_thumbnails(store: ResultStore, folder: Path, entries: Sequence[JournalEntry]) -> None:
    """Have the report's pictures in its folder."""
    for entry in entries[:EMBEDDED]:
        thumbnail = thumbnail_path(Path(), entry.name).as_posix()
        if not entry.row["error"]:
            local = folder / thumbnail
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(store.files.cat_file(f"{store.root}/{thumbnail}"))
