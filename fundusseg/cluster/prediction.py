"""`predict` on a cluster: what is not done yet, in blocks, by actors that hold the bundle.

A block may be executed more than once, where an actor or a node is lost under it; its results are the same and count
once. What is done is taken out of the list before anything starts, so that a run whose driver was killed goes on.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fundusseg.class_paths import trust
from fundusseg.cli import console
from fundusseg.cluster.addresses import SIGN, list_addresses, read_address
from fundusseg.cluster.connection import connected, require_ray
from fundusseg.cluster.resources import Resources
from fundusseg.cluster.result_store import ResultStore
from fundusseg.cluster.run_summary import Patients, remove_ended, summarise
from fundusseg.errors import ConfigurationError, FundusSegError
from fundusseg.inference.capture import Capture, read_capture
from fundusseg.inference.dicom_results import check_dicom
from fundusseg.inference.photograph_list import Photograph, PhotographList, find_photographs
from fundusseg.inference.photograph_stages import photograph_rows
from fundusseg.inference.run_journal import Journal, JournalEntry
from fundusseg.patients.summary import check_spared
from fundusseg.reports.progress import progress

if TYPE_CHECKING:
    from fundusseg.dicom.findings import Algorithm

BLOCK = 16
"""Photographs of a block: what is done anew where an actor is lost, and what a Parquet file holds."""

PACKED_BLOCK = 512
"""The same, packed: one file takes the place of two thousand, of some tens of megabytes."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every actor is given.

    Attributes:
        output: Folder that all machines see, or an address.
        device: As `predict` takes it.
        options: Of the `Predictor`.
        charts: Draw a chart of every eye.
        packed: Keep a block's files in its Parquet file.
        algorithm: How SEG and SR of DICOM photographs name what made them; None writes none.
        trusted: Packages whose classes the checkpoint may name.
    """

    output: str
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    charts: bool = False
    packed: bool = False
    algorithm: "Algorithm | None" = None
    trusted: tuple[str, ...] = ()


class _Actor:
    """Holds the bundle, and does one block after another."""

    def __init__(self, work: Work, checkpoint: Any) -> None:
        from fundusseg.inference.predictor import Predictor
        from fundusseg.xla.process import compute_device, prepare_process

        prepare_process()
        trust(work.trusted)
        self.work, self.store = work, ResultStore(work.output, work.packed)
        with tempfile.TemporaryDirectory() as folder:  # the machine need not see the driver's disk
            path = Path(folder) / "network.ckpt"
            path.write_bytes(require_ray().get(checkpoint))
            self.predictor = Predictor.from_checkpoint(path, compute_device(work.device), **work.options)

    def __call__(self, block: pa.Table) -> pa.Table:
        items = {item["name"]: item for item in block.to_pylist()}
        photographs = [
            Photograph(Path(os.fsdecode(i["local"])), os.fsdecode(i["name"]), i["eye"], i["page"])
            for i in items.values()
        ]

        def read(photograph: Photograph) -> Capture:
            address: str = items[os.fsencode(photograph.name)]["address"]
            return read_address(address) if address else read_capture(photograph)

        done = []
        how: dict[str, Any] = {"charts": self.work.charts, "algorithm": self.work.algorithm}
        rows = photograph_rows(self.predictor, photographs, self.store, read=read, **how)
        for photograph, row in rows:
            item = items[os.fsencode(photograph.name)]
            now, spelt = JournalEntry.of_line(item["entry"]), os.fsdecode(item["spelt"])
            row |= {"file": spelt, "error": row["error"].replace(str(photograph.path), spelt)}
            plain = {key: None if value != value else value for key, value in row.items()}
            done.append(replace(now, row=plain))
        self.store.put_block(done)
        return pa.table({"entry": [entry.line() for entry in done]})


def predict_on_cluster(
    named: Sequence[str],
    checkpoint: Path,
    work: Work,
    made_by: dict[str, Any],
    resources: Resources,
    patients: Patients,
    overwrite: bool = False,
) -> int:
    """Do what is not done yet, and write the tables and the report of it all.

    Args:
        named: Files, folders, patterns and lists, or addresses.
        checkpoint: What `fit` or `bundle` wrote.
        work: What every actor is given.
        made_by: What makes the results.
        resources: Where it runs, and what each actor takes.
        patients: Who says whose the photographs are.
        overwrite: Begin anew.

    Returns:
        The exit code: 0, or 1 where a photograph could not be done.

    Raises:
        ConfigurationError: The cluster, an address or a table cannot be used, or the output is another checkpoint's.
    """
    store = ResultStore(work.output, work.packed)
    check_spared([*patients.given, *named], store.folder or Path(store.root))
    listed, now = _listed(named, store.folder or Path())
    spelt = {name: entry.row["file"] for name, entry in now.items()}
    identities = patients.identify(listed.photographs, named, spelt)
    now = {p.name: replace(now[p.name], eye=p.eye) for p in identities.photographs}
    if work.algorithm is not None:
        check_dicom(identities.photographs)
    with ExitStack() as stack:
        folder = store.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        journal = stack.enter_context(Journal(folder, made_by, overwrite))
        store.claim(made_by, overwrite)
        for entry in store.entries():
            if entry.name not in now or entry.holds(now[entry.name]):
                journal.add(entry)
        left = [p for p in identities.photographs if not journal.keep(now[p.name], spelt[p.name])]
        if left:
            remove_ended(store, folder)
            fit = stack.enter_context(connected(resources))
            with progress(len(spelt), len(spelt) - len(left), console) as advance:
                for entry in _done(_items(left, now), checkpoint, work, resources, fit):
                    journal.add(entry)
                    advance()
        entries = journal.order([*now])
        return summarise(store, folder, entries, made_by, listed, identities, patients.repeatability)


def _listed(named: Sequence[str], output: Path) -> tuple[PhotographList, dict[str, JournalEntry]]:
    """The photographs, and what the journal says of each file now; its row names the file as the user spelt it."""
    if any(SIGN in name for name in named):
        if not all(SIGN in name for name in named):
            raise ConfigurationError("both addresses and paths", "one of them", "run them one after the other")
        listed, now = list_addresses(named)
        return listed, {name: replace(entry, row={"file": entry.path}) for name, entry in now.items()}
    listed = find_photographs(named, output)
    now = {p.name: JournalEntry.of_photograph(p, {"file": str(p.path)}) for p in listed.photographs}
    return listed, now


def _items(left: Sequence[Photograph], now: Mapping[str, JournalEntry]) -> list[dict[str, Any]]:
    """What an actor needs of each photograph; names and paths as bytes, as they need not be Unicode."""
    items = []
    for photograph in left:
        entry = now[photograph.name]
        far = SIGN in entry.path
        items.append(
            {
                "name": os.fsencode(photograph.name),
                "local": os.fsencode(photograph.path if far else entry.path),
                "address": entry.path if far else "",
                "spelt": os.fsencode(entry.row["file"]),
                "eye": photograph.eye,
                "page": photograph.page,
                "entry": replace(entry, row={}).line(),
            }
        )
    return items


def _done(
    items: list[dict[str, Any]], checkpoint: Path, work: Work, resources: Resources, fit: int
) -> Iterator[JournalEntry]:
    """Run the blocks on actors; the rows as they come."""
    ray = require_ray()
    from ray.data import ActorPoolStrategy, DataContext, from_items
    from ray.exceptions import RayError

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    # The order in which blocks end is nobody's: the journal puts the rows in order.
    context.execution_options.preserve_order = False
    block = PACKED_BLOCK if work.packed else BLOCK
    blocks = from_items(items, override_num_blocks=-(-len(items) // block))
    rows = blocks.map_batches(
        _Actor,
        fn_constructor_args=(work, ray.put(checkpoint.read_bytes())),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, max_size=max(1, min(fit, blocks.num_blocks()))),
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
    )
    try:
        for batch in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
            table: Any = batch
            yield from map(JournalEntry.of_line, table["entry"].to_pylist())
    except RayError as error:
        raise _cause(error) from error


def _cause(error: BaseException) -> Exception:
    """Our own error, which an actor raised; or what is left of Ray's."""
    cause: BaseException | None = error
    while cause is not None:
        inner = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(cause, FundusSegError):
            return cause
        cause = inner
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ConfigurationError(
        f"work that failed on the cluster ({lines[-1].strip()})",
        "actors that run",
        "see Ray's logs; the same command goes on",
    )
