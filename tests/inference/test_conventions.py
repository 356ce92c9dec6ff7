"""The axis from strict to generous readers, on a network whose cup is a cone of known slope."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fundusseg import predict
from fundusseg.data.preparation import Preparation
from fundusseg.errors import ConfigurationError
from fundusseg.inference.conventions import Conventions, vertical_ratio
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.inference.uncertainty import Calibration
from fundusseg.models.checkpoint import Description
from tests.support.painter import photograph

DISC, CUP, SLOPE = 80.0, 40.0, 0.2
READERS = Conventions({"tight": -2.0, "usual": 1.0, "wide": 4.0})


class Cone(nn.Module):
    """Logits that fall by `SLOPE` a pixel from the middle, whatever the picture shows."""

    def forward(self, pixels: Tensor) -> Tensor:
        side = pixels.shape[-1]
        place = torch.arange(side) - (side - 1) / 2
        radius = torch.hypot(place[:, None], place[None])
        return torch.stack([SLOPE * (DISC - radius), SLOPE * (CUP - radius)]).expand(len(pixels), -1, -1, -1)


def bundle(readers: Conventions | None = READERS) -> Bundle:
    how = Preparation(regions=("disc", "cup"), image_size=256, roi="picture")
    description = Description("0", {}, how, {"disc": 0.5, "cup": 0.5}, {}, "", None)
    return Bundle((Segmenter(Cone(), description),), calibration=Calibration(1.0, 0.9, 50, 2), conventions=readers)


def ratio(logits: float) -> float:
    return (CUP + logits / SLOPE) / DISC


@pytest.mark.parametrize(
    ("convention", "logits"),
    [("consensus", 0.0), ("tight", -2.0), ("wide", 4.0), (0.0, 0.0), (0.5, 2.0), (-1.0, -2.0), (1.0, 4.0)],
)
def test_a_convention_moves_the_cup_by_its_logits_and_not_the_disc(convention, logits):
    found = Predictor(bundle(), convention=convention)(photograph())
    assert found.measures.vertical_cdr == pytest.approx(ratio(logits), abs=0.02)
    # Whoever draws: what the strictest and the most generous reader would have said.
    assert found.vertical_cdr_strict == pytest.approx(ratio(-2), abs=0.02)
    assert found.vertical_cdr_generous == pytest.approx(ratio(4), abs=0.02)
    # The interval was found with the consensus.
    assert math.isfinite(found.vertical_cdr_low) == (logits == 0)


def test_cups_of_stricter_readers_lie_in_those_of_more_generous_ones():
    maps = [Predictor(bundle(), convention=at)(photograph()).label_map for at in np.linspace(-1, 1, 9)]
    for strict, generous in itertools.pairwise(maps):
        assert ((strict == 2) <= (generous == 2)).all() and ((strict > 0) == (generous > 0)).all()


def test_the_ratio_of_probabilities_is_that_of_the_cone():
    probabilities = Cone()(torch.zeros(1, 3, 256, 256))[0].sigmoid().numpy()
    assert vertical_ratio(probabilities, {"disc": 0.5, "cup": 0.5}) == pytest.approx(CUP / DISC, abs=0.005)
    assert math.isnan(vertical_ratio(np.zeros_like(probabilities), {"disc": 0.5, "cup": 0.5}))
    assert vertical_ratio(np.stack([probabilities[0], np.zeros_like(probabilities[1])]), {"disc": 0.5, "cup": 0.5}) == 0


@pytest.mark.parametrize(
    ("readers", "convention", "said"),
    [(READERS, "loose", "one of tight, usual, wide"), (READERS, 1.5, "-1"), (None, "tight", "has no readers")],
)
def test_unknown_conventions_are_refused(readers, convention, said):
    with pytest.raises(ConfigurationError, match=said):
        Predictor(bundle(readers), convention=convention)


def test_without_readers_nothing_is_said_of_them():
    found = Predictor(bundle(None))(photograph())
    assert found.vertical_cdr_strict is None and found.vertical_cdr_generous is None


def test_predict_takes_a_convention():
    settings = predict.parser().parse_args(["a.png", "--convention", "drishti_gs"])
    assert settings.convention == "drishti_gs"
    assert predict.parser().parse_args(["a.png", "--convention=-0.5"]).convention == -0.5
