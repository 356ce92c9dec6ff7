"""Runs a study's jobs, each once what it needs is done, until nothing is left or SIGTERM comes; as subprocesses."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice, pairwise
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import Protocol

from fundusseg.cli import stop_signals
from fundusseg.studies.job_list import Job, JobList

PATIENCE = 120.0
"""Seconds that a stopped command has to save its work."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_POLL = 0.2
_LOOK = 1.0
"""Seconds between two looks at what other processes, with which the folder may be shared, have done."""

Report = Callable[[str, int, float], None]
"""Is told each job's name, exit code and seconds."""


class Pool(Protocol):
    """Where jobs run."""

    slots: int

    def start(self, job: Job) -> "Future[int]":
        """Begin a job; its exit code to come."""

    def stop(self) -> None:
        """Tell what runs to save its work and end; no job begins any more."""


def run_jobs(jobs: JobList, pool: Pool, report: Report) -> bool:
    """Run what is not done yet, each job once what it needs is done.

    Args:
        jobs: The jobs.
        pool: Where they run.
        report: Called at the end of each job.

    Returns:
        Whether SIGTERM or Ctrl-C has ended the work.

    Raises:
        OSError: A command could not be started, as where the disk is full; all work has then ended likewise.
    """
    with told_to_stop() as told:
        try:
            _run(jobs, pool, report, told)
        finally:
            pool.stop()
    return told.is_set()


@contextmanager
def told_to_stop() -> Iterator[threading.Event]:
    """An event that what `stop_signals` names sets, in place of what it does otherwise."""
    told = threading.Event()

    def listen(number: int, frame: FrameType | None) -> None:
        told.set()

    before = {number: signal.signal(number, listen) for number in stop_signals()}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(jobs: JobList, pool: Pool, report: Report, told: threading.Event) -> None:
    running: dict[Future[int], tuple[str, float]] = {}
    while running or (jobs.left() and not told.is_set()):
        if told.is_set():
            pool.stop()
        else:
            for job in islice(jobs.ready({name for name, _ in running.values()}), pool.slots - len(running)):
                running[pool.start(job)] = job.name, time.monotonic()
        if not running:  # another process has what is left in hand
            told.wait(_LOOK)
            continue
        ended, _ = wait(running, _LOOK, FIRST_COMPLETED)  # not without end, as signals are heard between
        for future in ended:
            name, begun = running.pop(future)
            code = 1 if future.cancelled() else future.result()
            if code == 0 or not told.is_set():
                if code != 0:
                    jobs.failed.add(name)
                report(name, code, time.monotonic() - begun)


class LocalPool:
    """Threads that each run one command after another, on their share of the cores.

    Args:
        folder: The study's; ``logs`` in it holds a log for each job.
        count: Threads.
        values: What stands for ``{name}`` in the commands, by name.
    """

    def __init__(self, folder: Path, count: int, values: Mapping[str, str]) -> None:
        self.folder, self.slots, self.values = folder, count, values
        self.shares = shares(available(), count)
        self._stopped = threading.Event()
        self._left: SimpleQueue[list[int]] = SimpleQueue()
        for share in self.shares:
            self._left.put(share)
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(count, initializer=self._take_share)

    def start(self, job: Job) -> "Future[int]":
        """Begin a job; its exit code to come."""
        return self._threads.submit(self._execute, job)

    def stop(self) -> None:
        """Tell what runs to save its work, and wait for its end."""
        self._stopped.set()
        self._threads.shutdown(cancel_futures=True)

    def _take_share(self) -> None:
        self._own.cores = self._left.get()
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self._own.cores)  # of this thread, and of what it starts

    def _execute(self, job: Job) -> int:
        return run_command(job, self.folder, self.values, len(self._own.cores), self._stopped.is_set)


def run_command(
    job: Job, folder: Path, values: Mapping[str, str], threads: int, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Run a job's command to its end; its exit code.

    Args:
        job: The job.
        folder: The study's.
        values: What stands for ``{name}`` in the command, by name.
        threads: That it may use.
        stopped: Asked again and again: whether to end it.
    """
    filled = [_fill(part, {**values, "threads": str(threads)}) for part in job.command]
    log = folder / "logs" / f"{job.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "fundusseg.studies.job_process", str(os.getpid()), str(folder), job.name, *filled],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, **dict.fromkeys(_THREADS, str(threads))},
            start_new_session=True,  # Ctrl-C is ours alone to pass on
        )
        try:
            while process.poll() is None and not stopped():
                time.sleep(_POLL)
        finally:
            end(process)
        return process.returncode


def end(process: "subprocess.Popen[bytes]") -> None:
    """Tell a process to save its work, and wait for its end as long as `PATIENCE`."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def available() -> list[int]:
    """The cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [*range(os.cpu_count() or 1)]


def shares(cores: Sequence[int], count: int) -> list[list[int]]:
    """Divide cores among workers, neighbours together; more workers than cores share them in turn."""
    if count >= len(cores):
        return [[cores[number % len(cores)]] for number in range(count)]
    ends = [number * len(cores) // count for number in range(count + 1)]
    return [list(cores[low:high]) for low, high in pairwise(ends)]


def _fill(part: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(f"{{{name}}}", value)
    return part
