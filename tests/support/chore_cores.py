"""A job that notes what it was given: ``python -m tests.support.chore_cores THREADS FILE``."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else int(sys.argv[1])
    Path(sys.argv[2]).write_text(f"{sys.argv[1]} {os.environ['OMP_NUM_THREADS']} {cores}")
