"""A study's results as files: CSV, JSON, Markdown, LaTeX, and one HTML page that opens offline."""

import base64
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fundusseg.atomic_file import write_whole
from fundusseg.measures.paired_tests import LEVEL
from fundusseg.reports.files import write_csv, write_json
from fundusseg.reports.page_templates import render_page, template_environment
from fundusseg.reports.tables import interval_text, value_text
from fundusseg.studies.cross_table import (
    MACRO,
    Cell,
    Comparison,
    Metric,
    compare_trainings,
    mark_best,
    table_cells,
    table_metrics,
)
from fundusseg.studies.plots import bland_altman, heatmap, svg

_LATEX = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar{}",
    "<": "$<$",
    ">": "$>$",
    "\N{EN DASH}": "--",
    "\N{BULLET}": r"$\bullet$",
}
NOTE = (
    "Mean over test pictures and its 95 % bootstrap interval over patients; no patient who is tested was trained or "
    "chosen on. Bold: best of the column. *: worse than the best beyond chance (Wilcoxon over patients, Holm over all "
    f"pairs of the column, p < {LEVEL:g}, and an interval without 0). \N{BULLET}: other patients of this source were "
    f"trained on. {MACRO}: each source counts once, and one of a single patient as if it were certain; it is not "
    "tested. Intervals and tests are of these very networks: trained again with another seed, they would differ too."
)


@dataclass(frozen=True, slots=True)
class CrossTable:
    """One protocol and metric.

    Attributes:
        protocol: How it was scored.
        metric: What is shown.
        cells: In order: trainings, and in them sources.
        comparisons: Of the same.
    """

    protocol: str
    metric: Metric
    cells: list[Cell]
    comparisons: list[Comparison]

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.protocol}-{self.metric.column}"

    @property
    def sources(self) -> list[str]:
        """Columns, in order."""
        return list(dict.fromkeys(cell.source for cell in self.cells))

    @property
    def lines(self) -> list[tuple[str, list[Cell]]]:
        """Each training's cells, in the order of the columns."""
        trainings = dict.fromkeys(cell.training for cell in self.cells)
        return [(name, [cell for cell in self.cells if cell.training == name]) for name in trainings]

    def largest(self) -> list[Cell]:
        """Of each column, the cell of the most pictures."""
        return [max((c for c in self.cells if c.source == source), key=lambda c: c.n) for source in self.sources]

    def sizes(self) -> list[str]:
        """Pictures and patients behind each column; of all trainings, the most."""
        return [f"{_count(cell.n, 'picture')}, {_count(cell.patients, 'patient')}" for cell in self.largest()]

    def sentences(self) -> list[str]:
        """Of each source: which training is best, and who is no worse beyond chance."""
        return [
            f"{cell.source}: best is {cell.training}; {self._others(cell)}."
            for source in self.sources
            for cell in self.cells
            if cell.best and cell.source == source != MACRO
        ]

    def _others(self, best: Cell) -> str:
        column = [c for c in self.cells if c.source == best.source and c is not best and not math.isnan(c.value)]
        pairs = [c for c in self.comparisons if c.source == best.source and not math.isnan(c.p)]
        # The signed-rank test has no smaller probability than that of all signs alike.
        if pairs and len(pairs) * 2.0 ** (1 - max(pair.patients for pair in pairs)) >= LEVEL:
            few = f"{_count(best.patients, 'patient')}, too few for any difference"
            return f"{few} among {_count(len(pairs), 'pair')} to be beyond chance"
        worse, equal = ([c.training for c in column if c.worse is beyond] for beyond in (True, False))
        parts = [f"worse beyond chance: {', '.join(worse)}"] if worse else []
        parts += [f"no difference beyond chance: {', '.join(equal)}"] if equal else []
        return "; ".join(parts) or "there is no other"


def make_tables(rows: pd.DataFrame) -> list[CrossTable]:
    """Every protocol and metric in which anything is labelled.

    Args:
        rows: As `collect_rows` gathers them.
    """
    found = []
    for protocol in dict.fromkeys(rows["protocol"]) if len(rows) else ():
        for metric in table_metrics(rows):
            comparisons = compare_trainings(rows, protocol, metric)
            table = mark_best(table_cells(rows, protocol, metric), comparisons, metric.higher)
            if any(cell.n for cell in table):
                found.append(CrossTable(protocol, metric, table, comparisons))
    return found


def publish_study(
    rows: pd.DataFrame,
    about: Mapping[str, Any],
    protocols: Mapping[str, str],
    folder: Path,
    remarks: Sequence[str] = (),
) -> list[CrossTable]:
    """Write all files; the same rows give the same bytes.

    Args:
        rows: As `collect_rows` gathers them.
        about: What made them, in plain types.
        protocols: One sentence for each protocol, by name.
        folder: For the files.
        remarks: What must be known before the tables are read.

    Returns:
        The tables.
    """
    found = make_tables(rows)
    write_csv(rows.to_dict("records"), folder / "images.csv")  # type: ignore[arg-type]
    write_csv([asdict(cell) for table in found for cell in table.cells], folder / "table.csv")
    write_csv([asdict(c) for table in found for c in table.comparisons], folder / "comparisons.csv")
    figures = {f"heatmap-{table.name}": svg(heatmap(table.cells, table.metric)) for table in found}
    for protocol in dict.fromkeys(table.protocol for table in found):
        if figure := bland_altman(rows[rows["protocol"] == protocol]):
            figures[f"bland-altman-{protocol}"] = svg(figure)
    # Beside the page, which holds them too: a paper takes them one by one.
    for name, picture in figures.items():
        write_whole(folder / f"{name}.svg", picture)
    listed = [{"cells": table.cells, "comparisons": table.comparisons} for table in found]
    said = {"about": about, "protocols": protocols, "note": NOTE, "remarks": remarks}
    write_json({**said, "tables": listed}, folder / "table.json")
    content = {**said, "tables": found}
    write_whole(folder / "table.md", _render("study.md", content, _markdown))
    write_whole(folder / "table.tex", _render("study.tex", content, _latex))
    write_whole(folder / "report.html", _page(content, figures))
    return found


def _render(template: str, content: Mapping[str, Any], escape: Any) -> bytes:
    """Fill a template that is not HTML; all text goes through ``e``."""
    # LaTeX's {# would begin a comment.
    environment = template_environment(
        {"e": escape, **_FILTERS}, autoescape=False, comment_start_string="((#", comment_end_string="#))"
    )
    return environment.get_template(template).render(**content).encode()


def _page(content: Mapping[str, Any], figures: Mapping[str, bytes]) -> bytes:
    """The HTML page with its pictures inside."""
    pictures = {name: base64.b64encode(picture).decode() for name, picture in figures.items()}
    return render_page("study.html", ("page.css", "study.css"), filters=_FILTERS, figures=pictures, **content)


def cell_notes(cell: Cell) -> str:
    """Its interval, the spread of several seeds, and how many pictures have no value; empty where there is none."""
    parts = [interval_text(cell)] if interval_text(cell) else []
    parts += [] if math.isnan(cell.seeds_sd) else [f"seeds' SD {cell.seeds_sd:.3f}"]
    if cell.undefined and not math.isnan(cell.value):
        parts.append(f"{cell.undefined} undefined")
    return ", ".join(parts)


_FILTERS = {"number": value_text, "interval": cell_notes}
"""What the templates write of a cell."""


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _markdown(text: object) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", str(text))


def _latex(text: object) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in str(text))
