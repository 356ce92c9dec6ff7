"""A study's jobs, and which of them are done: a file ``done/NAME`` says so, written when the command has ended well.

A job is done by the process that holds its lock, ``locks/NAME``, which the system lets go of however that process ends.
Nothing else is kept: what is not done yet is to be done, by whoever comes next.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

State = Literal["todo", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """One command.

    Attributes:
        name: Its files'; jobs are begun in the order of their names.
        command: A module of ours and its arguments; ``{...}`` stand for what each machine knows.
        needs: Names of the jobs that must be done before.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()


class JobList:
    """The jobs of a study's folder, as one process sees them.

    Args:
        folder: The study's.
        jobs: All of them.

    Attributes:
        failed: Names of those that this process has seen fail; another run tries them again.
    """

    def __init__(self, folder: Path, jobs: Sequence[Job]) -> None:
        self.folder = folder
        self.jobs = {job.name: job for job in sorted(jobs, key=lambda job: job.name)}
        self.failed: set[str] = set()

    def states(self) -> dict[str, State]:
        """Where each job stands, by name, in order."""
        done = _names(self.folder / "done")
        return {name: "done" if name in done else "failed" if name in self.failed else "todo" for name in self.jobs}

    def blocked(self) -> set[str]:
        """Jobs not done that need one that failed, or one that needs such a one."""
        states = self.states()
        lost = {name for name, state in states.items() if state == "failed"}
        blocked: set[str] = set()
        todo = [job for name, job in self.jobs.items() if states[name] == "todo"]
        while more := {job.name for job in todo if {*job.needs} & (lost | blocked)} - blocked:
            blocked |= more
        return blocked

    def left(self) -> list[Job]:
        """Jobs that are to be done and can be, now or once what they need is done."""
        blocked = self.blocked()
        return [self.jobs[name] for name, state in self.states().items() if state == "todo" and name not in blocked]

    def ready(self, running: Collection[str]) -> Iterator[Job]:
        """Jobs that can begin now, in order.

        Args:
            running: Names of those that this process has begun.
        """
        states = self.states()
        for job in self.left():
            able = job.name not in running and all(states[need] == "done" for need in job.needs)
            if able and not is_held(lock_path(self.folder, job.name)):
                yield job


def done_path(folder: Path, name: str) -> Path:
    """What says that a job is done."""
    return folder / "done" / name


def lock_path(folder: Path, name: str) -> Path:
    """What a job's process holds."""
    return folder / "locks" / name


def is_held(lock: Path) -> bool:
    """Whether another process holds a lock now."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
