"""`predict` by several processes of one machine: each holds the networks, and has its share of the cores.

Networks of few channels use one core well and eight badly, so that eight processes of one thread do more than one of
eight. Results are those of one process, byte for byte.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundusseg.atomic_file import write_whole
from fundusseg.class_paths import trust
from fundusseg.errors import ConfigurationError
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.photograph_stages import photograph_rows

if TYPE_CHECKING:
    from fundusseg.dicom.findings import Algorithm
    from fundusseg.inference.predictor import Predictor

BLOCK = 8
"""Photographs that a process takes at once: within them it reads ahead and writes behind."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What libraries ask for how many threads they may start."""


@dataclass(frozen=True, slots=True)
class LocalWork:
    """What every process is given.

    Attributes:
        checkpoint: The bundle.
        output: Output folder.
        partial: Where files are written before they take their names, on the same disk.
        device: As `predict` takes it.
        options: Of `Predictor.from_checkpoint`.
        charts: Draw a chart of every eye.
        algorithm: How SEG and SR name what made them; None writes none.
        trusted: Packages whose classes the checkpoint may name.
    """

    checkpoint: Path
    output: Path
    partial: Path
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)
    charts: bool = False
    algorithm: "Algorithm | None" = None
    trusted: tuple[str, ...] = ()


def rows_of_processes(
    work: LocalWork, photographs: Sequence[Photograph], count: int
) -> Iterator[tuple[Photograph, dict[str, Any]]]:
    """Segment photographs, in order; each row comes once its files are written.

    Args:
        work: What every process is given.
        photographs: What to do.
        count: Processes.

    Raises:
        ConfigurationError: A process was ended from outside, mostly for want of memory.
    """
    threads = max(1, (os.cpu_count() or 1) // count)
    before = {name: os.environ.get(name) for name in _THREADS}
    # Read when a process loads its libraries, before anything of ours runs there.
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    pool = ProcessPoolExecutor(count, get_context("spawn"), _begin, (work, threads))
    try:
        yield from _in_order(pool, photographs, count)
    except BrokenProcessPool as error:
        raise ConfigurationError(
            f"a process of {count} that was ended from outside, as where memory is short",
            "memory for that many",
            "give fewer --workers; the same command goes on where this one was",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _in_order(
    pool: ProcessPoolExecutor, photographs: Sequence[Photograph], count: int
) -> Iterator[tuple[Photograph, dict[str, Any]]]:
    """Rows of blocks, of which each process has one in hand and one before it."""
    # Of few photographs each process gets its share.
    size = max(1, min(BLOCK, -(-len(photographs) // count)))
    blocks = iter([list(photographs[first : first + size]) for first in range(0, len(photographs), size)])
    begun: deque[tuple[list[Photograph], Future[list[dict[str, Any]]]]] = deque()
    while True:
        while len(begun) < 2 * count and (block := next(blocks, None)):
            begun.append((block, pool.submit(_rows, block)))
        if not begun:
            return
        block, future = begun.popleft()
        yield from zip(block, future.result(), strict=True)


_predictor: "Predictor"
_work: LocalWork


def _begin(work: LocalWork, threads: int) -> None:
    """Make this process ready: ended with its parent, deaf to the Ctrl-C that the parent answers."""
    global _predictor, _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2
    import torch

    from fundusseg.inference.predictor import Predictor
    from fundusseg.xla.process import compute_device, prepare_process

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    prepare_process()
    trust(work.trusted)
    _work, _predictor = work, Predictor.from_checkpoint(work.checkpoint, compute_device(work.device), **work.options)


def _end_with_parent() -> None:
    """A killed parent ends nobody: its children would wait for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _rows(photographs: list[Photograph]) -> list[dict[str, Any]]:
    """One block's rows, in the worker process."""
    found = photograph_rows(_predictor, photographs, _Folder(_work), charts=_work.charts, algorithm=_work.algorithm)
    return [row for _, row in found]


class _Folder:
    """The output folder as a worker process writes to it."""

    def __init__(self, work: LocalWork) -> None:
        self.output, self._partial = work.output, work.partial

    def write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all, from any thread."""
        write_whole(path, content, self._partial / f"{os.getpid()}-{threading.get_ident()}")
