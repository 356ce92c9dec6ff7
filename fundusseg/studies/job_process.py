"""The process of one job: ``python -m fundusseg.studies.job_process PARENT FOLDER NAME MODULE ARGUMENTS``.

It runs a command of ours while it holds the job's lock, and says that the job is done once it has ended well. Where
another process holds the lock, as of a run that was killed a moment ago, it waits for its end; what that process has
done is not done again. It ends when the process that started it does.
"""

import ctypes
import os
import runpy
import signal
import sys
from pathlib import Path

from filelock import FileLock

from fundusseg.atomic_file import write_whole
from fundusseg.studies.job_list import done_path, lock_path

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def main(parent: int, folder: Path, name: str, command: list[str]) -> int:
    """Run a job's command, unless it is done; returns its exit code."""
    follow(parent)
    done, lock = done_path(folder, name), lock_path(folder, name)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if done.exists():
            print("done already, by another process")
            return 0
        sys.argv = command
        code = _run(command[0])
        if code == 0:
            write_whole(done, b"")
    return code


def _run(module: str) -> int:
    """Run a module as ``python -m`` does, in this process, which holds the lock; its exit code."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


def follow(parent: int) -> None:
    """Have this process told to stop, SIGTERM, where its parent dies: it saves its work, and nobody does it twice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
