"""Drawn outlines against the ellipses that were drawn: pens, widths, formats, gaps, specks, and what is no outline."""

import io
from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
from PIL import Image

from fundusseg.datasets import DrishtiGS, Phantom
from fundusseg.datasets._drawn_outlines import disc_and_cup
from fundusseg.errors import DatasetError
from tests.miniatures.riga import draw

PENS = {"black": (0, 0, 0), "green": (0, 255, 0), "blue": (30, 60, 200), "white": (255, 255, 255)}
PHANTOM = Phantom(count=2, size=384, seed=3)


def compressed(pixels, quality):
    if quality is None:
        return pixels
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=quality)
    return np.array(Image.open(stream))


def drawn(record, pen="green", width=2, parts=(1.0, 1.0)):
    """The plain photograph, its copy with lines, and the two areas."""
    truth, plain = PHANTOM.truth(record), PHANTOM.load(record).image
    copy = plain.copy()
    for shape, part in zip((truth.disc, truth.cup), parts, strict=True):
        draw(copy, shape, PENS[pen], width, part)
    return plain, copy, truth


def assert_recovered(plain, copy, truth, tolerance=0.02):
    disc, cup = disc_and_cup(plain, copy)
    for mask, shape in ((disc, truth.disc), (cup, truth.cup)):
        assert mask.sum() == pytest.approx(shape.area, rel=tolerance)
        assert (mask & shape.mask(mask.shape)).sum() > (1 - tolerance) * mask.sum()
    assert not (cup & ~disc).any()


@pytest.mark.parametrize(("pen", "quality"), list(product(PENS, (None, 75, 92))))
def test_area_within_two_per_cent(pen, quality):
    for record, width in product(PHANTOM.records, (1, 2, 3)):
        plain, copy, truth = drawn(record, pen, width)
        assert_recovered(compressed(plain, quality), compressed(copy, quality), truth)


def test_without_compression_the_area_is_within_one_per_cent():
    for record in PHANTOM.records:
        assert_recovered(*drawn(record, "black", 2), tolerance=0.01)


def test_a_small_gap_is_closed():
    for record in PHANTOM.records:
        assert_recovered(*drawn(record, parts=(0.985, 0.985)))


def test_specks_and_a_stroke_elsewhere_are_no_outline():
    plain, copy, truth = drawn(PHANTOM.records[0])
    copy[20:22, 30:60] = (0, 255, 0)
    generator = np.random.default_rng(0)
    for row, column in generator.integers(0, 384, (200, 2)):
        copy[row : row + 2, column : column + 2] = (0, 255, 0)
    assert_recovered(plain, copy, truth)


@pytest.mark.parametrize("parts", [(1.0, 0.5), (0.5, 1.0), (1.0, 0.0), (0.6, 0.6)])
def test_lines_that_are_not_closed_are_refused(parts):
    plain, copy, _ = drawn(PHANTOM.records[0], parts=parts)
    with pytest.raises(DatasetError, match="no two closed lines, one inside the other"):
        disc_and_cup(plain, copy)


def test_two_outlines_side_by_side_are_refused():
    plain, copy, truth = drawn(PHANTOM.records[0], parts=(1.0, 0.0))
    mirrored = replace(truth.disc, x=383 - truth.disc.x)
    assert abs(mirrored.x - truth.disc.x) > 2 * truth.disc.a
    draw(copy, mirrored, PENS["green"], 2)
    with pytest.raises(DatasetError, match="no two closed lines"):
        disc_and_cup(plain, copy)


def touching(truth, share):
    """A cup half as wide as the disc and moved to the right by a share of the disc's width."""
    disc = truth.disc
    return replace(truth, cup=replace(disc, x=disc.x + share * disc.b, a=disc.a / 2, b=disc.b / 2))


def test_outlines_that_touch_are_recovered():
    plain, copy, truth = drawn(PHANTOM.records[0], parts=(1.0, 0.0))
    truth = touching(truth, 0.48)
    draw(copy, truth.cup, PENS["green"], 2)
    assert_recovered(plain, copy, truth, tolerance=0.03)


def test_outlines_that_cross_are_refused():
    plain, copy, truth = drawn(PHANTOM.records[0], parts=(1.0, 0.0))
    draw(copy, touching(truth, 0.8).cup, PENS["green"], 2)
    with pytest.raises(DatasetError, match="no two closed lines"):
        disc_and_cup(plain, copy)


@pytest.mark.parametrize("quality", [None, 75])
def test_a_copy_without_lines_is_refused(quality):
    plain = PHANTOM[0].image
    with pytest.raises(DatasetError, match=r"grey levels at most|no two closed lines"):
        disc_and_cup(plain, compressed(plain, quality))


def test_a_copy_of_another_size_is_refused():
    plain, copy, _ = drawn(PHANTOM.records[0])
    with pytest.raises(DatasetError, match="a copy of 380 x 384 pixels"):
        disc_and_cup(plain, copy[:, :380])


@pytest.mark.realdata
@pytest.mark.parametrize("quality", [None, 75])
@pytest.mark.slow
def test_on_real_photographs_the_area_is_within_one_per_cent(realdata, quality):
    dataset = DrishtiGS(realdata / "Drishti-GS1_files")
    for record in dataset.records[::10]:
        sample = dataset.load(record)
        disc = sample.of("disc")[1].mask
        outlines = [trace(mask) for mask in (disc, disc & sample.of("cup")[1].mask)]
        for pen, width in (("green", 1), ("black", 2), ("blue", 3)):
            copy = sample.image.copy()
            cv2.polylines(copy, outlines, True, PENS[pen], width, cv2.LINE_AA)
            found = disc_and_cup(compressed(sample.image, quality), compressed(copy, quality))
            for mask, outline in zip(found, outlines, strict=True):
                assert mask.sum() == pytest.approx(cv2.contourArea(outline), rel=0.01)


def trace(mask):
    """The outline of a mask's largest part through the middle of its border pixels."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return max(found, key=cv2.contourArea)
