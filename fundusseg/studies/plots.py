"""A study's plots as SVG: a heat map of trainings x test sources, and Bland-Altman plots of the vertical ratio.

Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.
"""

import io
import math
import threading
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from fundusseg.measures.ratio_agreement import concordance
from fundusseg.studies.collect import FOUND, TRUE
from fundusseg.studies.cross_table import Cell, Metric

_PALETTE, _NOTHING = "cividis", "#e4e6ea"
_COLUMNS = 4
_LOCK = threading.Lock()
"""Matplotlib's settings and fonts are the process's."""


def heatmap(table: Sequence[Cell], metric: Metric) -> Figure:
    """Draw the means; a dot where other patients of the source were trained on, bold where the column is best.

    Args:
        table: Of one protocol and metric, in order.
        metric: Whose means they are; brighter is better.
    """
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*((c.training, c.source) for c in table), strict=True))
    figure = Figure(figsize=(2.6 + 1.05 * len(columns), 1.5 + 0.36 * len(rows)))
    # Margins in inches, for the names, whatever the number of rows and columns.
    inches = (2.2, 0.75, 1.05 * len(columns), 0.36 * len(rows))
    scale = (1 / figure.get_figwidth(), 1 / figure.get_figheight()) * 2
    left, bottom, width, height = (length * by for length, by in zip(inches, scale, strict=True))
    axes = figure.add_axes((left, bottom, width, height))
    values = np.full((len(rows), len(columns)), math.nan)
    for cell in table:
        values[rows.index(cell.training), columns.index(cell.source)] = cell.value
    known = values[~np.isnan(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    colours = mpl.colormaps[_PALETTE if metric.higher else f"{_PALETTE}_r"].with_extremes(bad=_NOTHING)
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    for cell in table:
        bright = (cell.value - low) / ((high - low) or 1)
        dark_text = (bright if metric.higher else 1 - bright) > 0.5 or math.isnan(cell.value)
        axes.text(
            columns.index(cell.source),
            rows.index(cell.training),
            _cell_text(cell),
            color="black" if dark_text else "white",
            weight="bold" if cell.best else "normal",
            fontsize=9,
            ha="center",
            va="center",
        )
    axes.set_xticks(range(len(columns)), [_broken(name) for name in columns], fontsize=8, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, fontsize=8, parse_math=False)
    axes.set_xlabel("tested on", fontsize=8)
    axes.set_ylabel("trained on", fontsize=8)
    axes.set_title(metric.title, fontsize=10, loc="left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _cell_text(cell: Cell) -> str:
    if math.isnan(cell.value):
        return "\N{EN DASH}"
    return f"{cell.value:.3f}" + (" \N{BULLET}" if cell.trained else "")


def _broken(name: str) -> str:
    """A long name in two lines."""
    if len(name) <= 12:
        return name
    cuts = [position for position, letter in enumerate(name) if letter in "_- "]
    cut = min(cuts, key=lambda position: abs(position - len(name) / 2), default=0)
    return f"{name[: cut + 1]}\n{name[cut + 1 :]}" if cut else name


def bland_altman(rows: pd.DataFrame) -> Figure | None:
    """A panel for each training: found less true vertical ratio over their mean, bias, 95 % limits, number of points.

    A point is a picture under one seed: the mean over seeds would show limits that no single network has.

    Args:
        rows: Of one protocol: ``training``, ``source``, `FOUND` and `TRUE`.

    Returns:
        None where no training has two pictures with both.
    """
    if not {FOUND, TRUE} <= set(rows.columns):
        return None
    known = rows.dropna(subset=[FOUND, TRUE])
    counts = known["training"].value_counts()
    trainings = [name for name in dict.fromkeys(rows["training"]) if counts.get(name, 0) > 1]
    if not trainings:
        return None
    sources = list(dict.fromkeys(known["source"]))
    lines = math.ceil(len(trainings) / _COLUMNS)
    figure = Figure(figsize=(2.7 * _COLUMNS, 2.4 * lines + 0.5), layout="constrained")
    # One scale for all panels: limits of agreement are to be compared by eye.
    panels = figure.subplots(lines, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, training in zip(panels, trainings, strict=False):
        _panel(axes, known[known["training"] == training], training, sources)
    for axes in panels[len(trainings) :]:
        axes.set_axis_off()
    for axes in panels[: len(trainings)][-_COLUMNS:]:
        axes.tick_params(labelbottom=True)  # a hidden panel below would have the numbers
    figure.supxlabel("Mean of found and true vertical cup/disc ratio", fontsize=9)
    figure.supylabel("Found less true", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(sources), fontsize=8, frameon=False)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, training: str, sources: list[str]) -> None:
    found, true = (rows[name].to_numpy(np.float64) for name in (FOUND, TRUE))
    colours = mpl.colormaps["tab10"]
    for number, source in enumerate(sources):
        own = (rows["source"] == source).to_numpy()
        style: dict[str, Any] = {"s": 9, "color": colours(number % 10), "alpha": 0.7, "linewidths": 0, "label": source}
        axes.scatter((found + true)[own] / 2, (found - true)[own], **style)
    agreement = concordance(found, true)
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.axhline(agreement.bias, color="black", linewidth=1)
    for limit in (agreement.low, agreement.high):
        axes.axhline(limit, color="black", linewidth=0.8, linestyle="--")
    title = f"{training}\n{agreement.bias:+.3f} ({agreement.low:+.3f} to {agreement.high:+.3f}), n {agreement.n}"
    axes.set_title(title, fontsize=8, parse_math=False)
    axes.tick_params(labelsize=7)


def svg(figure: Figure) -> bytes:
    """Write a figure as SVG, its text as text."""
    buffer = io.BytesIO()
    # Without a salt and a date the same figure would be other bytes each time.
    with _LOCK, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fundusseg"}):
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
