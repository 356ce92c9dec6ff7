"""Bland-Altman plots: how far a measured ratio lies from the true one, over the range of ratios.

Bland and Altman 1986, doi 10.1016/S0140-6736(86)90837-8.
"""

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fundusseg.measures.ratio_agreement import concordance

FOUND, TRUE = "vertical_cdr", "vertical_cdr_true"

_COLUMNS = 4


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
