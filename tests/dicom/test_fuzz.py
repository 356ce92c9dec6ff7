"""Damaged files: read or refused in a sentence, none hangs, ends the process or fills the memory.

Full size, once by hand: ``FUNDUSSEG_DICOM_FUZZ=2000 python -m pytest tests/dicom/test_fuzz.py``.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_files

from fundusseg.dicom.sop_classes import PHOTOGRAPHS
from fundusseg.errors import ImageError
from fundusseg.imaging import read_photograph

COUNT = int(os.environ.get("FUNDUSSEG_DICOM_FUZZ", "120"))
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path):
    command = [sys.executable, "-m", "tests.support.dicom_fuzzing", "7", str(COUNT), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300 + 3 * COUNT)
    *lines, memory = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-3000:]
    assert len(lines) == COUNT and memory.startswith("memory ")
    outcomes = [line.split(" ", 2) for line in lines]
    # A process of its own is given 60 s; the machine may be busy with other things.
    assert max(float(seconds) for _, seconds, _ in outcomes) < 90
    refused = sum(outcome == "refused" for *_, outcome in outcomes)
    assert 0 < refused < COUNT and int(memory.split()[1]) < 1000


@pytest.mark.slow
def test_pydicom_s_own_files_are_read_or_refused_by_name():
    """Those that the package carries; the others it would fetch."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    files = [Path(path) for path in get_testdata_files("**/*") if Path(path).is_file() and folder in Path(path).parents]
    assert len(files) > 80
    said = {}
    for path in files:
        try:
            pixels = read_photograph(path)
            said[path.name] = f"read {pixels.shape}"
        except ImageError as error:
            said[path.name] = str(error)
    refused = [what for what in said.values() if "got a DICOM" in what and "cannot be decoded" not in what]
    assert len(refused) > 40 and any("CT Image" in what for what in refused)
    assert "lossy JPEG of 12 bits" in said["JPGExtended.dcm"]
    read = {path for path in files if said[path.name].startswith("read")}
    assert len(read) > 20
    assert all(str(pydicom.dcmread(path).SOPClassUID) in PHOTOGRAPHS for path in read)
    for path in (path for path in read if said[path.name] == "read (100, 100, 3)"):
        # Bands of known colour, in every syntax and colour space that a dozen encoders wrote.
        bands = read_photograph(path)[[5, 25, 45, 75, 95], 50].astype(int)
        expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [64, 64, 64], [255, 255, 255]]
        assert np.abs(bands - expected).max() <= 5, path.name
