"""From photograph to measures with a network of known answer: region r is where channel r is bright."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from fundusseg.data import preparation
from fundusseg.data.preparation import Preparation
from fundusseg.errors import ConfigurationError, ImageError
from fundusseg.imaging import roi
from fundusseg.imaging.roi import Box
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models.checkpoint import Description
from tests.support.painter import CUP, DISC, Painter, photograph


def predictor(regions: tuple[str, ...], **settings) -> Predictor:
    how = Preparation(regions=regions, **{"image_size": 256, "roi": "picture", **settings})
    thresholds = dict.fromkeys(regions, 0.5)
    description = Description("0", {}, how, thresholds, {}, "", None)
    return Predictor(Bundle((Segmenter(Painter(len(regions)), description),)))


def sizes(mine: Predictor) -> list[tuple[int, ...]]:
    return mine.bundle.segmenters[0].network.sizes


@pytest.mark.parametrize("roi", ["picture", "disc"])
def test_ratios_of_ellipses_come_out_through_the_whole_chain(roi):
    found = predictor(("disc", "cup"), roi=roi)(photograph())
    pixel = 430 / 256 if roi == "picture" else 2.4 * 180 / 256
    assert found.label_map.shape == (400, 430)
    assert found.measures.vertical_cdr == pytest.approx(CUP.half_height / DISC.half_height, abs=2 * pixel / 180)
    assert found.measures.horizontal_cdr == pytest.approx(CUP.half_width / DISC.half_width, abs=2 * pixel / 140)
    assert found.measures.area_cdr == pytest.approx(CUP.area / DISC.area, abs=0.03)
    rows, columns = np.nonzero(found.label_map)
    assert (rows.mean(), columns.mean()) == (pytest.approx(DISC.y, abs=0.7), pytest.approx(DISC.x, abs=0.7))


def test_a_disc_network_looks_twice_and_the_second_time_closer():
    mine = predictor(("disc", "cup"), roi="disc")
    found = mine(photograph())
    assert len(sizes(mine)) == 2
    assert abs(found.square.height - 2.4 * 180) <= 6 and found.square.height == found.square.width


def test_no_disc_is_said_and_looked_for_once():
    mine = predictor(("disc", "cup"), roi="disc")
    found = mine(np.full((90, 70, 3), (120, 60, 20), np.uint8))
    assert math.isnan(found.measures.vertical_cdr) and found.measures.reason == "no disc found"
    assert found.verdict == "reject" and found.reasons == ("no disc found",)
    assert found.label_map.shape == (90, 70) and not found.label_map.any()
    assert len(sizes(mine)) == 1


def test_what_is_black_is_rejected_and_no_network_asked():
    mine = predictor(("disc", "cup"), roi="disc")
    found = mine(np.zeros((90, 70, 3), np.uint8))
    assert found.verdict == "reject" and found.reasons == ("nothing is lit",)
    assert math.isnan(found.measures.vertical_cdr) and not sizes(mine)


def test_what_was_not_looked_for_is_never_measured():
    disc = predictor(("disc",))(photograph()).measures
    assert math.isnan(disc.vertical_cdr) and disc.reason == "no cup looked for" and disc.disc_height > 170
    cup = predictor(("cup",))(photograph()).measures
    assert math.isnan(cup.vertical_cdr) and cup.reason == "no disc looked for"


def test_the_eye_is_told_by_a_disc_alone():
    image = np.zeros((400, 1000, 3), np.uint8)
    image[100:300, 700:800, 0] = 255
    assert predictor(("disc",))(image).eye == "OD"
    assert predictor(("sclera",))(image).eye is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"views": 0}, "0 views"),
        ({"views": 5}, "5 views"),
        ({"millimetres_per_pixel": -1.0}, "scale of -1.0"),
        ({"millimetres_per_pixel": math.nan}, "scale of nan"),
    ],
)
def test_a_setting_out_of_range_is_said_before_any_photograph(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        Predictor(predictor(("disc",)).bundle, **settings)


def test_an_unknown_device_is_said():
    with pytest.raises(ConfigurationError, match="device 'abacus'"):
        Segmenter(nn.Identity(), predictor(("disc",)).description, device="abacus")


@pytest.mark.parametrize("settings", [{"roi": "disc"}, {"roi": "field_of_view"}])
def test_the_field_of_view_is_found_once(settings, monkeypatch):
    asked, find = [], roi.field_of_view
    for module in (roi, preparation):
        monkeypatch.setattr(module, "field_of_view", lambda image: asked.append(1) or find(image))
    localiser = predictor(("disc",), roi="field_of_view").bundle.segmenters[0]
    Predictor(Bundle(predictor(("disc", "cup"), **settings).bundle.segmenters, localiser))(photograph())
    assert asked == [1]


def test_one_square_is_segmented_as_it_is_given():
    mine = predictor(("disc", "cup"))
    found = mine.segment_square(photograph(), Box(-15, 0, 430, 430), views=4, threshold=0.5)
    assert [views.shape for views in found.views] == [(4, 2, 256, 256)] and found.label_map.shape == (400, 430)
    assert found.inside == (slice(0, 400), slice(0, 430)) and found.probabilities.shape == (2, 400, 430)
    assert np.array_equal(found.label_map, mine(photograph()).label_map)


def test_photographs_in_memory_are_read_as_their_files_are():
    mine, array = predictor(("disc", "cup"), roi="disc"), photograph()
    expected = mine(array)
    alpha = np.dstack([array, array[..., 0]])
    for given in (Image.fromarray(array), alpha, Image.fromarray(alpha), array.astype(np.uint16) * 257):
        found = mine(given)
        assert found.measures == expected.measures and found.verdict == expected.verdict
    dim = mine(
        array.astype(np.uint16) * 16 + array // 16
    )  # 12 bits in 16: of a camera of 12, or a sixteenth of the light
    assert dim.measures == expected.measures and any("fewer bits than its file" in reason for reason in dim.reasons)
    with pytest.raises(ImageError, match="float64 numbers"):
        mine(array / 255)
    with pytest.raises(ImageError, match="a Tensor as photograph"):
        mine(torch.from_numpy(array))


@pytest.mark.parametrize("wrong", ["best.ckpt", Path("best.ckpt"), None])
def test_a_predictor_of_a_files_name_says_how_it_is_loaded(wrong):
    with pytest.raises(ConfigurationError, match=r"got .+; expected .*Bundle; use Predictor\.from_checkpoint"):
        Predictor(wrong)
