"""One cell and one table, in a terminal and in Markdown, for everything that is measured."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from fundusseg.reports.metric_names import metric_heading

NOT_LABELLED = "\N{EN DASH}"

PLACES = {"all": "all pictures", "macro": "mean of sources"}
"""Headings of the two rows over all sources."""

NOTES = (
    "Beside each value its 95% bootstrap interval over patients (of an area under the curve DeLong's); none of "
    "fewer than 5 patients (of either class), where no patient differs from another, or of a mean over a source of "
    "one patient. vCDR: vertical cup/disc ratio; dd: diameters of the true disc; \N{EN DASH}: not labelled; undefined "
    "pictures are counted and enter no mean; calibration error: of the pixels of the square that the network looked at."
)
"""What a reader of the tables must know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One cell of a table of results.

    Attributes:
        source: A dataset, ``all``, or ``macro``.
        region: A region, or ``disc+cup`` for what is measured on both together.
        metric: A key of `fundusseg.reports.metric_names.METRIC_NAMES`.
        value: NaN where no picture defines it.
        low: Lower bound of its 95% interval over patients; NaN where it has none.
        high: Upper bound.
        n: Pictures where it is defined.
        undefined: Labelled pictures where it is not.
    """

    source: str
    region: str
    metric: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int
    undefined: int


class Markdown(str):
    """Text that is Markdown already: a link, a code span."""


S = TypeVar("S", bound=Score)
Column = tuple[str, str]
"""Region and metric."""


def value_text(cell: Score | None) -> str:
    """Three decimals, how many pictures are undefined where all are, a dash where none is labelled."""
    if cell is None or cell.n == cell.undefined == 0:
        return NOT_LABELLED
    return f"undefined ({cell.undefined})" if math.isnan(cell.value) else f"{cell.value:.3f}"


def interval_text(cell: Score) -> str:
    """``0.940-0.960`` with a dash, in words where a bound is negative; empty without an interval."""
    if math.isnan(cell.low):
        return ""
    between = "\N{EN DASH}" if cell.low >= 0 else " to "
    return f"{cell.low:.3f}{between}{cell.high:.3f}"


def cell_text(cell: Score | None, pictures: int, stacked: bool = False) -> str:
    """One cell with what must be known beside its value.

    Args:
        cell: None where nothing is labelled.
        pictures: Labelled pictures of the whole row; a cell that rests on another number says so.
        stacked: One below the other, for a terminal's narrow columns.
    """
    value = value_text(cell)
    if cell is None or value == NOT_LABELLED or math.isnan(cell.value):
        return value
    labelled = cell.n + cell.undefined
    notes = [f"n {labelled}"] if labelled != pictures else []
    notes += [f"{cell.undefined} undefined"] if cell.undefined else []
    if stacked:
        return "\n".join(part for part in (value, interval_text(cell), ", ".join(notes)) if part)
    interval = interval_text(cell)
    return ", ".join([f"{value} ({interval})" if interval else value, *notes])


def by_column(cells: Iterable[S]) -> dict[Column, S]:
    """One row's cells by region and metric."""
    return {(cell.region, cell.metric): cell for cell in cells}


def row_pictures(cells: Mapping[Column, Score]) -> int:
    """The most labelled pictures that any cell of a row rests on."""
    return max(cell.n + cell.undefined for cell in cells.values())


def source_table(cells: Sequence[Score], stacked: bool = False) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: a row for each source, a column for each region and metric, in order of appearance.

    Args:
        cells: Of all sources.
        stacked: Intervals below their values and a narrow last column, so that it fits a terminal.
    """
    columns = list(dict.fromkeys((cell.region, cell.metric) for cell in cells))
    rows = []
    for source in dict.fromkeys(cell.source for cell in cells):
        own = by_column(cell for cell in cells if cell.source == source)
        pictures = row_pictures(own)
        texts = [cell_text(own.get(column), pictures, stacked) for column in columns]
        rows.append([PLACES.get(source, source), *texts, str(pictures)])
    return ["Source", *(metric_heading(*column) for column in columns), "n" if stacked else "Pictures"], rows


def terminal_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str = "",
    caption: str = "",
    *,
    names: int = 1,
    sections: bool = False,
) -> Table:
    """A table for the terminal.

    Args:
        headings: Of the columns.
        rows: A text for each column.
        title: Above it.
        caption: Below it: the place for protocol and notes.
        names: The first columns, which name the row and stand at the left; the others are numbers.
        sections: Draw a line where the first column changes.
    """
    table = Table(title=title or None, caption=caption or None)
    for number, heading in enumerate(headings):
        side: JustifyMethod = "left" if number < names else "right"
        table.add_column(Text(heading), justify=side, overflow="fold", no_wrap=sections and number == 0)
    before = None
    for row in rows:
        if sections and before not in (None, row[0]):
            table.add_section()
        before = row[0]
        # Text, not str: a source's name may hold brackets, which rich would take for markup.
        table.add_row(*map(Text, row))
    return table


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    r"""A table in Markdown; its cells are escaped.

    >>> print(markdown_table(["a|b"], [["<i>\n1"]]))
    | a\|b |
    | --- |
    | &lt;i> 1 |
    """
    written = [
        [*map(_markdown_cell, headings)],
        ["---"] * len(headings),
        *([*map(_markdown_cell, row)] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in written)


def _markdown_cell(text: str) -> str:
    # A pipe ends a cell even within a code span.
    return text.replace("|", "\\|") if isinstance(text, Markdown) else markdown_text(text)


def markdown_text(words: object) -> str:
    """Words that end no table cell, open no tag, link or code span, and stay on one line, whatever files are called.

    Emphasis (``*`` and ``_``) is left as it is: it harms nothing, and ``drishti_gs`` stays readable.
    """
    if isinstance(words, Markdown):
        return words
    # & first: afterwards it would escape the escape of <.
    text = " ".join(str(words).split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{letter}" if letter in "\\|`[]" else letter for letter in text)


def code_span(text: str) -> Markdown:
    """Text in a code span; its fence is longer than any run of backticks in it."""
    fence = "`" * (_longest_run(text) + 1)
    # A backtick at an end would join the fence; Markdown takes one blank on either side away again.
    padded = f" {text} " if "`" in text else text
    return Markdown(fence + " ".join(padded.splitlines()) + fence)


def code_block(text: str, language: str) -> str:
    """Lines of code; no line of them can end the block, as its fence is longer than any run of backticks in it."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
