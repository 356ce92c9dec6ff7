"""The worst cases as pictures: who is kept, what is drawn, what is removed. That scoring offers all: `test_scoring`."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fundusseg.evaluation.worst_cases import SIDE, WorstCases, draw_case
from fundusseg.imaging.image_files import read_photograph

GREY = np.full((100, 150, 3), 90, np.uint8)
TRUTH = np.zeros((100, 150), np.bool_)
TRUTH[40:60, 50:90] = True
NOTHING = np.zeros(TRUTH.shape, np.uint8)


def offer(worst: WorstCases, name: str, dice: float, source: str = "a", protocol: str = "automatic_roi") -> None:
    row = {"disc_dice": dice, "protocol": protocol, "source": source, "name": name}
    worst.offer(row, GREY, NOTHING, {"disc": TRUTH}, ("disc",))


def test_the_lowest_dice_of_each_source_and_protocol_are_kept_whatever_the_order(tmp_path):
    names = {f"p{number}": number / 10 for number in range(8)}
    listed = []
    for order in (list(names), list(names)[::-1]):
        worst = WorstCases(3)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda name: offer(worst, name, names[name]), order))  # noqa: B023
        offer(worst, "alone", 0.99, source="b")
        listed.append(worst.write(tmp_path))
    assert listed[0] == listed[1]
    assert [(row["source"], row["name"], row["dice"]) for row in listed[0]] == [
        ("a", "p0", 0.0),
        ("a", "p1", 0.1),
        ("a", "p2", 0.2),
        ("b", "alone", 0.99),
    ]


def test_an_undefined_dice_is_no_worst_case_while_there_are_others(tmp_path):
    worst = WorstCases(1)
    offer(worst, "undefined", math.nan)
    offer(worst, "good", 0.9)
    assert [row["name"] for row in worst.write(tmp_path)] == ["good"]


def test_the_first_labelled_region_counts(tmp_path):
    worst = WorstCases(1)
    for name, cup in (("one", 0.3), ("two", 0.2)):
        row = {"cup_dice": cup, "protocol": "automatic_roi", "source": "a", "name": name}
        worst.offer(row, GREY, NOTHING, {"cup": TRUTH}, ("disc", "cup"))
    assert [row["name"] for row in worst.write(tmp_path)] == ["two"]


def test_pictures_of_an_evaluation_before_go_and_others_stay(tmp_path):
    """Those under the protocols' former names too."""
    for name in ("a_clean_1_x.jpg", "a_seed_2_x.jpg", "a_ground_truth_roi_1_x.jpg", "my_own.jpg", "notes_1_a.jpg"):
        (tmp_path / name).write_bytes(b"")
    worst = WorstCases()
    offer(worst, "sub/folder: 1", 0.5)
    (row,) = worst.write(tmp_path)
    assert row["file"] == "a_automatic_roi_1_sub_folder__1.jpg"
    assert {path.name for path in tmp_path.iterdir()} == {row["file"], "my_own.jpg", "notes_1_a.jpg"}
    assert max(read_photograph(tmp_path / row["file"]).shape) == SIDE


def test_what_is_drawn_is_cut_out_around_ground_truth_and_prediction():
    picture = draw_case(GREY, NOTHING, {"disc": TRUTH}, ("disc",))
    assert picture.shape[1] == SIDE, "a square of 56 pixels around 40 columns, within the picture"
    white = np.argwhere((picture > 250).all(axis=2))
    scale = SIDE / 56
    assert np.ptp(white, axis=0) == pytest.approx([20 * scale, 40 * scale], abs=1.5 * scale), "the true outline"
    far = NOTHING.copy()
    far[5:15, 120:140] = 1
    both = draw_case(GREY, far, {"disc": TRUTH}, ("disc",))
    coloured = np.argwhere(np.ptp(both.astype(int), axis=2) > 60)
    assert len(coloured) and (both > 250).all(axis=2).any(), "what was found in colour, what is true in white"


def test_nothing_found_of_nothing_shows_the_whole_picture():
    picture = draw_case(GREY, NOTHING, {"disc": TRUTH & False}, ("disc",))
    assert picture.shape == (427, SIDE, 3) and (picture == 90).all()
