"""Programs of other makers, where the machine has them: DCMTK, and dciodvfy of dicom3tools (both Debian packages)."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def dcmtk() -> Callable[[str], str]:
    """The path of one of DCMTK's programs."""
    return lambda name: _program(name, "dcmtk")


@pytest.fixture
def dciodvfy() -> str:
    """The path of the validator."""
    return _program("dciodvfy", "dicom3tools")


def _program(name: str, package: str) -> str:
    # pynetdicom brings programs of the same names as DCMTK's into the environment.
    elsewhere = [place for place in os.get_exec_path() if Path(place) != Path(sys.executable).parent]
    if (path := shutil.which(name, path=os.pathsep.join(elsewhere))) is None:
        pytest.skip(f"no {name} on this machine (Debian package {package})")
    return path
