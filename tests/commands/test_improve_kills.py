"""Killed at random moments, improve comes to the same champion: none is lost, none is half, the link always leads on.

FUNDUSSEG_KILLS is the number of kills; CI takes few.
"""

import os
import random
import shutil
import sys
from pathlib import Path

import pytest

from fundusseg.inference.model_bundle import Bundle
from fundusseg.service.store import Store
from tests.support import store_site
from tests.support.killed import Command, kill, run_to_end, start

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="kills by Linux's signals")]

KILLS = max(2, int(os.environ.get("FUNDUSSEG_KILLS", "2")))

IMPROVE = Command("improve", ("--store=store", "--bundle=first.bundle", "--trust=tests"))


def final(place: Path) -> dict[str, bytes]:
    """The champions and what is said of them, and the round's decision."""
    champions = place / "store" / "champions"
    files = [*champions.glob("champion-*"), *champions.glob("rounds/*/*.json"), *champions.glob("rounds/*/report.md")]
    assert not list(champions.rglob("*.partial")) and not list(champions.glob("rounds/*/work"))
    found = {str(path.relative_to(champions)): path.read_bytes() for path in sorted(files)}
    return found | {"current": str((champions / "current.bundle").readlink()).encode()}


def test_a_killed_round_comes_to_the_same_champion(tmp_path):
    original = tmp_path / "original"
    original.mkdir()
    champion = store_site.write_champion(original / "first.bundle")
    store = Store(original / "store")
    store_site.fill(store, champion, range(30))
    store.close()
    shutil.copytree(original, tmp_path / "undisturbed")
    seconds = run_to_end(IMPROVE, tmp_path / "undisturbed")
    wanted, done, chance = final(tmp_path / "undisturbed"), 0, random.Random(0)
    assert wanted["current"] == b"champion-0001.bundle"
    while done < KILLS:
        place = tmp_path / f"killed-{done}"
        shutil.copytree(original, place)
        finished = place / "store/champions/rounds/0001/finished.json"
        for _ in range(min(2, KILLS - done)):
            if finished.exists():  # another start would begin the next round
                break
            process = start(IMPROVE, place)
            process.join(chance.uniform(0.05, seconds))
            done += kill(process, group=True)
            if (current := place / "store" / "champions" / "current.bundle").exists():
                Bundle.load(current)  # whole, at any moment
        if not finished.exists():
            run_to_end(IMPROVE, place)
        assert final(place) == wanted
        shutil.rmtree(place)
    print(f"{done} kills of a round of {seconds:.1f} s")
