"""Results on disk and on the terminal: CSV, JSON and one table. A killed run leaves no half-written file."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fundusseg.atomic_file import write_whole


def write_csv(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write one line for each row, atomically.

    Args:
        rows: As `csv_text`.
        path: The file; its folder is made when it is missing.
    """
    write_text(csv_text(rows), path)


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each row.

    Args:
        rows: Values by column; the columns are those of all rows, in order of appearance. NaN is left empty. Text that
            a spreadsheet would run as a formula gets an apostrophe before it, which `read_cell` takes away again.
    """
    columns = list(dict.fromkeys(column for row in rows for column in row))
    import pandas as pd  # half a second, which only those pay who write a table

    frame = pd.DataFrame([{key: harmless(value) for key, value in row.items()} for row in rows], columns=columns)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def csv_line(cells: Iterable[Any]) -> str:
    """One line of a CSV file, which ends in a line feed alone.

    The csv module quotes the characters of its own line end, of which a file's name may hold either: with a line feed
    as its end, a carriage return in a name would begin another row.
    """
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\r\n").writerow(map(harmless, cells))
    return stream.getvalue().removesuffix("\r\n") + "\n"


_FORMULA = ("=", "+", "-", "@", "\t", "\n")
"""What text begins with that spreadsheets run (https://owasp.org/www-community/attacks/CSV_Injection)."""


def harmless(value: Any) -> Any:
    """A cell that no spreadsheet runs as a formula: an apostrophe stands before text that it would run.

    >>> harmless("=name.jpg"), harmless("name.jpg"), harmless(-1.5)
    ("'=name.jpg", 'name.jpg', -1.5)
    """
    if not isinstance(value, str):
        return value
    lines = value.replace("\r\n", "\n").replace("\r", "\n")  # a lone \r would end the row unquoted
    return f"'{lines}" if lines.startswith((*_FORMULA, "'")) else lines


def read_cell(text: str) -> str:
    """A text cell of `write_csv` as it was given.

    >>> read_cell("'=name"), read_cell("name")
    ('=name', 'name')
    """
    return text.removeprefix("'")


def write_json(content: Any, path: str | Path) -> None:
    """Write JSON that every reader takes, atomically: NaN and infinity become null.

    Args:
        content: Mappings, sequences, dataclasses, paths, numpy arrays and plain values, nested as you like.
        path: The file; its folder is made when it is missing.
    """
    write_text(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", path)


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


def plain(content: Any) -> Any:
    """What JSON can say, of anything that results are made of: NaN and infinity become None."""
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        return plain(dataclasses.asdict(content))
    if isinstance(content, Mapping):
        return {str(key): plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray | np.generic):
        # To Python's own numbers, of which those that are not finite become null below.
        return plain(content.tolist())
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    return str(content) if isinstance(content, Path) else content


def write_text(text: str, path: str | Path) -> None:
    """Write beside the file, then put it in its place."""
    write_whole(Path(path), text.encode())


NAME = "checkpoint file"
"""What in a run's description makes no difference to its results."""


def difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The first thing that two runs do not share, or nothing; a checkpoint may be called as one likes."""
    return next((key for key in (*one, *other) if key != NAME and one.get(key) != other.get(key)), "")
