"""Challenger, champion and first champion on the same pictures: losses do not add up, no score is computed twice."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fundusseg.datasets import Folder
from fundusseg.imaging.image_files import write_png
from fundusseg.inference.predictor import Predictor
from fundusseg.learning import kept_scores
from fundusseg.learning.bundle_comparison import Bundles, compare_bundles
from fundusseg.learning.kept_scores import forget_scores
from fundusseg.learning.looks import level
from fundusseg.learning.promotion import MARGINS, decide
from tests.support import store_site

pytestmark = pytest.mark.slow

STEP = 0.1
"""Logits by which each round's cup is drawn larger."""


def readings(root: Path, name: str, numbers: range, reader: float, sharp: int = 0) -> Folder:
    """A source whose reader draws the cup at a logit of its own; so many photographs have a cup of sharp edge."""
    for number in numbers:
        image = store_site.picture(number)[0]
        if number - numbers.start < sharp:
            image[..., 1] = (image[..., 1] > 127) * np.uint8(255)  # found alike at any threshold
        for place, pixels in (("images", image), ("masks", store_site.outline(number, reader))):
            (root / place).mkdir(parents=True, exist_ok=True)
            write_png(root / place / f"e{number}.png", pixels)
    return Folder(root, name=name)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    for number in range(3):
        store_site.write_champion(folder / f"{number}.bundle", 1 / (1 + math.exp(STEP * (number + 1))))
    readings(folder / "site", "site", range(9), -3.0)
    readings(folder / "old", "old", range(9, 24), 0.0, sharp=7)  # a step costs about 0.004
    return folder


def compared(place: Path, challenger: int, champion: int, first: int, scores: Path, with_old: bool = True):
    bundles = Bundles(*(place / f"{number}.bundle" for number in (challenger, champion, first)))
    site, old = Folder(place / "site", name="site"), Folder(place / "old", name="old")
    return compare_bundles(bundles, site, [old] * with_old, "cpu", scores, scores.parent / f"tables{challenger}")


def old_cups_change(comparisons) -> float:
    (one,) = (one for one in comparisons if (one.source, one.region, one.metric) == ("old", "cup", "dice"))
    return one.difference.mean


def test_losses_below_the_margin_do_not_add_up(place, tmp_path):
    scores = tmp_path / "scores"
    steps = [compared(place, number + 1, number, 0, scores) for number in range(2)]
    for found in steps:
        assert -MARGINS["dice"] < old_cups_change(found.since_champion) < 0
    assert not steps[0].since_first  # it is the champion
    assert old_cups_change(steps[1].since_first) < -MARGINS["dice"]
    first, second = (decide(found, level([])) for found in steps)
    assert first.promoted and not second.promoted
    assert second.reason.startswith("worse than the first champion") and "old, Cup Dice" in second.reason
    assert any("old, Cup Dice" in sentence for sentence in second.since_first)
    # without the first one it would have been promoted
    assert decide(replace(steps[1], since_first=()), level([])).promoted


def test_a_champions_scores_are_not_computed_again(place, tmp_path, monkeypatch):
    asked: list[str] = []
    predict = Predictor.__call__

    def watched(self, image, *arguments, **options):
        asked.append("")
        return predict(self, image, *arguments, **options)

    monkeypatch.setattr(Predictor, "__call__", watched)
    names, found = ("images.csv", "figures.csv", "reliability.csv", "differences.csv"), []
    for scored in (3 * 9, 9):  # the second time the challenger's alone
        asked.clear()
        compared(place, 2, 1, 0, tmp_path / "scores", with_old=False)
        drawn = 2 * len(list((tmp_path / "tables2/changes").glob("*.jpg")))
        assert len(asked) == scored + drawn
        found.append([(tmp_path / "tables2" / name).read_bytes() for name in names])
    assert found[0] == found[1]
    torn = next((tmp_path / "scores").glob("*.json"))
    assert not {row["row"]["name"] + row["row"]["patient"] for row in json.loads(torn.read_text()).values()} - {""}
    torn.write_text(torn.read_text()[:100])  # by a power cut: computed again
    compared(place, 2, 1, 0, tmp_path / "scores", with_old=False)
    assert found[0] == [(tmp_path / "tables2" / name).read_bytes() for name in names]
    monkeypatch.setattr(kept_scores, "_code", lambda: "another version")
    asked.clear()
    compared(place, 2, 1, 0, tmp_path / "scores", with_old=False)
    assert len(asked) >= 3 * 9
    assert all(len(json.loads(file.read_text())) == 9 for file in (tmp_path / "scores").glob("*.json"))
    asked.clear()
    outlined_anew = readings(tmp_path / "site", "site", range(9), -2.0)
    bundles = Bundles(*(place / f"{number}.bundle" for number in (2, 1, 0)))
    compare_bundles(bundles, outlined_anew, [], "cpu", tmp_path / "scores", tmp_path / "tables2")
    assert len(asked) >= 3 * 9


def test_scores_of_what_is_no_champion_are_forgotten(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.json").write_text("{}")
    forget_scores(tmp_path, ["b", "d"])
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
