"""A queue on disk: what came in is answered once, whatever ends the process in between.

Folders below the spool, between which whole files and folders are moved by one rename each::

    received/UID.dcm    acknowledged to the sender, not answered yet
    outgoing/UID/       its answers, not sent yet; each is removed once the other side has acknowledged it
    answered/UID        empty: all answers were taken. What comes in again under this UID is acknowledged and left out
    dead/UID.dcm        could not be answered, or not be delivered (dead/UID/); dead/UID.txt says why. What comes in
                        again under this UID is tried again, and so is all of it by `Spool.requeue`

A UID names one object for the whole world. An answer that was acknowledged just before a kill is sent once more: under
the same UID and with the same bytes, by which an archive knows it.
"""

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from fundusseg.atomic_file import make_folder
from fundusseg.errors import ConfigurationError

MOST_TRIES = 10
"""Times that a photograph may end the process before it is put aside."""

_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")
"""A file's name is made of it: never ``..``."""


class Spool:
    """The queue; one process at a time, whose threads may share it.

    Args:
        folder: Where it is kept; made where it is missing.

    Raises:
        ConfigurationError: It cannot be written to, or another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder, "photographs and answers", "--spool")
        self._lock = FileLock(folder / "lock")
        self._gate = threading.Lock()
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ConfigurationError(
                f"a spool that another listener has: {folder}", "one at a time", "give another --spool"
            ) from error
        self.received, self.outgoing, self.answered, self.dead, self._partial = (
            folder / name for name in ("received", "outgoing", "answered", "dead", "partial")
        )
        shutil.rmtree(self._partial, ignore_errors=True)  # what a killed process was writing
        for place in (self.received, self.outgoing, self.answered, self.dead, self._partial):
            place.mkdir(exist_ok=True)
        for path in self.received.glob("*.dcm"):
            if (self.outgoing / path.stem).is_dir() or (self.answered / path.stem).exists():
                self._forget(path)  # killed between its two renames
        for tries in self.received.glob("*.tries"):
            if not tries.with_suffix(".dcm").exists():
                tries.unlink()  # killed before the count of its tries was removed

    def close(self) -> None:
        """Let another process have it."""
        self._lock.release()

    def receive(self, uid: str, content: bytes) -> bool:
        """Keep a photograph for good: once this returns, a power cut does not lose it.

        Returns:
            False where it came before, and nothing is kept.

        Raises:
            ValueError: The UID is none.
        """
        if not _UID.fullmatch(uid):
            raise ValueError(f"{uid[:80]!r} is no UID")
        path = self.received / f"{uid}.dcm"
        # In the order in which a photograph passes through them: each lies in the next before it leaves the last.
        places = (path, self.outgoing / uid, self.answered / uid)
        if any(place.exists() for place in places):
            return False
        partial = self._partial / f"{uid}.{time.monotonic_ns()}"
        _write(partial, content)
        with self._gate:  # another sender's may have come, and been answered, while this one was written
            if any(place.exists() for place in places):
                partial.unlink()
                return False
            partial.replace(path)
        _flush(self.received)
        return True

    def waiting(self) -> list[Path]:
        """Photographs to be answered, the oldest first."""
        return sorted(self.received.glob("*.dcm"), key=_age)

    def begin(self, path: Path) -> bool:
        """Note that a photograph is tried; False where it has ended too many processes, and is put aside."""
        tries = path.with_suffix(".tries")
        count = len(tries.read_bytes()) if tries.exists() else 0
        if count >= MOST_TRIES:
            self.bury(path, f"the process ended {count} times while it was answered")
            return False
        with tries.open("ab") as file:
            file.write(b".")
        return True

    def take_back(self, path: Path) -> None:
        """Unsay `begin`: what ended a try was no fault of the photograph, nor the process's end."""
        tries = path.with_suffix(".tries")
        os.truncate(tries, max(0, tries.stat().st_size - 1))  # needs no room

    def answer(self, path: Path, objects: Mapping[str, bytes]) -> None:
        """Take what is said of a photograph, to be sent; the photograph itself is done."""
        partial = self._partial / f"answer {path.stem}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for name, content in objects.items():
            _write(partial / f"{name}.dcm", content)
        _flush(partial)
        partial.replace(self.outgoing / path.stem)
        _flush(self.outgoing)
        self._forget(path)

    def to_send(self) -> list[Path]:
        """Folders of answers, the oldest first."""
        return sorted((path for path in self.outgoing.iterdir() if path.is_dir()), key=_age)

    def sent(self, answer: Path) -> None:
        """An answer's file was acknowledged; the last one ends the photograph."""
        folder = answer.parent
        answer.unlink()
        if not any(folder.iterdir()):
            (self.answered / folder.name).touch()
            _flush(self.answered)
            folder.rmdir()

    def finish(self, folder: Path) -> None:
        """End a folder of answers that a kill left empty."""
        (self.answered / folder.name).touch()
        folder.rmdir()

    def bury(self, path: Path, reason: str) -> None:
        """Put aside what cannot be answered or delivered, with the reason."""
        (self.dead / f"{path.name.removesuffix('.dcm')}.txt").write_text(f"{reason}\n", encoding="utf-8")
        shutil.rmtree(self.dead / path.name, ignore_errors=True)  # of an earlier time
        path.replace(self.dead / path.name)
        path.with_suffix(".tries").unlink(missing_ok=True)

    def requeue(self) -> int:
        """Bring back what was put aside, to be tried anew; returns how many photographs it was."""
        count = 0
        for path in sorted(self.dead.iterdir()):
            if path.suffix == ".txt":
                continue
            uid = path.name.removesuffix(".dcm")
            place = (self.outgoing if path.is_dir() else self.received) / path.name
            known = (self.received / f"{uid}.dcm", self.outgoing / uid, self.answered / uid)
            if any(other.exists() for other in known):  # it came again meanwhile
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            else:
                path.replace(place)
                count += 1
            (self.dead / f"{uid}.txt").unlink(missing_ok=True)
        return count

    def counts(self) -> dict[str, int]:
        """How much lies where."""
        return {
            "received": len(list(self.received.glob("*.dcm"))),
            "outgoing": len(list(self.outgoing.iterdir())),
            "answered": sum(1 for _ in self.answered.iterdir()),
            "dead": len(list(self.dead.glob("*.txt"))),
        }

    def _forget(self, path: Path) -> None:
        path.unlink()
        path.with_suffix(".tries").unlink(missing_ok=True)


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:  # done by another thread
        return 0, path.name


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    """Have a rename on the disk, where the system can do that."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
