"""Trainings x sources from rows whose means are known."""

import math

import numpy as np
import pandas as pd
import pytest

from fundusseg.measures.bootstrap import mean_interval
from fundusseg.studies.cross_table import (
    MACRO,
    Metric,
    compare_trainings,
    mark_best,
    table_cells,
    table_metrics,
)

PROTOCOL = "automatic_roi"
DICE = Metric("disc", "dice")
CUP_DICE = Metric("cup", "dice")


def table(values, seeds=(1,), count=12):
    """``{training: {source: mean Dice}}`` as rows; two pictures of each patient, cups in source a alone."""
    rows = []
    wobble = np.tile([-0.01, 0.01], count // 2)
    for training, of in values.items():
        for source, mean in of.items():
            for seed in seeds:
                for number in range(count):
                    dice = mean + wobble[number] + 0.001 * (seed - 1)
                    both = source == "a"
                    rows.append(
                        {
                            "training": training,
                            "trained": training == source,
                            "fold": 0,
                            "seed": seed,
                            "protocol": "automatic_roi",
                            "source": source,
                            "name": f"{number}",
                            "patient": f"{number // 2}",
                            "labelled": "disc cup" if both else "disc",
                            "disc_dice": dice,
                            "cup_dice": dice - 0.1 if both else math.nan,
                            "vertical_cdr_error": 1 - dice,
                        }
                    )
    return pd.DataFrame(rows)


def by_place(found):
    return {(cell.training, cell.source): cell for cell in found}


def test_metrics_are_those_of_the_rows():
    rows = table({"a": {"a": 0.9}})
    assert [metric.column for metric in table_metrics(rows)] == ["disc_dice", "cup_dice", "vertical_cdr_error"]
    assert [metric.higher for metric in table_metrics(rows)] == [True, True, False]


def test_a_cell_is_the_mean_over_pictures_with_its_interval():
    rows = table({"a": {"a": 0.9, "b": 0.8}, "all": {"a": 0.95, "b": 0.6}})
    rows.loc[(rows["training"] == "a") & (rows["source"] == "b") & (rows["name"] == "3"), "disc_dice"] = math.nan
    found = by_place(table_cells(rows, PROTOCOL, DICE))
    assert list(found) == [(training, source) for training in ("a", "all") for source in ("a", "b", MACRO)]
    cell = found["a", "a"]
    assert cell.value == pytest.approx(0.9) and (cell.n, cell.patients, cell.undefined) == (12, 6, 0)
    own = rows[(rows["training"] == "all") & (rows["source"] == "b")]
    assert (found["all", "b"].low, found["all", "b"].high) == mean_interval(own["disc_dice"], own["patient"].tolist())
    holed = found["a", "b"]
    assert holed.value == pytest.approx((12 * 0.8 - 0.81) / 11) and (holed.n, holed.undefined) == (11, 1)
    assert found["all", MACRO].value == pytest.approx((0.95 + 0.6) / 2)
    assert [cell.trained for cell in found.values()] == [True, False, False, False, False, False]


def test_what_is_not_labelled_has_no_column_and_what_is_not_predicted_no_value():
    rows = table({"a": {"a": 0.9, "b": 0.8}, "b": {"a": 0.7, "b": 0.9}})
    alone = rows["training"] == "b"
    rows.loc[alone, ["labelled", "cup_dice"]] = ["disc", math.nan]  # a network of the disc alone
    found = by_place(table_cells(rows, PROTOCOL, CUP_DICE))
    assert list(found) == [(training, source) for training in ("a", "b") for source in ("a", MACRO)]
    assert found["a", "a"].value == pytest.approx(0.8)
    assert math.isnan(found["b", "a"].value) and (found["b", "a"].n, found["b", "a"].undefined) == (0, 0)
    assert table_cells(rows, "seed", DICE)[0].n == 0, "another protocol"


def test_pictures_are_averaged_over_seeds_before_patients_are_drawn():
    one, three = (
        by_place(table_cells(table({"a": {"a": 0.9}}, seeds), PROTOCOL, DICE))["a", "a"] for seeds in ((1,), (1, 2, 3))
    )
    assert three.n == one.n == 12 and three.value == pytest.approx(0.901)
    assert three.high - three.low == pytest.approx(one.high - one.low), "seeds are no further patients"
    assert three.seeds_sd == pytest.approx(0.001) and math.isnan(one.seeds_sd)


def test_comparisons_are_corrected_within_a_source():
    rows = table({"good": {"a": 0.9}, "same": {"a": 0.9}, "bad": {"a": 0.7}}, count=40)
    generator = np.random.default_rng(1)
    rows["disc_dice"] += generator.normal(0, 0.005, len(rows))
    found = {(c.one, c.other): c for c in compare_trainings(rows, PROTOCOL, DICE)}
    assert list(found) == [("good", "same"), ("good", "bad"), ("same", "bad")]
    worse = found["good", "bad"]
    assert worse.mean == pytest.approx(0.2, abs=0.01) and worse.beyond_chance and worse.patients == 20
    assert worse.p_holm == pytest.approx(min(1, 3 * worse.p)) and not found["good", "same"].beyond_chance


def test_the_best_and_who_is_worse_than_it():
    rows = table({"good": {"a": 0.9}, "same": {"a": 0.899}, "bad": {"a": 0.7}}, count=40)
    rows["disc_dice"] += np.random.default_rng(1).normal(0, 0.005, len(rows))
    ranked = mark_best(table_cells(rows, PROTOCOL, DICE), compare_trainings(rows, PROTOCOL, DICE), higher=True)
    column = [cell for cell in ranked if cell.source == "a"]
    assert [cell.best for cell in column].count(True) == 1 and max(column, key=lambda cell: cell.value).best
    assert {cell.training: cell.worse for cell in column} == {"good": False, "same": False, "bad": True}
    errors = Metric("disc+cup", "vertical_cdr_error")
    rows["vertical_cdr_error"] = 1 - rows["disc_dice"]
    lowest = mark_best(table_cells(rows, PROTOCOL, errors), compare_trainings(rows, PROTOCOL, errors), higher=False)
    assert min((c for c in lowest if c.source == "a"), key=lambda cell: cell.value).best


@pytest.mark.slow
def test_who_is_better_on_the_shared_pictures_is_not_called_worse():
    """The leader by its mean leaves out the hard pictures; on the others it is beaten beyond chance."""
    rows = table({"bold": {"a": 0.9}, "shy": {"a": 0.89}}, count=40)
    hard = rows["name"].astype(int) >= 20
    rows.loc[hard, "disc_dice"] -= 0.3
    rows.loc[hard & (rows["training"] == "shy"), "disc_dice"] = math.nan
    rows["disc_dice"] += np.random.default_rng(1).normal(0, 0.001, len(rows))
    (compared,) = compare_trainings(rows, PROTOCOL, DICE)
    assert (compared.one, compared.other) == ("bold", "shy") and compared.mean > 0 and compared.beyond_chance
    bold, shy = (c for c in mark_best(table_cells(rows, PROTOCOL, DICE), [compared], higher=True) if c.source == "a")
    assert shy.best and shy.undefined == 20 and not bold.worse
    rows["vertical_cdr_error"] = 1 - rows["disc_dice"]
    errors = Metric("disc+cup", "vertical_cdr_error")
    ranked = mark_best(table_cells(rows, PROTOCOL, errors), compare_trainings(rows, PROTOCOL, errors), higher=False)
    assert not any(cell.worse for cell in ranked)


def test_a_picture_without_a_value_under_one_seed_is_counted():
    rows = table({"a": {"a": 0.9}}, (1, 2))
    rows.loc[(rows["seed"] == 2) & rows["name"].isin(["3", "4"]), "disc_dice"] = math.nan
    rows.loc[rows["name"] == "4", "disc_dice"] = math.nan
    cell = by_place(table_cells(rows, PROTOCOL, DICE))["a", "a"]
    assert (cell.n, cell.undefined) == (11, 2)


def test_the_spread_of_seeds_is_that_of_the_figure_shown():
    rows = table({"a": {"a": 0.9, "b": 0.8}}, (1, 2))
    rows.loc[(rows["seed"] == 2) & (rows["source"] == "b"), "disc_dice"] += 0.1
    rows = rows[(rows["source"] == "a") | rows["name"].isin(["0", "1"])]
    found = by_place(table_cells(rows, PROTOCOL, DICE))
    assert found["a", MACRO].seeds_sd == pytest.approx((0.001 + 0.101) / 2 / math.sqrt(2)), "each source once"
    assert found["a", "b"].seeds_sd == pytest.approx(0.101 / math.sqrt(2))
