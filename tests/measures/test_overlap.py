import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.metrics import contingency_table
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from fundusseg.errors import ImageError
from fundusseg.measures.overlap import overlap
from tests.miniatures.pairs import SHAPE, degenerate_pairs, random_pairs

masks = arrays(np.bool_, (5, 6))


def by_sklearn(pairs):
    """The four shares of every pair, each pair a label of its own."""
    found, truth = (np.stack([mask.ravel() for mask in masks], axis=1) for masks in zip(*pairs, strict=True))
    shares = [
        measure(truth, found, average=None, zero_division=np.nan)
        for measure in (f1_score, precision_score, recall_score)
    ]
    jaccard = jaccard_score(truth, found, average=None, zero_division=0)
    jaccard[np.isnan(shares[0])] = np.nan  # it knows no NaN of its own
    return np.stack([shares[0], jaccard, *shares[1:]], axis=1)


def by_skimage(pairs):
    """From scikit-image's table of joint shares."""
    rows = []
    for found, truth in pairs:
        table = contingency_table(truth.astype(int), found.astype(int), sparse_type="array").toarray()
        table = np.pad(table, ((0, 2 - table.shape[0]), (0, 2 - table.shape[1])))
        both, one, other = table[1, 1], table[:, 1].sum(), table[1].sum()
        rows.append((np.array([2, 1, 1, 1]) * both, [one + other, one + other - both, one, other]))
    parts, wholes = np.array(rows).transpose(1, 0, 2)
    with np.errstate(invalid="ignore"):
        return parts / wholes


def numbers(result):
    return [result.dice, result.iou, result.precision, result.recall]


@pytest.mark.parametrize("reference", [by_sklearn, by_skimage])
def test_random_and_degenerate_pairs_are_as_in_the_reference(reference):
    pairs = [*random_pairs(1000), *degenerate_pairs().values()]
    got = np.array([numbers(overlap(*pair)) for pair in pairs])
    print(reference.__name__, "largest difference", np.nanmax(np.abs(got - reference(pairs))))
    np.testing.assert_allclose(got, reference(pairs), rtol=0, atol=1e-6)


def test_what_is_undefined():
    pairs = degenerate_pairs()
    nothing_found = overlap(*pairs["empty prediction"])
    assert (nothing_found.dice, nothing_found.iou, nothing_found.recall) == (0, 0, 0)
    assert math.isnan(nothing_found.precision)
    nothing_true = overlap(*pairs["empty truth"])
    assert (nothing_true.dice, nothing_true.iou, nothing_true.precision) == (0, 0, 0)
    assert math.isnan(nothing_true.recall)
    assert np.isnan(numbers(overlap(*pairs["both empty"]))).all()
    assert numbers(overlap(*pairs["the same pixel"])) == [1, 1, 1, 1]


def test_by_hand():
    found, truth = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    found[:4, :4], truth[:4, 2:8] = True, True
    assert numbers(overlap(found, truth)) == [2 * 8 / 40, 8 / 32, 8 / 16, 8 / 24]


@settings(max_examples=100, deadline=None)
@given(masks, masks)
def test_the_shares_hang_together(one, other):
    there, back = overlap(one, other), overlap(other, one)
    assert (there.precision, there.recall) == pytest.approx((back.recall, back.precision), nan_ok=True)
    assert there.dice == pytest.approx(back.dice, nan_ok=True)
    assert there.dice == pytest.approx(2 * there.iou / (1 + there.iou), nan_ok=True)
    if there.precision + there.recall > 0:
        assert 1 / there.dice == pytest.approx((1 / there.precision + 1 / there.recall) / 2)


@settings(max_examples=50, deadline=None)
@given(masks, masks, st.integers(1, 5))
def test_background_around_it_changes_nothing(found, truth, width):
    wider = overlap(np.pad(found, width), np.pad(truth, width))
    assert numbers(wider) == pytest.approx(numbers(overlap(found, truth)), nan_ok=True)


def test_sizes_must_be_equal():
    with pytest.raises(ImageError, match="9 x 7 pixels"):
        overlap(np.zeros((7, 9), bool), np.zeros((9, 7), bool))
