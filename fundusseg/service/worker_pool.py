"""Worker processes: each does one photograph at a time, one that dies is replaced, and nobody waits for the dead."""

import asyncio
import contextlib
import logging
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

from fundusseg.errors import FundusSegError
from fundusseg.service.problem import busy
from fundusseg.service.worker import Done, Work, WorkerSettings, run_worker

log = logging.getLogger("fundusseg.service")

_LOADING = 300.0
"""Seconds that a worker may take until its networks have run once."""

_LOOK, _TURN = 0.5, 0.02
"""Seconds between two looks at where the checkpoint's link leads, and at whether all old workers are gone."""

_PAUSE = 1.0
"""Seconds before a worker that did not start is started again."""


class Engine(Protocol):
    """What an application asks of whoever computes; another server brings its own.

    Attributes:
        facts: Of the bundle, see `inference.provenance`; empty until they are known.
        running: Photographs with a worker.
        waited: Told how long each photograph waited.
        restarted: Told of each worker that is replaced.
    """

    facts: dict[str, Any]
    running: int
    waited: Callable[[float], None]
    restarted: Callable[[], None]

    @property
    def queued(self) -> int:
        """Photographs that wait."""

    @property
    def ready(self) -> bool:
        """Whether photographs are done now."""

    async def start(self) -> None:
        """Begin."""

    async def close(self) -> None:
        """End; what is in hand is done before."""

    async def do(self, work: Work) -> Done:
        """One photograph."""


@dataclass(eq=False, slots=True)
class _Waiting:
    """A photograph in the queue."""

    work: Work
    answer: "asyncio.Future[Done]"
    since: float = field(default_factory=time.monotonic)
    deaths: int = 0


@dataclass(eq=False, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection

    def exchange(self, work: Work, seconds: float) -> "Done | FundusSegError":
        """Send a photograph and wait for its answer, in a thread.

        Raises:
            OSError: The process is gone, or took too long.
        """
        self.connection.send(work)
        if not self.connection.poll(seconds):
            raise TimeoutError
        answer: Done | FundusSegError = self.connection.recv()
        return answer

    def hello(self) -> Any:
        """What it says of the bundle once its networks have run, or why they cannot."""
        if not self.connection.poll(_LOADING):
            raise TimeoutError
        return self.connection.recv()

    def end(self) -> None:
        """Make sure that it is gone."""
        self.connection.close()
        self.process.kill()
        self.process.join()


class WorkerPool:
    """The engine of one machine.

    Where the checkpoint is a link that is moved to another file, all workers are replaced: each does what it has in
    hand, and when the last old one is gone the new ones start; what comes meanwhile waits. So every answer is from one
    whole bundle, and none from an older one than an answer before it. A file that cannot be loaded is passed over.

    Args:
        settings: Of each worker.
        count: Workers.
        seconds: For one photograph, see `limits.Limits`.
    """

    def __init__(self, settings: WorkerSettings, count: int = 1, seconds: float = 120.0) -> None:
        self.settings, self.count, self.seconds = settings, count, seconds
        self.facts: dict[str, Any] = {}
        self.running = 0
        self.waited: Callable[[float], None] = lambda seconds: None
        self.restarted: Callable[[], None] = lambda: None
        self.failure: FundusSegError | None = None
        self._up: set[_Worker] = set()
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._keepers: list[asyncio.Task[None]] = []
        self._moved = asyncio.Event()
        self._target = self._good = ""
        self._unusable: set[str] = set()
        self._threads = ThreadPoolExecutor(count, "worker")

    @property
    def ready(self) -> bool:
        """Whether a worker has run its networks and lives, or is being replaced: what is asked will be answered."""
        return bool(self._up) or bool(self._good and self._target != self._good) or self._moved.is_set()

    @property
    def queued(self) -> int:
        """Photographs that wait."""
        return self._queue.qsize()

    @property
    def pids(self) -> list[int]:
        """Of the workers that are up."""
        return [worker.process.pid for worker in self._up if worker.process.pid]

    async def start(self) -> None:
        """Start the workers; `ready` tells when the first one is."""
        self._target = self._linked()
        self._keepers = [asyncio.create_task(self._keep()) for _ in range(self.count)]
        self._keepers.append(asyncio.create_task(self._watch()))

    async def close(self) -> None:
        """End the workers; a request that still waits is refused."""
        for keeper in self._keepers:
            keeper.cancel()
        for worker in list(self._up):
            worker.end()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        while not self._queue.empty():
            _refuse(self._queue.get_nowait(), "a service that ends")
        self._threads.shutdown(wait=False)

    async def do(self, work: Work) -> Done:
        """Do one photograph; if the caller is cancelled before its turn, no network is asked.

        Raises:
            FundusSegError: The photograph cannot be done, or (`Refusal`, 503) the workers died over it.
        """
        waiting = _Waiting(work, asyncio.get_running_loop().create_future())
        self._queue.put_nowait(waiting)
        return await waiting.answer

    def _linked(self) -> str:
        """The file that the checkpoint's link leads to; the last one that could be loaded where that cannot."""
        path = Path(self.settings.checkpoint)
        target = str(path.resolve()) if path.is_symlink() else self.settings.checkpoint
        return self._good if target in self._unusable and self._good else target

    async def _watch(self) -> None:
        """Notice that the link was moved."""
        while True:
            await asyncio.sleep(_LOOK)
            if (target := self._linked()) != self._target and self._good and not self._moved.is_set():
                log.warning("another bundle: %s", Path(target).name)
                self._target = target
                self._moved.set()

    async def _keep(self) -> None:
        """Keep one worker alive, for as long as the service runs."""
        while True:
            worker = await self._started()
            if worker is None:
                await asyncio.sleep(_PAUSE)
                continue
            self._up.add(worker)
            try:
                await self._serve(worker)
            finally:
                self._up.discard(worker)
                worker.end()
            if not self._moved.is_set():
                log.warning("a worker died and is replaced")
                self.restarted()
            while self._moved.is_set() and self._up:
                await asyncio.sleep(_TURN)
            self._moved.clear()  # the last old one is gone

    async def _started(self) -> _Worker | None:
        """A worker whose networks have run once."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        target = self._target
        process = context.Process(
            target=run_worker, args=(theirs, replace(self.settings, checkpoint=target)), daemon=True
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        try:
            hello = await self._in_thread(worker.hello)
        except (OSError, EOFError):
            hello = FundusSegError("a worker that ended while it loaded", "one that loads", "see its messages above")
        except BaseException:
            worker.end()
            raise
        if isinstance(hello, FundusSegError):
            worker.end()
            self.failure = hello
            log.error("%s", hello)
            self._unusable.add(target)
            self._target = self._linked()
            return None
        if target != self._target:  # the link was moved while it loaded
            worker.end()
            return None
        self.facts, self._good = hello, target
        return worker

    async def _serve(self, worker: _Worker) -> None:
        """Hand it photographs until it dies, or another bundle takes its place."""
        loop = asyncio.get_running_loop()
        moved = asyncio.ensure_future(self._moved.wait())
        died: asyncio.Future[None] = loop.create_future()
        loop.add_reader(worker.process.sentinel, _settle, died)
        try:
            while not died.done() and not moved.done():
                turn = asyncio.ensure_future(self._queue.get())
                try:
                    first: set[asyncio.Future[Any]] = {turn, died, moved}
                    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not turn.done():
                        turn.cancel()
                if turn.cancelled() or not turn.done():
                    return
                if not await self._one(worker, turn.result()):
                    return
        finally:
            moved.cancel()
            loop.remove_reader(worker.process.sentinel)

    async def _one(self, worker: _Worker, waiting: _Waiting) -> bool:
        """One photograph by one worker; False where the worker did not survive it."""
        if waiting.answer.done():  # the client left
            return True
        self.waited(time.monotonic() - waiting.since)
        self.running += 1
        try:
            answer = await self._in_thread(lambda: worker.exchange(waiting.work, self.seconds))
        except TimeoutError:
            _refuse(waiting, f"a photograph that took longer than {self.seconds:g} seconds")
            return False
        except (OSError, EOFError):
            waiting.deaths += 1
            # Once may be chance; a second worker that dies over it would be the photograph's doing.
            if waiting.deaths == 1:
                self._queue.put_nowait(waiting)
            else:
                _refuse(waiting, "a photograph over which two workers died")
            return False
        finally:
            self.running -= 1
        if not waiting.answer.done():
            if isinstance(answer, FundusSegError):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)
        return True

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _settle(died: "asyncio.Future[None]") -> None:
    if not died.done():
        died.set_result(None)


def _refuse(waiting: _Waiting, why: str) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        waiting.answer.set_exception(busy(why))
