"""What is said beside an evaluation's estimates."""

from dataclasses import replace

import numpy as np
import pytest

from fundusseg.datasets import Folder, Phantom
from fundusseg.evaluation.estimates import INTEROBSERVER
from fundusseg.evaluation.protocols import PROTOCOLS
from fundusseg.evaluation.results import UNSEEN, EvaluationResult
from fundusseg.evaluation.scoring import MODEL, Case, Evaluation
from fundusseg.inference.predictor import Predictor
from tests.support.painted import CUP, DISC, checkpoint, folder, mask

BOTH = list(PROTOCOLS.values())
MADE_BY = {MODEL: "a.ckpt, SHA-256 0", "version": "0"}


@pytest.fixture
def predictor(tmp_path) -> Predictor:
    return Predictor.from_checkpoint(checkpoint(tmp_path / "a.ckpt"))


@pytest.fixture
def painted(tmp_path) -> Folder:
    """Two of glaucoma, one healthy; in one no disc is found."""
    found = {name: (mask(DISC), mask(CUP)) for name in ("a", "b")}
    lines = ["a,1,OD,glaucoma,", "b,2,OD,glaucoma,", "c,3,OS,healthy,"]
    return Folder(
        folder(tmp_path / "painted", {**found, "c": (mask(DISC) & False, mask(CUP) & False)}, lines), csv="table.csv"
    )


def result(dataset, seen=("no", "no", "no"), protocols=BOTH, **methods) -> EvaluationResult:
    cases = [Case(dataset, record, mark) for record, mark in zip(dataset.records, seen, strict=True)]
    return EvaluationResult([*Evaluation(methods, protocols)(cases)], methods, protocols, MADE_BY)


@pytest.mark.slow
def test_nobody_who_was_seen_is_said_as_far_as_it_is_known(predictor, painted):
    assert UNSEEN in result(painted, model=predictor).remarks
    remarks = result(painted, ("no", "patient", "source"), model=predictor).remarks
    assert UNSEEN not in remarks
    assert sum(remark.startswith("folder: ") and "(1 pictures)" in remark for remark in remarks) == 2
    assert UNSEEN not in result(painted, ("no", "unknown", "no"), model=predictor).remarks


def test_areas_under_the_curve_say_how_large_their_classes_are(predictor, painted):
    said = "folder: areas under the curve from 2 pictures with glaucoma and 1 without."
    assert said in result(painted, model=predictor).remarks
    nobody = Phantom(count=3, size=64)
    nobody.records = tuple(replace(record, diagnosis=None) for record in nobody.records)
    assert not any("areas" in remark for remark in result(nobody, model=predictor).remarks)


def test_what_use_would_have_rejected_is_counted_and_scored(predictor, painted):
    found = result(painted, model=predictor)
    rejected = sum(row["verdict"] == "reject" for row in found.rows if row["protocol"] == "automatic_roi")
    assert rejected, "no disc was found in one of them"
    assert any(f"{rejected} of 3 photographs would be rejected" in remark for remark in found.remarks)
    dice = {(e.protocol, e.source, e.region, e.metric): e for e in found.estimates}
    assert dice["automatic_roi", "folder", "disc", "dice"].n == 3


def test_what_a_protocol_leaves_out_is_said(painted, tmp_path):
    bare = Folder(painted.root, masks=None)
    of_crops = Predictor.from_checkpoint(checkpoint(tmp_path / "crops.ckpt", roi="disc"))
    remarks = result(bare, model=of_crops).remarks
    assert "ground_truth_roi: 3 pictures without a labelled disc left out." in remarks
    assert "folder: 3 pictures without ground truth: measures only, in images.csv." in remarks


def test_a_picture_that_cannot_be_scored_is_named_with_its_reason(predictor, painted):
    (painted.root / "images" / "b.png").write_bytes(b"no picture")
    found = result(painted, model=predictor)
    assert list(found.failures) == ["folder/b"] and found.failures["folder/b"] and found.pictures == 3
    assert {e.n for e in found.estimates if (e.source, e.region, e.metric) == ("folder", "disc", "dice")} == {2}


def test_the_other_model_is_compared_on_the_regions_that_both_have(predictor, painted, tmp_path):
    assert result(painted, model=predictor).model_comparisons == []
    other = Predictor.from_checkpoint(checkpoint(tmp_path / "b.ckpt", regions=("disc",), image_size=64))
    found = result(painted, model=predictor, other=other)
    assert {one.region for one in found.model_comparisons} == {"disc"}
    assert list(found.protocols) == ["automatic_roi", "automatic_roi (other)", "ground_truth_roi"], "where they differ"
    assert found.protocols["automatic_roi (other)"].startswith("other: automatic_roi: ")


def test_a_model_stands_beside_the_second_expert(predictor):
    drawn = Phantom(count=3, size=128, experts=3)
    found = result(drawn, model=predictor, protocols=BOTH[:1])
    assert {one.metric for one in found.expert_comparisons} == {"disc_dice", "cup_dice", "vertical_cdr_error"}
    assert INTEROBSERVER in found.protocols and "majority of the other experts" in found.protocols[INTEROBSERVER]
    assert all(
        np.isnan(one.difference.low) or one.difference.low <= one.difference.mean for one in found.expert_comparisons
    )


def test_it_is_called_by_its_file(predictor, painted):
    found = result(painted, model=predictor)
    assert found.network == "a.ckpt" and found.title == "Evaluation of a.ckpt"
