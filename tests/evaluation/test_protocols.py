"""What each protocol may look at, with networks that read their prediction off the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fundusseg.data.preparation import Preparation
from fundusseg.data.splits import Split
from fundusseg.evaluation.protocols import PROTOCOLS, select_protocols
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models.checkpoint import Description
from fundusseg.sample import Annotation, Record, Sample
from tests.support.located import BOTH, LOCALISER, photograph
from tests.support.located import DISC as WHERE
from tests.support.painted import CUP, DISC, mask, picture
from tests.support.painter import Painter

AUTOMATIC, GROUND_TRUTH = PROTOCOLS["automatic_roi"], PROTOCOLS["ground_truth_roi"]


def sample(image: np.ndarray, **masks: np.ndarray) -> Sample:
    record = Record("a", "one", Path("one.png"), "one", tuple(masks))
    return Sample(record, image, tuple(Annotation(region, "expert1", mask) for region, mask in masks.items()))


def predictor(threshold: float = 0.5, split: Split | None = None, **preparation) -> Predictor:
    how = Preparation(("disc", "cup"), **{"image_size": 256, "roi": "picture", **preparation})
    description = Description("0", {}, how, {"disc": threshold, "cup": threshold}, {}, "", split)
    return Predictor(Bundle((Segmenter(Painter(2), description),)))


def test_automatic_roi_never_uses_the_truth():
    whole = photograph()
    disc = WHERE.mask(whole.shape[:2])
    mine = Predictor(Bundle((BOTH,), LOCALISER))
    one, other = (AUTOMATIC.predict(mine, sample(whole, disc=truth)) for truth in (disc, np.roll(disc, 150, 1)))
    assert np.array_equal(one.labels, other.labels) and one.square == other.square
    assert one.verdict == other.verdict != ""
    assert np.array_equal(one.labels, AUTOMATIC.predict(mine, sample(whole)).labels)


def test_seed_looks_where_the_truth_says():
    whole = photograph()
    disc = WHERE.mask(whole.shape[:2])
    mine = Predictor(Bundle((BOTH,), LOCALISER))
    right = GROUND_TRUTH.predict(mine, sample(whole, disc=disc))
    assert right.square == BOTH.description.preparation.box(sample(whole, disc=disc)) and (right.labels > 0).any()
    aside = GROUND_TRUTH.predict(mine, sample(whole, disc=np.roll(disc, 250, 1)))
    assert not (aside.labels > 0).any() and aside.verdict == ""
    assert GROUND_TRUTH.predict(mine, sample(whole)) is None


def test_seed_knows_one_threshold_and_automatic_roi_the_checkpoints():
    image = picture(mask(DISC), mask(CUP))
    image[..., 0][mask(DISC)] = 140  # a probability of 0.78
    mine = predictor(threshold=0.9)
    assert (GROUND_TRUTH.predict(mine, sample(image, disc=mask(DISC))).labels > 0).sum() == mask(DISC).sum()
    assert not (AUTOMATIC.predict(mine, sample(image, disc=mask(DISC))).labels > 0).any()


def test_the_largest_part_is_kept_and_its_holes_are_filled():
    disc = mask(DISC)
    disc[120, 128] = False
    disc[:5, :5] = True
    prediction = GROUND_TRUTH.predict(predictor(), sample(picture(disc, mask(CUP)), disc=mask(DISC)))
    assert np.array_equal(prediction.labels > 0, mask(DISC))


def test_probabilities_are_those_of_the_square():
    prediction = AUTOMATIC.predict(predictor(), sample(picture(mask(DISC), mask(CUP))))
    inside, probabilities = prediction.probabilities()
    assert probabilities.shape == (2, 256, 256) and np.array_equal(probabilities[0] > 0.5, mask(DISC)[inside])
    dark = AUTOMATIC.predict(predictor(), sample(np.zeros((64, 64, 3), np.uint8)))
    assert dark.verdict == "reject" and dark.probabilities() is None and not dark.labels.any()


@pytest.mark.parametrize("protocol", [AUTOMATIC, GROUND_TRUTH])
def test_the_sentence_names_protocol_split_and_size(protocol):
    by_patient = Split(("a/1",), (), ())
    said = protocol.describe(predictor(split=by_patient))
    assert said.startswith(f"{protocol.name}: ") and "own size" in said and "split by patient" in said
    assert "both sides" in protocol.describe(predictor(split=replace(by_patient, by="image")))
    assert "not known how the data were split" in protocol.describe(predictor())
    crops = protocol.describe(predictor(roi="disc"))
    assert "2.4 diameters around" in crops and ("taken from the ground truth" in crops) == (protocol is GROUND_TRUTH)


def test_old_names_are_read_and_todays_are_written():
    assert [one.name for one in select_protocols(["clean", "seed", "automatic_roi"])] == [
        "automatic_roi",
        "ground_truth_roi",
    ]
