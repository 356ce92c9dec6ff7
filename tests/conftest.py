"""What all tests share: the real photographs where there are any, and a quiet machine."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from fundusseg.class_paths import trust

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes of torch with two threads each slow each other down many times over; set before torch is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Tests that a shell runs in the background would inherit deaf ears, their children too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

trust(["tests"])  # networks that paint what a test wants to see

REALDATA = Path(os.environ.get("FUNDUSSEG_REALDATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_collection_modifyitems(items):
    """Among several processes, files with slow tests first: short ones at the end leave no process idle."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def denormals():
    """The commands flush denormal numbers for their whole process; other tests want them back."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def realdata() -> Path:
    """The folder of real photographs beside the project."""
    if not REALDATA.is_dir():
        pytest.skip("no real photographs beside the project (set FUNDUSSEG_REALDATA to their folder)")
    return REALDATA
