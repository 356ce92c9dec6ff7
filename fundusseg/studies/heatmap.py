"""Trainings x test sources as a picture."""

import math
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from fundusseg.studies.cross_table import Cell, Metric

_PALETTE, _NOTHING = "cividis", "#e4e6ea"


def heatmap(table: Sequence[Cell], metric: Metric) -> Figure:
    """Draw the means; a dot where other patients of the source were trained on, bold where the column is best.

    Args:
        table: Of one protocol and metric, in order.
        metric: Whose means they are; brighter is better.
    """
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*((c.training, c.source) for c in table), strict=True))
    figure = Figure(figsize=(2.6 + 1.05 * len(columns), 1.5 + 0.36 * len(rows)))
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
            _text(cell),
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


def _text(cell: Cell) -> str:
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
