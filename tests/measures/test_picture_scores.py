import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fundusseg.errors import ImageError
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.measures.picture_scores import HOURS, LENGTHS, RATIOS, compare
from tests.support.painted import CUP, DISC, mask

TRUTH = {"disc": mask(DISC), "cup": mask(CUP)}


def labels(disc: np.ndarray, cup: np.ndarray) -> np.ndarray:
    return label_map_of_masks({DISC: disc, CUP: cup}, (DISC, CUP))


def test_the_truth_itself_has_no_error():
    row = compare(labels(*TRUTH.values()), TRUTH, eye="OD")
    for region in ("disc", "cup"):
        assert [row[f"{region}_{name}"] for name in ("dice", "iou", "precision", "recall", "radii_ratio")] == [1] * 5
        assert [row[f"{region}_{name}{unit}"] for name in LENGTHS for unit in ("", "_dd")] == [0] * 6
    assert all(row[ratio] == row[f"{ratio}_true"] for ratio in RATIOS)
    assert row["vertical_cdr"] == pytest.approx(0.5, abs=0.01)
    assert row["rim_error"] == 0 and all(row[hour] == 0 for hour in HOURS)


def test_a_shift_is_its_length():
    row = compare(labels(mask(DISC, 6, 8), mask(CUP, 6, 8)), TRUTH)
    assert row["disc_centre_distance"] == pytest.approx(10)
    assert row["disc_centre_distance_dd"] == pytest.approx(10 / 121)
    assert 9 <= row["cup_hd95"] <= 10 and row["cup_hd95_dd"] == row["cup_hd95"] / 121
    assert row["disc_radii_ratio"] == 1 and row["vertical_cdr"] == row["vertical_cdr_true"]


def test_the_rim_that_was_missed_lies_at_its_hour():
    """A cup found too far to the right of a right eye's photograph: too little rim at 3 o'clock, too much at 9."""
    found = labels(mask(DISC), mask(CUP, right=10))
    row = compare(found, TRUTH, eye="OD")
    assert row["rim_bias_3"] == pytest.approx(-10 / 100, abs=0.01) and row["rim_bias_9"] == pytest.approx(0.1, abs=0.01)
    assert abs(row["rim_bias_12"]) < 0.03
    left = compare(found, TRUTH, eye="OS")
    assert left["rim_bias_9"] == pytest.approx(row["rim_bias_3"]) and left["rim_error"] == pytest.approx(
        row["rim_error"]
    )
    unknown = compare(found, TRUTH)
    assert all(math.isnan(unknown[hour]) for hour in HOURS) and unknown["rim_error"] == pytest.approx(row["rim_error"])


def test_nothing_found_is_zero_or_undefined_and_never_what_came_before():
    good = compare(labels(*TRUTH.values()), TRUTH, eye="OD")
    row = compare(np.zeros((256, 256), np.uint8), TRUTH, eye="OD")
    assert row.keys() == good.keys()
    zero = {f"{region}_{name}" for region in TRUTH for name in ("dice", "iou", "recall", "radii_ratio")}
    true = {f"{ratio}_true" for ratio in RATIOS}
    assert {name for name, value in row.items() if value == 0} == zero
    assert {name for name, value in row.items() if not math.isnan(value)} == zero | true
    assert all(row[name] == good[name] for name in true)


def test_what_is_not_labelled_has_no_column():
    found = labels(*TRUTH.values())
    assert set(compare(found, {})) == set(RATIOS)
    disc = compare(found, {"disc": TRUTH["disc"]})
    assert "disc_hd95_dd" in disc and not any(name.startswith("cup") or name.endswith("_true") for name in disc)
    cup = compare(found, {"cup": TRUTH["cup"]})
    assert "cup_hd95" in cup and not any(name.endswith("_dd") for name in cup)
    alone = compare((found > 0).astype(np.uint8), TRUTH, ("disc",))
    assert alone["disc_dice"] == 1 and not any("cdr" in name or name.startswith("cup") for name in alone)


def test_any_region_works():
    membrane = np.zeros((40, 50), np.uint8)
    membrane[10:20, 5:45] = 1
    row = compare(membrane, {"membrane": np.roll(membrane > 0, 2, 0)}, ("membrane",))
    assert row["membrane_dice"] == pytest.approx(0.8) and row["membrane_centre_distance"] == pytest.approx(2)
    assert set(row) == {f"membrane_{name}" for name in ("dice", "iou", "precision", "recall", "radii_ratio", *LENGTHS)}


def test_another_size_is_refused():
    with pytest.raises(ImageError, match="a cup mask of 3 x 4 pixels"):
        compare(np.zeros((5, 5), np.uint8), {"cup": np.zeros((4, 3), bool)})


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, (7, 9), elements=st.integers(0, 2)), arrays(np.bool_, (7, 9)), arrays(np.bool_, (7, 9)))
@pytest.mark.slow
def test_what_lies_around_changes_nothing(found, disc, cup):
    small = compare(found, {"disc": disc, "cup": cup}, eye="OS")
    wide = compare(np.pad(found, 5), {"disc": np.pad(disc, 5), "cup": np.pad(cup, 5)}, eye="OS")
    assert small == pytest.approx(wide, nan_ok=True)


def test_a_third_region_leaves_the_ratios_as_they_are():
    labels = np.zeros((40, 40), np.uint8)
    labels[8:28, 8:28], labels[12:22, 12:22] = 1, 2
    truth = {"disc": labels > 0, "cup": labels == 2}
    vessel = np.zeros((40, 40), bool)
    vessel[34:36] = True
    row = compare(np.where(vessel, 3, labels).astype(np.uint8), {**truth, "vessel": vessel}, ("disc", "cup", "vessel"))
    assert row["vertical_cdr"] == compare(labels, truth)["vertical_cdr"] == 0.5
