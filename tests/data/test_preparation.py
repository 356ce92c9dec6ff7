import numpy as np
import pytest

from fundusseg.data.preparation import Preparation
from fundusseg.datasets import DrishtiGS
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.equalise import equalise
from fundusseg.imaging.roi import crop
from tests.miniatures import drishti_gs


@pytest.fixture
def sample(tmp_path):
    drishti_gs.build(tmp_path)
    return DrishtiGS(tmp_path)[0]


def test_the_target_is_soft_and_the_truth_is_their_majority(sample):
    prepared = Preparation(image_size=96, fusion="mean")(sample)
    assert len(np.unique(prepared.target)) > 5
    for channel, region in enumerate(("disc", "cup")):
        two_agree = sample.of(region)[1].mask.astype(np.uint8) * 255
        assert np.array_equal(prepared.truth[..., channel], crop(two_agree, prepared.box, 96))


@pytest.mark.parametrize("fusion", ["majority", "intersection", "union", "agree3"])
def test_a_hard_target_is_the_truth(sample, fusion):
    preparation = Preparation(image_size=96, fusion=fusion)
    prepared = preparation(sample)
    assert np.array_equal(prepared.target, prepared.truth)
    assert f"truth: {fusion}" in preparation.protocol


def test_the_box_is_centred_on_the_disc_and_scaled(sample):
    prepared = Preparation(image_size=96, roi_scale=2.0)(sample)
    disc = prepared.truth[..., 0] > 127
    rows, columns = np.nonzero(disc)
    assert abs(rows.mean() - 47.5) < 1.5 and abs(columns.mean() - 47.5) < 1.5
    assert np.ptp(rows) + 1 == pytest.approx(48, rel=0.1)


def test_whole_pictures_and_fields_of_view(sample):
    height, width = sample.image.shape[:2]
    for roi in ("picture", "field_of_view"):
        box = Preparation(roi=roi).box(sample)
        assert box.height == box.width == max(height, width)


def test_equalised_pictures_are_what_training_and_use_see(sample):
    plain, equalised = Preparation(image_size=96), Preparation(image_size=96, clahe=0.01)
    prepared = equalised(sample)
    assert np.array_equal(prepared.image, equalise(plain(sample).image, 0.01))
    assert np.array_equal(prepared.image, equalised.picture(sample.image, prepared.box))
    assert not np.array_equal(prepared.image, plain(sample).image)


def test_out_of_range():
    for wrong in ({"clahe": 0.0}, {"regions": ("disc", "disc")}, {"image_size": 8}, {"roi": "eye"}, {"roi_scale": 0.5}):
        with pytest.raises(ConfigurationError):
            Preparation(**wrong)
