"""Programs of other makers, where the machine has them: DCMTK, and dciodvfy of dicom3tools (both Debian packages)."""

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer

import pytest

from tests.support.dicom_network import Archive, Web


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


@pytest.fixture
def web() -> Iterator[ThreadingHTTPServer]:
    """A DICOMweb archive."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.came, server.study, server.status, server.answer = [], [], 200, None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def archive() -> Iterator[Archive]:
    """An AE that takes everything."""
    one = Archive()
    yield one
    one.close()
