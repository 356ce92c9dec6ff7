"""Phantoms against their closed forms."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from fundusseg.data.expert_fusion import fuse
from fundusseg.datasets import Phantom
from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.errors import ConfigurationError
from tests.miniatures.shapes import vertical_ratio


def masks(sample):
    return {annotation.region: annotation.mask for annotation in sample.annotations}


@pytest.mark.parametrize(
    ("angle", "half_height", "half_width"),
    [(0.0, 2.0, 5.0), (np.pi / 2, 5.0, 2.0), (np.pi / 4, 14.5**0.5, 14.5**0.5)],
)
def test_an_ellipse_in_closed_form(angle, half_height, half_width):
    ellipse = Ellipse(30, 30, 5.0, 2.0, angle)
    assert ellipse.half_height == pytest.approx(half_height)
    assert ellipse.half_width == pytest.approx(half_width)
    assert ellipse.area == pytest.approx(np.pi * 10)


def test_a_circle_holds_the_hand_counted_pixels():
    mask = Ellipse(3, 2, 1.5, 1.5, 0.3).mask((5, 7))
    expected = np.zeros((5, 7), bool)
    expected[1:4, 2:5] = True  # the corners lie at 1.41
    assert np.array_equal(mask, expected)


def test_records():
    dataset = Phantom(count=30, seed=2)
    assert len(dataset) == len(dataset.records) == 30
    assert dataset.records[12].image == Path("phantom/00012")
    assert dataset.records[12].key == "phantom/00012"
    assert {record.eye for record in dataset.records} == {"OD", "OS"}
    assert {record.diagnosis for record in dataset.records} == {"glaucoma", "healthy"}
    for record in dataset.records:
        truth = dataset.truth(record)
        assert (record.eye == "OD") == (truth.disc.x > 128)
        assert (record.diagnosis == "glaucoma") == (truth.vertical_cdr >= 0.65)


@pytest.mark.slow
def test_the_masks_have_the_closed_form_ratios():
    dataset = Phantom(count=12, size=512)
    for sample in dataset:
        truth, found = dataset.truth(sample.record), masks(sample)
        assert sample.image.shape == (512, 512, 3)
        assert sample.image.dtype == np.uint8
        for region, ellipse in (("disc", truth.disc), ("cup", truth.cup)):
            assert found[region].sum() == pytest.approx(ellipse.area, rel=0.01)
            rows, columns = (np.flatnonzero(found[region].any(axis)) for axis in (1, 0))
            assert np.ptp(rows) + 1 == pytest.approx(2 * ellipse.half_height, abs=1)
            assert np.ptp(columns) + 1 == pytest.approx(2 * ellipse.half_width, abs=1)
        assert vertical_ratio(found["cup"], found["disc"]) == pytest.approx(truth.vertical_cdr, abs=0.02)
        assert found["cup"].sum() / found["disc"].sum() == pytest.approx(truth.area_cdr, abs=0.01)
        width = {region: np.ptp(np.flatnonzero(mask.any(0))) + 1 for region, mask in found.items()}
        assert width["cup"] / width["disc"] == pytest.approx(truth.horizontal_cdr, abs=0.02)


@pytest.mark.parametrize("experts", [1, 3])
@pytest.mark.slow
def test_a_cup_lies_inside_its_disc_always(experts):
    for sample in Phantom(count=100, size=64, experts=experts, seed=7):
        for disc, cup in zip(sample.of("disc"), sample.of("cup"), strict=True):
            assert cup.mask.any()
            assert not (cup.mask & ~disc.mask).any()


def test_the_same_seed_makes_the_same_and_another_makes_others():
    one, again, other = Phantom(5, 96), Phantom(9, 96), Phantom(5, 96, seed=1)
    for number in (4, 0, 2):
        assert np.array_equal(one[number].image, again[number].image)
        assert not np.array_equal(one[number].image, other[number].image)
    assert not np.array_equal(one[0].image, one[1].image)


def test_experts_regions_and_names_leave_the_picture_alone():
    plain, changed = Phantom(3, 96), Phantom(3, 96, experts=4, regions=("disc",), name="left")
    assert np.array_equal(plain[1].image, changed[1].image)
    assert changed.records[1].key == "left/00001"
    assert changed.records[1].regions == ("disc",)
    assert {annotation.region for annotation in changed[1].annotations} == {"disc"}


def test_several_experts_differ_a_little_and_agree_on_average():
    dataset = Phantom(10, 256, experts=5)
    for sample in dataset:
        truth = dataset.truth(sample.record)
        for region, ellipse in (("disc", truth.disc), ("cup", truth.cup)):
            drawn = sample.of(region)
            assert [annotation.expert for annotation in drawn] == [f"expert{k}" for k in (1, 2, 3, 4, 5)]
            exact = ellipse.mask((256, 256))
            dice = [2 * (a.mask & exact).sum() / (a.mask.sum() + exact.sum()) for a in drawn]
            assert 0.8 < min(dice) < max(dice) < 1.0
            fused = fuse(drawn, "majority") > 0
            assert 2 * (fused & exact).sum() / (fused.sum() + exact.sum()) > 0.9


def test_it_looks_like_a_fundus_photograph():
    for sample in Phantom(20):
        image, found = sample.image.astype(float), masks(sample)
        assert image[0, 0].max() < 20  # black around the field of view
        retina = image[image.sum(-1) > 60]
        red, green, blue = retina.mean(axis=0)
        assert red > green > blue
        rim = found["disc"] & ~found["cup"]
        around = np.zeros_like(rim)
        disc = Phantom(20).truth(sample.record).disc
        around |= Ellipse(disc.x, disc.y, 1.6 * disc.a, 1.6 * disc.b, disc.angle).mask(rim.shape) & ~found["disc"]
        level = [np.median(image[area][:, 1]) for area in (found["cup"], rim, around)]
        assert level[0] > level[1] > level[2]


def test_it_has_no_files_and_crosses_processes():
    dataset = Phantom(2, 64)
    assert dataset.under("anywhere") is dataset
    assert dataset.files == ()
    again = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(again[1].image, dataset[1].image)


@pytest.mark.parametrize(
    "settings",
    [
        {"count": 0},
        {"count": 10**12},
        {"size": 10**12},
        {"experts": 10**12},
        {"size": 31},
        {"experts": 0},
        {"seed": -1},
        {"regions": ()},
        {"regions": ("rim",)},
        {"regions": ("cup", "cup")},
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(settings):
    with pytest.raises(ConfigurationError, match=f"{next(iter(settings))}=.* for Phantom"):
        Phantom(**settings)
