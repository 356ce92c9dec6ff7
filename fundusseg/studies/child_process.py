"""A command that ends with its parent: ``python -m fundusseg.studies.child_process PARENT MODULE ARGUMENTS``."""

import ctypes
import os
import runpy
import signal
import sys

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def follow(parent: int) -> None:
    """Have this process told to stop, SIGTERM, where its parent dies: it saves its work, and nobody does it twice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(128 + signal.SIGTERM)


def run_module(command: list[str]) -> int:
    """Run a module and its arguments as ``python -m`` does, in this process; its exit code."""
    sys.argv = command
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return 0


if __name__ == "__main__":
    follow(int(sys.argv[1]))
    sys.exit(run_module(sys.argv[2:]))
