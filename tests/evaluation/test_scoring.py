"""Rows of pictures whose prediction is known, and of pictures that cannot be scored."""

import math
import threading

import numpy as np
import pytest

from fundusseg.datasets import Folder, IsbiMembrane, Phantom
from fundusseg.evaluation.estimates import make_estimates
from fundusseg.evaluation.protocols import PROTOCOLS
from fundusseg.evaluation.scoring import MODEL, Case, Evaluation
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.imaging.image_files import read_mask, write_png
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.calibration_error import expected_calibration_error
from tests.miniatures import isbi_membrane
from tests.support.painted import CUP, DISC, checkpoint, folder, mask

BOTH = list(PROTOCOLS.values())
FOUND = {
    "a_good": (mask(DISC), mask(CUP)),
    "b_aside": (mask(DISC, 6, 8), mask(CUP, 6, 8)),
    "c_nothing": (mask(DISC) & False, mask(CUP) & False),
    "d_no_cup": (mask(DISC), mask(CUP) & False),
}


@pytest.fixture
def predictor(tmp_path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint(tmp_path / "a.ckpt"))


@pytest.fixture
def painted(tmp_path) -> Folder:
    return Folder(folder(tmp_path / "painted", FOUND))


def cases(*datasets) -> list[Case]:
    return [Case(dataset, record) for dataset in datasets for record in dataset.records]


def rows(predictor, listed, protocols=BOTH, **options) -> list[dict]:
    return [row for scored in Evaluation({MODEL: predictor}, protocols, **options)(listed) for row in scored.rows]


def test_numbers_are_each_pictures_own(predictor, painted):
    found = {(row["protocol"], row["name"]): row for row in rows(predictor, cases(painted))}
    assert len(found) == 8
    for protocol in ("automatic_roi", "ground_truth_roi"):
        good, aside, nothing, cupless = (found[protocol, name] for name in FOUND)
        assert good["disc_dice"] == good["cup_dice"] == 1 and good["vertical_cdr"] == good["vertical_cdr_true"]
        assert aside["disc_centre_distance"] == pytest.approx(10) and 0.8 < aside["disc_dice"] < 0.95
        assert nothing["disc_dice"] == 0 and math.isnan(nothing["disc_hd95"]) and math.isnan(nothing["vertical_cdr"])
        assert cupless["disc_dice"] == 1 and cupless["cup_dice"] == 0 and math.isnan(cupless["cup_hd95"])
        assert cupless["vertical_cdr"] == 0 and cupless["vertical_cdr_true"] == good["vertical_cdr_true"]
        cells = {
            (f.region, f.metric): f
            for f in make_estimates(list(found.values()))
            if (f.protocol, f.source) == (protocol, "folder")
        }
        assert (cells["disc", "hd95"].n, cells["disc", "hd95"].undefined) == (3, 1)
        assert (cells["disc", "dice"].n, cells["disc", "dice"].value) == (
            4,
            pytest.approx((2 + aside["disc_dice"]) / 4),
        )


def test_the_order_of_pictures_changes_no_number(predictor, painted):
    """An empty prediction takes over nothing from the picture before it."""
    there, back = (rows(predictor, order) for order in (cases(painted), cases(painted)[::-1]))
    assert repr(sorted(there, key=repr)) == repr(sorted(back, key=repr))


def test_a_file_that_cannot_be_scored_is_a_row_with_its_reason(predictor, painted):
    files = painted.root / "masks"
    write_png(files / "b_aside.png", read_mask(files / "b_aside.png")[2:])
    (painted.root / "images" / "d_no_cup.png").write_bytes(b"no picture")
    found = rows(predictor, cases(painted))
    failed = {row["name"]: row for row in found if row["error"]}
    assert set(failed) == {"b_aside", "d_no_cup"} and len(found) == 8
    assert "mask of 256 x 254 pixels" in failed["b_aside"]["error"] and "disc_dice" not in failed["b_aside"]
    assert {estimate.n + estimate.undefined for estimate in make_estimates(found)} == {2}


def test_without_truth_there_are_measures_only(predictor, painted):
    bare = Folder(painted.root, masks=None)
    found = rows(predictor, cases(bare))
    assert {row["labelled"] for row in found} == {""} and {row["error"] for row in found} == {""}
    assert found[0]["vertical_cdr"] == pytest.approx(0.5, abs=0.01)
    assert not any("dice" in key or "true" in key for row in found for key in row)
    assert make_estimates(found) == []


def test_membranes_are_scored_as_discs_are(tmp_path):
    isbi_membrane.build(tmp_path)
    dataset = IsbiMembrane(tmp_path)
    mine = Predictor.from_checkpoint(checkpoint(tmp_path / "a.ckpt", regions=("membrane",), image_size=112))
    (scored, *_) = list(Evaluation({MODEL: mine}, BOTH, WorstCases(1))(cases(dataset)))
    assert [row["protocol"] for row in scored.rows] == ["automatic_roi", "ground_truth_roi"]
    for row, pixels in zip(scored.rows, scored.calibration, strict=True):
        assert row["labelled"] == "membrane" and 0 < row["membrane_dice"] < 1 and not row["error"]
        assert "vertical_cdr" not in row and "membrane_hd95_dd" not in row and set(pixels) == {"membrane"}


def test_experts_stand_beside_the_model(predictor):
    drawn = Phantom(count=2, size=128, experts=3)
    found = rows(predictor, cases(drawn), [PROTOCOLS["automatic_roi"]])
    methods = {row["method"] for row in found if row["protocol"] == "interobserver"}
    assert methods == {f"{whose}expert{n}" for whose in ("", "model for ") for n in (1, 2, 3)}
    expert = next(row for row in found if row["method"] == "expert1")
    assert expert["cup_dice"] > 0.8 and expert["labelled"] == "disc cup" and expert["vertical_cdr_true"] > 0


@pytest.mark.slow
def test_pictures_in_hand_are_few(predictor):
    """However many there are to score."""
    many = Phantom(count=40, size=64)
    inside, most, lock = 0, 0, threading.Lock()
    load = many.load

    def counted(record):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        return load(record)

    many.load = counted
    for _ in Evaluation({MODEL: predictor}, [PROTOCOLS["automatic_roi"]])(cases(many), workers=3):
        with lock:
            inside -= 1
    assert most <= 2 * 3 + 2


def test_the_worst_are_kept_by_name_and_shown(predictor, painted, tmp_path):
    worst = WorstCases(2)
    rows(predictor, cases(painted), worst=worst)
    listed = worst.write(tmp_path / "worst")
    assert [(row["protocol"], row["name"]) for row in listed] == [
        (protocol, name) for protocol in ("automatic_roi", "ground_truth_roi") for name in ("c_nothing", "b_aside")
    ]
    assert sorted(path.name for path in (tmp_path / "worst").iterdir()) == [row["file"] for row in listed]
    assert listed[0]["file"] == "folder_automatic_roi_1_c_nothing.jpg" and listed[0]["dice"] == 0


def test_calibration_counts_the_squares_pixels(predictor, painted):
    evaluation = Evaluation({MODEL: predictor}, [PROTOCOLS["automatic_roi"]])
    good, *_ = evaluation(cases(painted))
    counted = good.calibration[0]["disc"]
    assert counted.count.sum() == 256 * 256 and counted.true.sum() == mask(DISC).sum()
    error = expected_calibration_error([counted]).of(np.ones(1, np.bool_))
    assert error == pytest.approx(0, abs=1e-4)


def test_two_networks_see_the_same_pictures(predictor, painted, tmp_path):
    other = Predictor.from_checkpoint(checkpoint(tmp_path / "disc.ckpt", regions=("disc",)))
    scored = list(Evaluation({MODEL: predictor, "other": other}, BOTH)(cases(painted)))
    assert [(row["protocol"], row["method"]) for row in scored[0].rows] == [
        ("automatic_roi", "model"),
        ("automatic_roi", "other"),
        ("ground_truth_roi", "model"),
        ("ground_truth_roi", "other"),
    ]
    assert scored[0].rows[1]["labelled"] == "disc" and "cup_dice" not in scored[0].rows[1]
    assert np.isclose(scored[1].rows[0]["disc_dice"], scored[1].rows[1]["disc_dice"])
