"""The process of one job: ``python -m fundusseg.studies.job_process PARENT FOLDER NAME MODULE ARGUMENTS``.

It runs a command of ours while it holds the job's lock, and says that the job is done once it has ended well. Where
another process holds the lock, as of a run that was killed a moment ago, it waits for its end; what that process has
done is not done again. It ends when the process that started it does.
"""

import sys
from pathlib import Path

from filelock import FileLock

from fundusseg.atomic_file import write_whole
from fundusseg.studies.child_process import follow, run_module
from fundusseg.studies.job_list import done_path, lock_path


def main(parent: int, folder: Path, name: str, command: list[str]) -> int:
    """Run a job's command, unless it is done; returns its exit code."""
    follow(parent)
    done, lock = done_path(folder, name), lock_path(folder, name)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        if done.exists():
            print("done already, by another process")
            return 0
        code = run_module(command)
        if code == 0:
            write_whole(done, b"")
    return code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
