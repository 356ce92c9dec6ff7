"""Scores as one table in the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

_METRIC_NAMES = {"dice": "Dice", "iou": "IoU", "vcdr_error": "vCDR error", "hd95": "HD95", "assd": "ASSD"}


_NOT_LABELLED = "\N{EN DASH}"


def score_table(rows: Sequence[Mapping[str, Any]], title: str, caption: str) -> Table:
    """Lay scores out with one line for each source and one column for each region and metric.

    Args:
        rows: ``{"source", "region", "metric", "value", "n", "undefined"}``; columns and lines keep the rows'
            order. ``n`` counts the pictures behind the value, ``undefined`` those where it has no meaning.
        title: Shown above.
        caption: Shown below; the place for the protocol.

    Returns:
        The table: three decimals, "undefined" for NaN, a dash where nothing was counted (not labelled). The
        last column is the source's largest ``n``; a cell that rests on fewer says so.
    """
    columns = list(dict.fromkeys((row["region"], row["metric"]) for row in rows))
    table = Table(title=title, caption=caption)
    table.add_column("Source")
    for region, metric in columns:
        table.add_column(_heading(region, metric), justify="right")
    table.add_column("n", justify="right")
    for source in dict.fromkeys(row["source"] for row in rows):
        cells = {(row["region"], row["metric"]): row for row in rows if row["source"] == source}
        most = max(int(row["n"]) for row in cells.values())
        texts = [_cell(cells[column], most) if column in cells else _NOT_LABELLED for column in columns]
        # Text, not str: a source's name may hold brackets, which rich would take for markup.
        table.add_row(*(Text(text) for text in (str(source), *texts, str(most))))
    return table


def _heading(region: str, metric: str) -> str:
    """``"Disc Dice"``; a metric of several regions at once (``"disc+cup"``) stands alone."""
    name = _METRIC_NAMES.get(metric, metric)
    return name if "+" in region else f"{region[:1].upper()}{region[1:]} {name}"


def _cell(row: Mapping[str, Any], most: int) -> str:
    """One score with what must be known beside it."""
    value, count, undefined = float(row["value"]), int(row["n"]), int(row["undefined"])
    if count == undefined == 0:
        return _NOT_LABELLED
    if math.isnan(value):
        return f"undefined ({undefined})" if undefined else "undefined"
    notes = [f"n {count}"] if count != most else []
    notes += [f"{undefined} undefined"] if undefined else []
    return f"{value:.3f} ({', '.join(notes)})" if notes else f"{value:.3f}"
