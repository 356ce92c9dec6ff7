"""A plain folder as a queue of jobs, for processes and machines that share it.

    todo/NAME.json             not begun
    running/NAME@WORKER.json   begun; the worker renews its time of change as long as it lives
    done/NAME.json             ended well
    failed/NAME.json           ended badly
    names.json                 of all jobs

A job moves by renaming its file, which succeeds for one process alone. Where a worker has died, its file grows old, and
any other puts it back. Where it was only slow, its file is gone when it comes to move it: what it did does not count.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from fundusseg.errors import ConfigurationError

State = Literal["todo", "running", "done", "failed"]

LEASE = 60.0
"""Seconds without a sign of life after which a job is taken from its worker."""


@dataclass(frozen=True, slots=True)
class Job:
    """One command.

    Attributes:
        name: Its file's; jobs are begun in the order of their names.
        command: A module of ours and its arguments; ``{...}`` stand for what each worker knows.
        needs: Names of the jobs that must be done before.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that is one worker's.

    Attributes:
        job: What is to be done.
        path: Its file among the running ones.
    """

    job: Job
    path: Path

    def beat(self) -> bool:
        """Show that the worker lives; False where the job has been taken from it.

        A beat that a busy network disk loses is no end: several fit into a lease.
        """
        try:
            os.utime(self.path)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def move(self, state: State) -> bool:
        """Hand the job on; False where it has been taken from this worker."""
        try:
            self.path.rename(self.path.parents[1] / state / f"{self.job.name}.json")
        except FileNotFoundError:
            return False
        return True


class Queue:
    """The jobs of a folder.

    Args:
        folder: What `create` has made.
        lease: Seconds without a sign of life after which a job is taken from its worker.
    """

    def __init__(self, folder: Path, lease: float = LEASE) -> None:
        self.folder, self.lease = folder, lease
        self.names: tuple[str, ...] = tuple(json.loads((folder / "names.json").read_text(encoding="utf-8")))

    @classmethod
    def create(cls, folder: Path, jobs: Sequence[Job], lease: float = LEASE) -> "Queue":
        """Make the folder with all jobs, or leave one that is there as it is.

        It appears whole: where several start at once, one of them makes it.

        Raises:
            ConfigurationError: The folder holds other jobs.
        """
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            partial.chmod(0o755)
            for state in get_args(State):
                (partial / state).mkdir()
            for job in jobs:
                text = json.dumps(asdict(job), indent=1) + "\n"
                (partial / "todo" / f"{job.name}.json").write_text(text, encoding="utf-8")
            (partial / "names.json").write_text(json.dumps(sorted(job.name for job in jobs)), encoding="utf-8")
            try:
                partial.rename(folder)
            except OSError:  # another was first
                shutil.rmtree(partial)
        queue = cls(folder, lease)
        if strays := set(queue.names) ^ {job.name for job in jobs}:
            raise ConfigurationError(
                f"a folder of other jobs, such as {min(strays)}: {folder}", "the jobs of this study", "give another"
            )
        return queue

    def states(self) -> dict[str, State]:
        """Where each job stands, by name, in order; one that is seen nowhere is being moved, by who runs it."""
        found: dict[str, State] = dict.fromkeys(self.names, "running")
        for state in get_args(State):
            found |= {_name(path): state for path in (self.folder / state).glob("*.json")}
        return found

    def claim(self, worker: str) -> ClaimedJob | None:
        """Take the first job whose needs are met; None where there is none now.

        Args:
            worker: A name that no other has.
        """
        self._take_back()
        states = self.states()
        for name in (name for name, state in states.items() if state == "todo"):
            path = self.folder / "todo" / f"{name}.json"
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                job = Job(name, tuple(content["command"]), tuple(content["needs"]))
                if any(states[need] != "done" for need in job.needs):
                    continue
                os.utime(path)  # a rename leaves its age, and old files are taken back
                claimed = path.rename(self.folder / "running" / f"{name}@{worker}.json")
            except FileNotFoundError:  # another was first
                continue
            return ClaimedJob(job, claimed)
        return None

    def open(self) -> bool:
        """Whether there is, or may still be, something to do: a job that runs elsewhere may come back."""
        states = self.states()
        blocked = self.blocked()
        return any(state == "running" or (state == "todo" and name not in blocked) for name, state in states.items())

    def blocked(self) -> set[str]:
        """Jobs not begun that need one that failed, or one that needs such a one."""
        states = self.states()
        lost = {name for name, state in states.items() if state == "failed"}
        needs = {name: self._needs(name) for name, state in states.items() if state == "todo"}
        blocked: set[str] = set()
        while more := {name for name, needed in needs.items() if needed & (lost | blocked)} - blocked:
            blocked |= more
        return blocked

    def retry(self) -> int:
        """Put failed jobs back, as their cause may be gone; how many."""
        count = 0
        for path in sorted((self.folder / "failed").glob("*.json")):
            try:
                path.rename(self.folder / "todo" / path.name)
            except FileNotFoundError:  # another was first
                continue
            count += 1
        return count

    def _needs(self, name: str) -> set[str]:
        try:
            return set(json.loads((self.folder / "todo" / f"{name}.json").read_text(encoding="utf-8"))["needs"])
        except FileNotFoundError:  # begun meanwhile
            return set()

    def _take_back(self) -> None:
        """Put back what dead workers have left."""
        running = list((self.folder / "running").glob("*.json"))
        now = self._now() if running else 0.0
        for path in running:
            try:
                if now - path.stat().st_mtime > self.lease:
                    path.rename(self.folder / "todo" / f"{_name(path)}.json")
            except FileNotFoundError:  # it lives, or another was first
                continue

    def _now(self) -> float:
        """By the clock that stamps the folder's files, which need not be this machine's."""
        with tempfile.TemporaryFile(dir=self.folder) as file:
            return os.fstat(file.fileno()).st_mtime


def _name(path: Path) -> str:
    return path.stem.partition("@")[0]
