"""Streams without change give alarms at the stated level; a new camera, less light or other patients are found."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from fundusseg import improve
from fundusseg.learning.drift import YEAR, find_drift, sentence, write_drift
from fundusseg.service.store import Store
from tests.support import store_site

STREAMS = int(os.environ.get("FUNDUSSEG_DRIFT_STREAMS", "12"))
"""Simulated streams without change; by hand 200."""

A_WEEK = 20
"""Photographs."""

START = datetime(2026, 1, 5, tzinfo=UTC)


def stream(seed: int, weeks: int = 25, since: int = 10**6, **change: float) -> list[dict]:
    """Photographs of a site; from number ``since`` on some quantities are moved."""
    chance, found = np.random.default_rng(seed), []
    for number in range(weeks * A_WEEK):
        moved = change if number >= since else {}
        found.append(
            {
                "at": (START + timedelta(days=7 * (number // A_WEEK), minutes=number)).isoformat(),
                "patient": f"P{number}",
                "brightness": chance.normal(120, 25) + moved.get("brightness", 0),
                "red": chance.normal(0.55, 0.05) + moved.get("red", 0),
                "blue": chance.normal(0.12, 0.03),
                "pixels": float(chance.choice([2e6, 4e6])) * moved.get("pixels", 1),
                "vertical_cdr": chance.normal(0.45, 0.12) + moved.get("vertical_cdr", 0),
                "failure_risk": chance.beta(1, 8),
                "reject": float(chance.random() < 0.04 + moved.get("reject", 0)),
                "review": float(chance.random() < 0.1),
            }
        )
    return found


def test_without_change_there_are_alarms_at_the_stated_level():
    weeks = YEAR + 5  # the first ones are the reference
    alarms = sum(any(look.alarm for look in find_drift(stream(seed, weeks))) for seed in range(STREAMS))
    print(f"{alarms} of {STREAMS} streams without change alarmed")
    assert alarms <= 0.05 * STREAMS + 2 * np.sqrt(0.05 * 0.95 * STREAMS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"red": 0.08, "pixels": 2.0}, "camera"),
        ({"brightness": -40.0}, "light"),
        ({"vertical_cdr": 0.15}, "vertical cup/disc ratio"),
        ({"reject": 0.4}, "rejected"),
    ],
    ids=["camera", "darkening", "population", "rejects"],
)
def test_a_change_is_found_within_three_weeks(change, said):
    needed = []
    for seed in range(10):
        for photographs in range(A_WEEK, 4 * A_WEEK, A_WEEK):
            seen = stream(seed, since=300, **change)[: 300 + photographs]
            if said in sentence(find_drift(seen)):
                needed.append(photographs)
                break
    print(f"{said}: found in {len(needed)} of 10, median after {np.median(needed):.0f} photographs")
    assert len(needed) >= 9


def test_an_alarm_stays_and_a_long_stream_is_looked_at_as_keenly():
    late, alone = 60 * A_WEEK, {"brightness": -60.0}
    short, long = (find_drift(stream(3, weeks, late, **alone)) for weeks in (62, 90))
    assert [look for look in short if look.alarm] and long[: len(short)] == short


def test_two_eyes_are_not_two_patients():
    once = stream(0, weeks=10)
    assert find_drift([*once, *once]) == find_drift(once)


def test_too_few_tell_nothing_and_the_files_are_there(tmp_path):
    assert "too few" in sentence(find_drift(stream(0, weeks=2)))
    looks = find_drift(stream(1, since=300, brightness=-60))
    write_drift(looks, tmp_path)
    assert "light since the week of" in sentence(looks)
    assert (tmp_path / "drift.png").read_bytes()[:4] == b"\x89PNG"
    assert 'fundusseg_drift_alarm{quantity="brightness"} 1' in (tmp_path / "drift.prom").read_text()
    assert (tmp_path / "drift.csv").read_text().startswith("week,quantity,n,reference,now,p,alarm")


@pytest.mark.slow
def test_a_stores_photographs_are_looked_at(tmp_path: Path, capsys):
    champion = store_site.write_champion(tmp_path / "first.bundle")
    store = Store(tmp_path / "store")
    for number in range(6):
        store_site.add(store, champion, number)
    store.close()
    assert improve.main(["--store", str(tmp_path / "store"), "--drift", "--reference=20"]) == 0
    assert "too few photographs" in capsys.readouterr().out
    assert len((tmp_path / "store/champions/light.json").read_text().split("[")) == 7
