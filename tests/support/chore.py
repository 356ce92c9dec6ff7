"""A job that takes its time: ``python -m tests.support.chore FILE SECONDS [CODE]``.

It notes its beginning and its end in FILE."""

import signal
import sys
import time
from pathlib import Path


def _note(word: str) -> None:
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{word}\n")


def _stop(number: int, frame: object) -> None:
    _note("stopped")
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    _note("begun")
    time.sleep(float(sys.argv[2]))
    _note("done")
    sys.exit(int(sys.argv[3]) if len(sys.argv) > 3 else 0)
