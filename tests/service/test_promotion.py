"""A bundle is promoted under load: no request fails, and every answer is from one whole bundle."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fundusseg.atomic_file import file_digest
from fundusseg.learning.champions import Champions
from tests.support.service import PHOTOGRAPH, Service, service, write_bundle

pytestmark = pytest.mark.slow

PROMOTIONS = int(os.environ.get("FUNDUSSEG_PROMOTIONS", "2"))
"""By hand 20."""


@pytest.fixture
def champions(tmp_path) -> Champions:
    """Two champions of other digests."""
    found = Champions(tmp_path / "champions")
    for number, seconds in enumerate((0.0, 0.01)):
        (tmp_path / f"{number}").mkdir()
        found.folder.mkdir(exist_ok=True)
        found.keep(Path(write_bundle(tmp_path / f"{number}", seconds)), number, None, {})
    found.point_to(found.folder / "champion-0000.bundle")
    return found


def wait_for(running: Service, digest: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while digest not in running.post("/v1/predictions", PHOTOGRAPH).headers["x-fundusseg-bundle"]:
        assert time.monotonic() < end


def test_no_request_is_lost_while_bundles_are_promoted(champions):
    kept = [champions.folder / f"champion-000{number}.bundle" for number in (0, 1)]
    digests = [file_digest(path) for path in kept]
    done: list[tuple[int, str]] = []
    with (
        service(str(champions.folder / "current.bundle"), "--workers", "2") as running,
        ThreadPoolExecutor(4) as clients,
    ):
        over: list[bool] = []

        def ask() -> None:
            while not over:
                answer = running.post("/v1/predictions", PHOTOGRAPH)
                done.append((answer.status, answer.headers["x-fundusseg-bundle"].removeprefix("sha256 ")))

        asking = [clients.submit(ask) for _ in range(3)]
        for number in range(PROMOTIONS):
            champions.point_to(kept[(number + 1) % 2])
            wait_for(running, digests[(number + 1) % 2])
            assert running.get("/readyz").status == 200
        over.append(True)
        for one in asking:
            one.result()
        assert running.figure("fundusseg_worker_restarts_total") == 0
    print(f"{len(done)} requests, {PROMOTIONS} promotions")
    assert {status for status, _ in done} == {200}
    assert {digest for _, digest in done} <= set(digests)


def test_a_bundle_that_cannot_be_loaded_is_passed_over(champions):
    with service(str(champions.folder / "current.bundle")) as running:
        (champions.folder / "champion-0009.bundle").write_bytes(b"no bundle")
        champions.point_to(champions.folder / "champion-0009.bundle")
        time.sleep(2)
        wait_for(running, file_digest(champions.folder / "champion-0000.bundle"))
