"""A study's plots: what they show is what the rows say."""

import math

import numpy as np
import pytest

from fundusseg.studies.cross_table import Cell, Metric
from fundusseg.studies.plots import _broken, bland_altman, heatmap, svg
from fundusseg.studies.publication import make_tables
from tests.support.study_rows import study_rows


@pytest.fixture
def rows():
    return study_rows()


def test_a_heat_map_shows_every_mean(rows):
    table = make_tables(rows)[1]
    texts = [text.get_text() for text in heatmap(table.cells, table.metric).axes[0].texts]
    assert len(texts) == len(table.cells) and texts[-1] == "\N{EN DASH}"
    assert texts[0].startswith(f"{table.cells[0].value:.3f}") and texts[0].endswith("\N{BULLET}")


def test_bland_altman_lines_are_bias_and_limits(rows):
    rows["vertical_cdr"] += np.tile([0.01, -0.01], len(rows) // 2)
    figure = bland_altman(rows)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title().splitlines()[0] for axes in panels] == ["all", "a_b <1>"], "those with a cup"
    assert all(axes.xaxis.get_tick_params()["labelbottom"] for axes in panels), "nothing below"
    lines = [line.get_ydata()[0] for line in panels[0].get_lines()]
    spread = 1.96 * 0.01 * math.sqrt(10 / 9)
    assert lines == pytest.approx([0, 0.03, 0.03 - spread, 0.03 + spread])
    assert sum(len(points.get_offsets()) for points in panels[0].collections) == 10
    assert bland_altman(rows[rows["training"] == "disc & only"]) is None
    assert svg(figure).startswith(b"<?xml")


def test_the_best_of_a_column_is_bold_and_brightest_unless_less_is_better():
    def cell(training, value, metric, best):
        numbers = {"value": value, "low": math.nan, "high": math.nan, "n": 3, "undefined": 0, "patients": 3}
        where = {"protocol": "automatic_roi", "source": "s", "region": metric.region, "metric": metric.metric}
        return Cell(**numbers, **where, training=training, trained=False, seeds_sd=math.nan, best=best)

    for metric, better in ((Metric("disc", "dice"), "high"), (Metric("disc+cup", "vertical_cdr_error"), "low")):
        table = [cell("low", 0.1, metric, better == "low"), cell("high", 0.9, metric, better == "high")]
        (axes,) = heatmap(table, metric).axes
        low, high = axes.texts
        assert (high.get_weight() == "bold") == (better == "high") != (low.get_weight() == "bold")
        bright = {"low": low, "high": high}[better]
        assert bright.get_color() == "black", "dark text on the bright cell"
        (image,) = axes.images
        colours = {name: image.cmap(image.norm(value))[:3] for name, value in (("low", 0.1), ("high", 0.9))}
        assert sum(colours[better]) == max(map(sum, colours.values()))


def test_a_long_name_breaks_near_its_middle():
    assert _broken("short") == "short"
    assert _broken("rim_one_release_three") == "rim_one_\nrelease_three"
    assert _broken("nothingtobreakat") == "nothingtobreakat"


@pytest.mark.slow
def test_svg_is_the_same_every_time(rows):
    figure = bland_altman(rows)
    assert svg(figure) == svg(bland_altman(rows)) and b"<text" in svg(figure), "text stays text"
