"""The stages of the Disc Damage Likelihood Scale, line by line of its table."""

import math

import pytest

from fundusseg.measures.disc_size import area_class, ddls_stage, size_class

HEIGHTS = (1.3, 1.75, 2.2)
TABLE = [
    ((0.5, 0), (1, 1, 1)),
    ((0.45, 0), (2, 1, 1)),
    ((0.35, 0), (3, 2, 1)),
    ((0.25, 0), (4, 3, 2)),
    ((0.15, 0), (5, 4, 3)),
    ((0.05, 0), (6, 5, 4)),
    ((0.0, 30), (7, 6, 5)),
    ((0.0, 46), (8, 7, 6)),
    ((0.0, 120), (9, 8, 7)),
    ((0.0, 200), (10, 9, 8)),
    ((0.0, 300), (10, 10, 9)),
]
"""Narrowest rim and degrees without rim; stages of a small, an average and a large disc."""


@pytest.mark.parametrize(("rim", "stages"), TABLE)
def test_a_stage_is_the_tables(rim, stages):
    assert tuple(ddls_stage(*rim, height) for height in HEIGHTS) == stages


def test_what_is_not_known_has_no_stage_and_no_class():
    assert math.isnan(ddls_stage(0.2, 0, math.nan)) and math.isnan(ddls_stage(math.nan, math.nan, 1.8))
    assert size_class(math.nan) == area_class(math.nan) == ""


def test_classes_begin_where_they_say():
    assert [size_class(height) for height in (1.49, 1.5, 2.0, 2.01)] == ["small", "average", "average", "large"]
    assert [area_class(area) for area in (1.28, 1.29, 4.09, 4.1)] == ["microdisc", "usual", "usual", "macrodisc"]
