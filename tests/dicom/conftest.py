"""Programs of other makers, where the machine has them: DCMTK, and dciodvfy of dicom3tools (both Debian packages)."""

import shutil
from collections.abc import Callable

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
    # Where packages of the system lie: pynetdicom brings programs of the same names as DCMTK's into environments.
    if (path := shutil.which(name, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")) is None:
        pytest.skip(f"no {name} on this machine (Debian package {package})")
    return path
