import math

import numpy as np
import pytest

from fundusseg.evaluation.estimates import ALL, MACRO, make_estimates, most_seen
from fundusseg.measures.bootstrap import mean_interval
from fundusseg.measures.calibration_error import Reliability, expected_calibration_error
from fundusseg.measures.ratio_agreement import concordance
from fundusseg.measures.roc import auc
from fundusseg.reports.metric_names import BOTH


def row(source, name, **more):
    start = {"protocol": "automatic_roi", "method": "model", "source": source, "name": name, "patient": name}
    start["diagnosis"] = ""
    return {**start, "seen": "no", "labelled": "disc cup", "error": "", **more}


def drawn(count: int = 30, seed: int = 0) -> list[dict]:
    """Two sources of unlike size and quality, two pictures of each patient."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        source = "large" if number % 3 else "small"
        true = rng.uniform(0.2, 0.9)
        numbers = {
            "disc_dice": rng.uniform(0.8, 1) - 0.2 * (source == "small"),
            "disc_radii_ratio": rng.uniform(0.8, 1),
        }
        numbers |= {"vertical_cdr_true": true, "vertical_cdr": true + rng.normal(0.02, 0.05)}
        diagnosis = "glaucoma" if true > 0.6 else "suspect" if true > 0.55 else "healthy"
        rows.append(row(source, str(number), patient=str(number // 6), diagnosis=diagnosis, **numbers))
    return rows


def table(rows, *calibration):
    found = make_estimates(rows, *calibration)
    cells = {(f.protocol, f.method, f.source, f.region, f.metric): f for f in found}
    assert len(cells) == len(found)
    return cells


def test_every_estimate_is_that_of_its_own_module():
    rows = drawn()
    cells = table(rows)
    dice = np.array([r["disc_dice"] for r in rows])
    source, patient = ([r[key] for r in rows] for key in ("source", "patient"))
    small = np.array(source) == "small"
    place = ("automatic_roi", "model")
    everything, macro = cells[*place, ALL, "disc", "dice"], cells[*place, MACRO, "disc", "dice"]
    assert everything.value == pytest.approx(dice.mean())
    assert (everything.low, everything.high) == mean_interval(dice, patient, source)
    assert macro.value == pytest.approx((dice[small].mean() + dice[~small].mean()) / 2)
    assert (macro.low, macro.high) == mean_interval(dice, patient, source, macro=True)
    part = cells[*place, "small", "disc", "dice"]
    assert (part.n, part.patients, part.undefined) == (10, 5, 0) and part.low < dice[small].mean() < part.high
    assert everything.patients == 10, "a patient's number may stand in two sources"
    found, true = (np.array([r[key] for r in rows]) for key in ("vertical_cdr", "vertical_cdr_true"))
    expected = concordance(found, true)
    for metric, field in (("error", "mae"), ("limit_low", "low"), ("icc", "icc"), ("pearson", "pearson")):
        estimate = cells[*place, ALL, BOTH, f"vertical_cdr_{metric}"]
        assert (
            estimate.value == pytest.approx(getattr(expected, field)) and estimate.low < estimate.value < estimate.high
        )
    share = cells[*place, ALL, "disc", "radii_ratio_above_0.90"]
    assert share.value == pytest.approx(np.mean([r["disc_radii_ratio"] > 0.9 for r in rows]))


def test_glaucoma_against_healthy_by_delong():
    rows = drawn(60)
    cells = table(rows)
    known = [r for r in rows if r["diagnosis"] != "suspect"]
    ill = [r["diagnosis"] == "glaucoma" for r in known]
    who = [f"{r['source']}/{r['patient']}" for r in known]
    expected = auc([r["vertical_cdr"] for r in known], ill, groups=who)
    estimate = cells["automatic_roi", "model", ALL, BOTH, "vertical_cdr_auc"]
    assert (estimate.value, estimate.low, estimate.high) == (expected.value, expected.low, expected.high)
    assert estimate.n == len(known) < 60
    assert cells["automatic_roi", "model", ALL, BOTH, "vertical_cdr_true_auc"].value == 1, "it decided the diagnosis"
    macro = cells["automatic_roi", "model", MACRO, BOTH, "vertical_cdr_auc"]
    parts = [cells["automatic_roi", "model", source, BOTH, "vertical_cdr_auc"] for source in ("small", "large")]
    assert macro.value == pytest.approx(np.mean([part.value for part in parts]))
    assert macro.low <= macro.value <= macro.high


def test_a_narrow_rim_speaks_for_glaucoma():
    rows = [
        row("a", str(i), diagnosis=d, rim_min_ratio=r) for i, (d, r) in enumerate([("glaucoma", 0.1), ("healthy", 0.3)])
    ]
    assert table(rows)["automatic_roi", "model", "a", BOTH, "rim_min_ratio_auc"].value == 1


def test_without_both_diagnoses_there_is_no_area():
    rows = [row("a", str(i), diagnosis="healthy", vertical_cdr=0.5) for i in range(3)]
    assert not any("auc" in key[-1] for key in table(rows))


def test_undefined_is_counted_and_enters_no_mean():
    rows = [row("a", str(i), disc_hd95=value) for i, value in enumerate([2.0, math.nan, 4.0])]
    estimate = table(rows)["automatic_roi", "model", "a", "disc", "hd95"]
    assert (estimate.value, estimate.n, estimate.undefined, estimate.patients) == (3, 2, 1, 2)
    nothing = table([row("a", "1", disc_hd95=math.nan)])["automatic_roi", "model", "a", "disc", "hd95"]
    assert math.isnan(nothing.value) and math.isnan(nothing.low) and (nothing.n, nothing.undefined) == (0, 1)


def test_what_is_not_labelled_or_failed_is_not_counted():
    rows = [row("a", "1", disc_dice=0.5), row("a", "2", labelled=""), row("a", "3", error="broken", disc_dice=0.1)]
    cells = table(rows)
    assert cells["automatic_roi", "model", "a", "disc", "dice"].n == 1
    assert not any(key[3] == "cup" for key in cells)
    assert make_estimates([row("a", "1", error="broken")]) == []


def test_protocols_and_methods_stay_apart():
    rows = [
        row("a", "1", disc_dice=0.5),
        row("a", "1", disc_dice=0.9, protocol="ground_truth_roi"),
        row("a", "1", method="b", disc_dice=1),
    ]
    cells = table(rows)
    values = {key[:2]: estimate.value for key, estimate in cells.items() if key[2:] == ("a", "disc", "dice")}
    assert values == {("automatic_roi", "model"): 0.5, ("ground_truth_roi", "model"): 0.9, ("automatic_roi", "b"): 1}


def test_the_mean_of_sources_leaves_out_a_source_without_a_figure():
    rows = [row("a", str(i), disc_hd95=float(i)) for i in range(7)] + [row("b", "9", disc_hd95=math.nan)]
    estimate = table(rows)["automatic_roi", "model", MACRO, "disc", "hd95"]
    assert (estimate.value, estimate.n, estimate.undefined) == (3, 7, 1) and estimate.low < 3 < estimate.high


def test_a_source_of_one_patient_leaves_the_mean_of_sources_without_an_interval():
    rows = [row("a", str(i), disc_dice=0.9 + 0.01 * i) for i in range(6)] + [row("b", "9", disc_dice=0.5)]
    cells = table(rows)
    macro, everything = (cells["automatic_roi", "model", place, "disc", "dice"] for place in (MACRO, ALL))
    assert macro.value == pytest.approx(0.7125) and math.isnan(macro.low) and math.isnan(macro.high)
    assert everything.low < everything.value < everything.high


def test_what_never_varies_claims_no_certainty():
    """Six of six above a bound may well be nine of ten; so with a perfect area under the curve."""
    rows = [
        row("a", str(i), disc_radii_ratio=0.95, vertical_cdr=0.1 * i, diagnosis="glaucoma" if i > 2 else "healthy")
        for i in range(6)
    ]
    cells = table(rows)
    share = cells["automatic_roi", "model", "a", "disc", "radii_ratio_above_0.90"]
    area = cells["automatic_roi", "model", "a", BOTH, "vertical_cdr_auc"]
    for estimate in (share, area):
        assert estimate.value == 1 and math.isnan(estimate.low) and math.isnan(estimate.high)


def test_experts_of_two_sources_are_not_one_person():
    rows = [row(source, "1", disc_dice=0.9, protocol="interobserver", method="expert1") for source in ("a", "b")]
    assert {key[2] for key in table(rows)} == {"a", "b"}


def test_an_area_needs_both_diagnoses_in_the_source():
    """The ill of one camera against the healthy of another would tell the cameras apart."""
    apart = [row("a", str(i), diagnosis="glaucoma", vertical_cdr=0.7) for i in range(3)]
    apart += [row("b", str(i), diagnosis="healthy", vertical_cdr=0.3) for i in range(3)]
    assert not any("auc" in key[-1] for key in table(apart))
    both = [row("c", str(i), diagnosis=d, vertical_cdr=0.5) for i, d in enumerate(["glaucoma", "healthy"])]
    cells = table([*apart, *both])
    for place in ("c", ALL, MACRO):
        estimate = cells["automatic_roi", "model", place, BOTH, "vertical_cdr_auc"]
        assert (estimate.value, estimate.n, estimate.undefined) == (0.5, 2, 0)


def test_an_area_of_few_patients_of_either_class_has_no_interval():
    scores = np.random.default_rng(1).random(20)
    for ill, is_there in ((4, False), (5, True)):
        rows = [
            row("a", str(i), vertical_cdr=score, diagnosis="glaucoma" if i < ill else "healthy")
            for i, score in enumerate(scores)
        ]
        for place in ("a", ALL, MACRO):
            estimate = table(rows)["automatic_roi", "model", place, BOTH, "vertical_cdr_auc"]
            assert 0 < estimate.value < 1 and math.isnan(estimate.low) != is_there


def test_of_one_source_the_mean_of_sources_is_its_own_area():
    scores = np.random.default_rng(0).random(40)
    rows = [
        row("large", str(i), vertical_cdr=score, diagnosis="glaucoma" if i % 2 else "healthy")
        for i, score in enumerate(scores)
    ]
    one, macro = (table(rows)["automatic_roi", "model", place, BOTH, "vertical_cdr_auc"] for place in ("large", MACRO))
    assert (macro.value, macro.low, macro.high) == pytest.approx((one.value, one.low, one.high), abs=1e-12)
    assert one.low < one.value


def test_calibration_of_a_source_is_that_of_its_pixels():
    rng = np.random.default_rng(0)
    counted = [Reliability.of(rng.random((8, 8)).astype(np.float32), rng.random((8, 8)) > 0.3) for _ in range(5)]
    rows = [row("a", str(i), disc_dice=1.0) for i in range(6)] + [row("a", "bare", labelled="")]
    # The sixth picture was rejected before a network saw its square.
    estimate = table(rows, [*({"disc": one} for one in counted), {}, {}])["automatic_roi", "model", "a", "disc", "ece"]
    assert estimate.value == pytest.approx(expected_calibration_error(counted).of(np.ones(5, bool)))
    assert (estimate.n, estimate.undefined) == (5, 1) and estimate.low < estimate.value < estimate.high


def test_the_gravest_mark_stands():
    assert most_seen(["no", "source", "no"]) == "source" and most_seen(["source", "patient"]) == "patient"
    rows = [row("a", "1", disc_dice=1.0), row("b", "1", disc_dice=1.0, seen="patient")]
    cells = table(rows)
    seen = {source: cells["automatic_roi", "model", source, "disc", "dice"].seen for source in ("a", "b", ALL, MACRO)}
    assert seen == {"a": "no", "b": "patient", ALL: "patient", MACRO: "patient"}


def test_the_same_rows_give_the_same_figures():
    assert repr(make_estimates(drawn())) == repr(make_estimates(drawn()))
