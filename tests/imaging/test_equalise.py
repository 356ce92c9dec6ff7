"""Adaptive histogram equalisation: scikit-image's, as 8 bits."""

import numpy as np
from skimage import data, exposure

from fundusseg.imaging.equalise import equalise


def test_it_is_scikit_images():
    retina = data.retina()[::8, ::8]
    got = equalise(retina, 0.02)
    assert got.dtype == np.uint8 and got.shape == retina.shape
    assert np.abs(got / 255 - exposure.equalize_adapthist(retina, clip_limit=0.02)).max() <= 0.5 / 255 + 1e-9


def test_a_flat_picture_gains_contrast():
    noise = np.random.default_rng(0).integers(100, 110, (96, 96, 1), dtype=np.uint8).repeat(3, 2)
    assert np.ptp(noise) == 9 and np.ptp(equalise(noise, 0.01)) > 200
