"""From the spool to the destination: one thread answers photographs, one sends, with retries that back off."""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from fundusseg.dicom.destinations import Destination, Postponed, Refused, Unreachable
from fundusseg.dicom.retries import Retries
from fundusseg.dicom.spool import Spool
from fundusseg.errors import FundusSegError

IDLE = 0.2
"""Seconds between two looks at an empty folder."""

PATIENCE = 86_400.0
"""Seconds for which one answer may be refused before it is put aside: archives are set up wrong, and put right."""

_MACHINE = (OSError, MemoryError)
"""A full disk, a full memory: no photograph's fault, and the next may be small."""

_ALL = "all"
"""What fails where nobody answers."""

log = logging.getLogger("fundusseg.listen")


class Answering:
    """Works off a spool until it is told to stop.

    Args:
        spool: The queue.
        answer: Makes of a photograph's file the objects that are sent, by name.
        destination: Where they go.
        count: Told of each outcome: ``answered``, ``dead``, ``sent``, ``unreachable``, ``refused by destination``,
            ``postponed`` (one answer, while others may go), ``no room`` (here: no fault of the photograph).
        first_wait: Seconds before the second try; they double up to ``longest_wait``.
        longest_wait: See there.
        patience: As `PATIENCE`; counted anew when the process begins.
    """

    def __init__(
        self,
        spool: Spool,
        answer: Callable[[Path], Mapping[str, bytes]],
        destination: Destination,
        count: Callable[[str], None] = lambda outcome: None,
        first_wait: float = 1.0,
        longest_wait: float = 300.0,
        patience: float = PATIENCE,
    ) -> None:
        self.spool, self._answer, self._destination, self._count = spool, answer, destination, count
        self._first_wait, self._patience = first_wait, patience
        self._retries = Retries(first_wait, longest_wait)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._loop, args=(step,), name=step.__name__, daemon=True)
            for step in (self.answer_waiting, self.send_waiting)
        ]

    def start(self) -> None:
        """Begin both threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End after what is in hand; the rest stays in the spool."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def answer_waiting(self) -> bool:
        """Answer every photograph that may be tried; whether there was one."""
        due = [path for path in self.spool.waiting() if self._retries.due(path)]
        for path in due:
            if self._stop.is_set():
                break
            try:
                self._answer_one(path)
            except _MACHINE as error:
                log.error("a photograph that is tried again: %s", error)
                self._count("no room")
                self._retries.failed(path)
                with suppress(OSError):
                    self.spool.take_back(path)
            else:
                self._retries.forget(path)
        return bool(due)

    def _answer_one(self, path: Path) -> None:
        if not self.spool.begin(path):
            self._count("dead")
            return
        try:
            self.spool.answer(path, self._answer(path))
            self._count("answered")
        except FundusSegError as error:
            self.spool.bury(path, str(error))
            self._count("dead")
        except _MACHINE:
            raise
        except Exception as error:  # whatever is wrong with one, the others are answered
            log.exception("a photograph that could not be answered")
            self.spool.bury(path, f"{type(error).__name__}: {error}")
            self._count("dead")

    def send_waiting(self) -> bool:
        """Send every answer that may be tried; whether one was.

        While nobody answers, all wait. What fails by itself waits by itself, and the others go.
        """
        if not self._retries.due(_ALL):
            return False
        due = [folder for folder in self.spool.to_send() if self._retries.due(folder)]
        for folder in due:
            if self._stop.is_set():
                break
            try:
                self._send(folder)
            except Unreachable as error:
                log.warning("not sent yet: %s", error)
                self._count("unreachable")
                self._retries.failed(_ALL)
                break
            self._retries.forget(_ALL)
        return bool(due)

    def _send(self, folder: Path) -> None:
        """Send one photograph's answers, as far as they are taken."""
        try:
            for path in sorted(folder.glob("*.dcm")):
                self._destination.send(path)
                self.spool.sent(path)
                self._count("sent")
            if folder.is_dir() and not any(folder.iterdir()):
                self.spool.finish(folder)
        except Postponed as error:
            log.warning("postponed: %s", error)
            self._count("postponed")
            self._retries.failed(folder)
        except Refused as error:
            self._count("refused by destination")
            if self._retries.failed(folder) < self._patience:
                log.warning("refused, and tried again: %s", error)
                return
            self.spool.bury(folder, str(error))
            self._count("dead")
            self._retries.forget(folder)
        except Unreachable:
            raise
        except Exception:  # a damaged file of ours, or a full disk: the others go
            log.exception("an answer that could not be sent")
            self._retries.failed(folder)
        else:
            self._retries.forget(folder)

    def _loop(self, step: Callable[[], bool]) -> None:
        while not self._stop.is_set():
            try:
                if not step():
                    self._stop.wait(IDLE)
            except OSError as error:
                log.error("the spool cannot be used: %s", error)
                self._stop.wait(self._first_wait)
            except Exception:  # a thread that ended would let photographs in and send nothing, unseen
                log.exception("a step of the listener failed; it is tried again")
                self._stop.wait(self._first_wait)
