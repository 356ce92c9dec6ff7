"""Subprocesses that do a queue's jobs, each on its share of the cores, until nothing is left or SIGTERM comes."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import FrameType

from fundusseg.studies.job_queue import ClaimedJob, Queue

BEAT = 5.0
"""Seconds between two signs of life."""

PATIENCE = 120.0
"""Seconds that a stopped command has to save its work."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_POLL = 0.2
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

Report = Callable[[str, int, float], None]
"""Is told each job's name, exit code and seconds."""


class Workers:
    """Threads that each run one command after another.

    Args:
        queue: The jobs.
        count: Threads.
        values: What stands for ``{name}`` in the commands, by name.
        logs: Folder of one log for each job.
        report: Called at the end of each job.

    Attributes:
        stopped: Whether a signal has ended the work.
    """

    def __init__(self, queue: Queue, count: int, values: Mapping[str, str], logs: Path, report: Report) -> None:
        self.queue, self.count, self.values, self.logs, self.report = queue, count, dict(values), logs, report
        self.stopped = False
        self._stop = threading.Event()
        self._error: Exception | None = None
        self.shares = shares(available(), count)

    def run(self) -> None:
        """Work until nothing is left, or until SIGTERM or Ctrl-C; what was begun then is put back.

        Raises:
            OSError: A command could not be started, as where the disk is full; all work has then ended likewise.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        before = {number: signal.signal(number, self._listen) for number in (signal.SIGTERM, signal.SIGINT)}
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self.count)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():  # a join without end would keep signals from being heard
                    thread.join(_POLL)
        finally:
            self._stop.set()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._error is not None:
            raise self._error

    def _listen(self, number: int, frame: FrameType | None) -> None:
        self.stopped = True
        self._stop.set()

    def _work(self, number: int) -> None:
        """One thread's life; what ends it before its time ends all, and is `run`'s to tell."""
        try:
            self._serve(number)
        except Exception as error:
            self._error = error
            self._stop.set()

    def _serve(self, number: int) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{number}"
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.shares[number])  # of this thread, and of what it starts
        while not self._stop.is_set() and self.queue.open():
            claim = self.queue.claim(name)
            if claim is None:
                self._stop.wait(1.0)
                continue
            start = time.monotonic()
            try:
                code = self._execute(claim, number)
            except Exception:
                claim.move("todo")
                raise
            if self._stop.is_set() and code != 0:
                claim.move("todo")
            elif claim.move("done" if code == 0 else "failed"):
                self.report(claim.job.name, code, time.monotonic() - start)

    def _execute(self, claim: ClaimedJob, number: int) -> int:
        """Run one command to its end, or to ours; its exit code."""
        threads = str(len(self.shares[number]))
        values = {**self.values, "threads": threads}
        module, *arguments = (_fill(part, values) for part in claim.job.command)
        with (self.logs / f"{claim.job.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **dict.fromkeys(_THREADS, threads)},
                start_new_session=True,  # Ctrl-C is ours alone to pass on
                preexec_fn=_follow_parent if _LIBC else None,
            )
            return self._watch(process, claim)

    def _watch(self, process: "subprocess.Popen[bytes]", claim: ClaimedJob) -> int:
        """Wait for a command, with signs of life; end it when the work ends or the job is another's."""
        beaten, told = time.monotonic(), 0.0
        while process.poll() is None:
            now = time.monotonic()
            if now - beaten > BEAT:
                beaten = now
                if not claim.beat() and not told:
                    process.terminate()
                    told = now
            if self._stop.is_set() and not told:
                process.terminate()
                told = now
            if told and now - told > PATIENCE:
                process.kill()
            time.sleep(_POLL)
        return process.returncode


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


def _follow_parent() -> None:
    """In the child: SIGTERM to itself where we are killed, so that it saves its work and nobody does it twice."""
    if _LIBC is not None:
        _LIBC.prctl(_DIE_WITH_PARENT, signal.SIGTERM)
