"""Results on disk and on the terminal: CSV, JSON and one table. A killed run leaves no half-written file."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table
from rich.text import Text

from fundusseg.journal import write_whole

_METRIC_NAMES = {"dice": "Dice", "iou": "IoU", "vcdr_error": "vCDR error", "hd95": "HD95", "assd": "ASSD"}

_NOT_LABELLED = "\N{EN DASH}"


def write_csv(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write one line for each row, atomically.

    Args:
        rows: Values by column; the columns are those of all rows, in order of appearance. NaN is left empty.
        path: The file; its folder is made when it is missing.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    frame = pd.DataFrame([dict(row) for row in rows], columns=columns)
    write_text(frame.to_csv(index=False, lineterminator="\n"), path)


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON that every reader takes, atomically: NaN and infinity become null.

    Args:
        content: Mappings, sequences, dataclasses, paths, numpy arrays and plain values, nested as you like.
        path: The file; its folder is made when it is missing.
    """
    write_text(json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


def write_scores(scores: Sequence[Any], protocol: str, path: Path) -> None:
    """Write scores as PATH.json and PATH.csv, with the protocol that they rest on.

    Args:
        scores: Dataclasses of a score each.
        protocol: How they came about.
        path: Without ending.
    """
    rows = [dataclasses.asdict(score) for score in scores]
    write_json({"protocol": protocol, "scores": rows}, path.with_suffix(".json"))
    write_csv([{**row, "protocol": protocol} for row in rows], path.with_suffix(".csv"))


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


def _plain(content: Any) -> Any:
    """What JSON can say, of anything that results are made of."""
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return _plain(dataclasses.asdict(content))
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray | np.generic):
        return _plain(content.tolist())
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    return str(content) if isinstance(content, Path) else content


def write_text(text: str, path: str | Path) -> None:
    """Write beside the file, then put it in its place."""
    write_whole(Path(path), text.encode())
