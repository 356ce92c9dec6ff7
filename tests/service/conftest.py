"""One service for all tests that leave it as it was."""

import pytest

from tests.support.browser import chromium
from tests.support.service import service, write_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> str:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def running(bundle):
    with service(bundle) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    # Closed with its module: while the driver runs, no other test of this process can run an event loop.
    with chromium() as browser:
        yield browser
