import cv2
import numpy as np
import pytest

from fundusseg.data.duplicates import (
    CORRELATION,
    Duplicate,
    correlation,
    drop_or_refuse,
    find_duplicates,
    perceptual_hashes,
)
from fundusseg.data.preparation import Preparation
from fundusseg.datasets import Phantom
from fundusseg.imaging.roi import Box, crop

PREPARE = Preparation(image_size=128)


def pictures(count: int = 30) -> list[np.ndarray]:
    return [PREPARE(sample).image for sample in Phantom(count=count, size=256)]


def saved_anew(image: np.ndarray) -> np.ndarray:
    """As another dataset gives it: a slightly other crop and size, saved as JPEG."""
    cut = crop(image, Box(3, -2, 124, 124), 100)
    coded = cv2.imencode(".jpg", cut[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    return cv2.resize(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1], (128, 128))


def search(images: list[np.ndarray], apart=lambda one, two: True) -> list[tuple[int, int]]:
    hashes = np.stack([perceptual_hashes(image) for image in images])
    return [(pair.first, pair.second) for pair in find_duplicates(hashes, images.__getitem__, apart)]


@pytest.mark.slow
def test_the_same_photograph_saved_anew_is_found_and_no_other():
    images = pictures()
    again = [saved_anew(image) for image in images[:5]]
    assert search([*images, *again]) == [(n, 30 + n) for n in range(5)]


def test_pairs_that_may_be_together_are_passed_over():
    images = pictures(3)
    assert search([*images, images[1]], lambda one, two: False) == []
    assert search([*images, images[1]], lambda one, two: (one, two) == (1, 3)) == [(1, 3)]


def test_correlation_is_high_for_one_photograph_only():
    images = pictures(10)
    assert correlation(images[0], images[0]) == pytest.approx(1, abs=1e-5)
    assert correlation(images[0], saved_anew(images[0])) > CORRELATION
    assert max(correlation(images[0], other) for other in images[1:]) < CORRELATION


def test_the_user_decides_the_side():
    pairs = [Duplicate(0, 5, 1.0), Duplicate(1, 6, 1.0), Duplicate(2, 3, 1.0)]
    source = "aabbccc".__getitem__
    assert drop_or_refuse(pairs, source, []) == ([], pairs)
    assert drop_or_refuse(pairs, source, ["a"]) == ([0, 1], [pairs[2]])
    assert drop_or_refuse(pairs, source, ["c", "b"]) == ([5, 6, 3], [])
    chain = [Duplicate(0, 1, 1.0), Duplicate(1, 2, 1.0)]
    assert drop_or_refuse(chain, source, ["a"])[0] == [1]
