import math

import numpy as np
import pytest

from fundusseg.evaluation.estimates import ALL
from fundusseg.evaluation.model_comparison import compare_models
from fundusseg.measures.paired_tests import holm, paired
from fundusseg.reports.metric_names import BOTH


def rows(source: str, count: int, gain: float, seed: int = 0) -> list[dict]:
    """Pictures of both models; the model's disc is better by about ``gain``, its cup by nothing."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        base, true = rng.uniform(0.8, 0.9), rng.uniform(0.3, 0.8)
        for method, more in (("model", gain), ("other", 0.0)):
            numbers = {"disc_dice": base + more + rng.normal(0, 0.01), "disc_hd95": 9 - 20 * more + rng.normal(0, 0.1)}
            numbers |= {"cup_dice": base, "vertical_cdr": true + rng.normal(0, 0.05), "vertical_cdr_true": true}
            start = {"protocol": "automatic_roi", "method": method, "source": source, "name": str(number), "error": ""}
            found.append({**start, "patient": str(number), **numbers})
    return found


def by_cell(found):
    return {(one.source, one.region, one.metric): one for one in found}


def test_better_worse_and_no_difference():
    found = by_cell(compare_models(rows("a", 40, 0.05), ("disc", "cup"), "model", "other"))
    assert {cell: one.word for cell, one in found.items()} == {
        ("a", "disc", "dice"): "better",
        ("a", "disc", "hd95"): "better",
        ("a", "cup", "dice"): "no difference",
        ("a", BOTH, "vertical_cdr_error"): "no difference",
    }
    turned = by_cell(compare_models(rows("a", 40, 0.05), ("disc", "cup"), "other", "model"))
    assert turned["a", "disc", "dice"].word == turned["a", "disc", "hd95"].word == "worse"
    said = found["a", "disc", "dice"].sentence
    assert said.startswith("automatic_roi, a, Disc Dice: better beyond chance (0.") and "40 pictures" in said


def test_every_source_and_all_and_holm_over_the_table():
    table = [*rows("a", 30, 0.05), *rows("b", 20, 0.0, seed=1)]
    found = by_cell(compare_models(table, ("disc", "cup"), "model", "other"))
    assert {source for source, *_ in found} == {"a", "b", ALL} and found[ALL, "disc", "dice"].difference.n == 50
    assert found["b", "disc", "dice"].word == "no difference"
    expected = holm([one.difference.p for one in found.values()])
    assert [one.p for one in found.values()] == pytest.approx(list(expected))
    one, two = ([r["disc_dice"] for r in table if r["source"] == "a" and r["method"] == m] for m in ("model", "other"))
    assert found["a", "disc", "dice"].difference == paired(one, two, [str(n) for n in range(30)], ["a"] * 30)


def test_only_pictures_of_both_and_what_is_undefined_is_counted():
    table = rows("a", 10, 0.0)
    table[0]["error"] = "broken"
    table[3]["disc_hd95"] = math.nan
    found = by_cell(compare_models(table, ("disc",), "model", "other"))
    assert (found["a", "disc", "hd95"].difference.n, found["a", "disc", "hd95"].difference.undefined) == (8, 1)
    assert "1 undefined" in found["a", "disc", "hd95"].sentence
    for row in table:
        row["disc_hd95"] = math.nan
    nothing = by_cell(compare_models(table, ("disc",), "model", "other"))["a", "disc", "hd95"]
    assert nothing.word == "no difference" and "no picture where both are defined" in nothing.sentence


def test_few_patients_are_called_few_and_no_difference_is_not_said_to_be_shown():
    for count, words in ((5, "too few patients for any difference to be beyond chance"), (30, "no difference shown")):
        found = by_cell(compare_models(rows("a", count, 0.0), ("cup",), "model", "other"))["a", "cup", "dice"]
        assert found.word == "no difference" and words in found.sentence, found.sentence


def test_distances_of_unlike_cameras_are_in_disc_diameters():
    table = rows("a", 8, 0.05)
    for row in table:
        row["disc_hd95_dd"] = row["disc_hd95"] / 100
    found = by_cell(compare_models(table, ("disc",), "model", "other"))
    assert ("a", "disc", "hd95") not in found and found["a", "disc", "hd95_dd"].difference.mean == pytest.approx(
        np.mean([r["disc_hd95"] / 100 * (1 if r["method"] == "model" else -1) for r in table]) * 2
    )
    assert found["a", "disc", "hd95_dd"].difference.high < 0
    assert "Disc HD95 (dd)" in found["a", "disc", "hd95_dd"].sentence


def test_a_row_for_a_file_is_flat():
    (first, *_) = compare_models(rows("a", 5, 0.0), ("disc",), "model", "other")
    assert {"protocol", "source", "metric", "model", "other", "mean", "low", "high", "p", "p_holm", "verdict"} <= set(
        first.as_row()
    )
