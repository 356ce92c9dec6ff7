"""From the spool to the destination: one thread answers photographs, one sends, with retries that back off."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from fundusseg.dicom.destinations import Destination, Refused, Unreachable
from fundusseg.dicom.spool import Spool
from fundusseg.errors import FundusSegError

IDLE = 0.2
"""Seconds between two looks at an empty folder."""

MOST_REFUSALS = 5
"""Of one answer by the other side, before it is put aside."""

log = logging.getLogger("fundusseg.listen")


class Answering:
    """Works off a spool until it is told to stop.

    Args:
        spool: The queue.
        answer: Makes of a photograph's file the objects that are sent, by name.
        destination: Where they go.
        count: Told of each outcome: ``answered``, ``dead``, ``sent``, ``unreachable``, ``refused by destination``.
        first_wait: Seconds before the second try; they double up to ``longest_wait``.
        longest_wait: See there.
    """

    def __init__(
        self,
        spool: Spool,
        answer: Callable[[Path], Mapping[str, bytes]],
        destination: Destination,
        count: Callable[[str], None] = lambda outcome: None,
        first_wait: float = 1.0,
        longest_wait: float = 300.0,
    ) -> None:
        self.spool, self._answer, self._destination, self._count = spool, answer, destination, count
        self._first_wait, self._longest_wait = first_wait, longest_wait
        self._stop = threading.Event()
        self._refusals: dict[Path, int] = {}
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
        """Answer every photograph that waits; whether there was one."""
        waiting = self.spool.waiting()
        for path in waiting:
            if self._stop.is_set():
                break
            if not self.spool.begin(path):
                self._count("dead")
                continue
            try:
                self.spool.answer(path, self._answer(path))
                self._count("answered")
            except FundusSegError as error:
                self.spool.bury(path, str(error))
                self._count("dead")
            except OSError:
                raise  # a full disk, which is no photograph's fault
            except Exception as error:  # whatever is wrong with one, the others are answered
                log.exception("a photograph that could not be answered")
                self.spool.bury(path, f"{type(error).__name__}: {error}")
                self._count("dead")
        return bool(waiting)

    def send_waiting(self) -> bool:
        """Send every answer that waits, backing off while nobody takes them; whether there was one."""
        folders, wait = self.spool.to_send(), self._first_wait
        for folder in folders:
            for path in sorted(folder.glob("*.dcm")):
                while not self._stop.is_set() and not self._sent(path):
                    self._stop.wait(wait)
                    wait = min(2 * wait, self._longest_wait)
                if self._stop.is_set():
                    return True
                wait = self._first_wait
            if folder.is_dir() and not any(folder.iterdir()):
                self.spool.finish(folder)
        return bool(folders)

    def _sent(self, path: Path) -> bool:
        """Whether one answer needs no more tries."""
        if not path.exists():  # put aside with the others of its photograph
            return True
        try:
            self._destination.send(path)
        except Unreachable as error:
            log.warning("not sent yet: %s", error)
            self._count("unreachable")
            return False
        except Refused as error:
            self._count("refused by destination")
            self._refusals[path] = self._refusals.get(path, 0) + 1
            if self._refusals[path] < MOST_REFUSALS:
                return False
            self.spool.bury(path.parent, str(error))
            self._count("dead")
            return True
        self._refusals.pop(path, None)
        self.spool.sent(path)
        self._count("sent")
        return True

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
