"""Estimates as tables: the leading few for a terminal and a model card, all of them in Markdown."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from fundusseg.data.seen_patients import MARKS, Seen
from fundusseg.evaluation.estimates import ALL, MACRO, Estimate
from fundusseg.reports.metric_names import BOTH, VCDR_ERROR, metric_heading
from fundusseg.reports.tables import NOTES, PLACES, Column, cell_text, markdown_table, row_pictures, terminal_table

SIGNS: dict[Seen, str] = {"no": "", "source": " *", "patient": " **", "unknown": " ?"}
"""`seen_patients.MARKS` in a terminal's narrow columns, explained below the table."""

Row = tuple[str, str, str]
"""Protocol, method, source."""

Cells = dict[Column, Estimate]


def leading_columns(estimates: Sequence[Estimate]) -> list[Column]:
    """Region and metric of the few estimates that come first."""
    there = dict.fromkeys((estimate.region, estimate.metric) for estimate in estimates)
    wanted: list[Column] = []
    for region in dict.fromkeys(region for region, _ in there if region != BOTH):
        wanted += [(region, "dice"), (region, "hd95_dd" if (region, "hd95_dd") in there else "hd95")]
    wanted += [(BOTH, VCDR_ERROR), (BOTH, "vertical_cdr_auc")]
    return [column for column in wanted if column in there]


def table_rows(estimates: Sequence[Estimate]) -> dict[Row, Cells]:
    """Estimates by row and column; where there is one source only, it is not repeated as all of them."""
    sources: dict[tuple[str, str], set[str]] = {}
    # Two passes: whether a row over all sources says anything new is only known when all sources are.
    for estimate in estimates:
        if estimate.source not in (ALL, MACRO):
            sources.setdefault((estimate.protocol, estimate.method), set()).add(estimate.source)
    found: dict[Row, Cells] = {}
    for estimate in estimates:
        several = len(sources.get((estimate.protocol, estimate.method), ())) > 1
        if several or estimate.source not in (ALL, MACRO):
            row = found.setdefault((estimate.protocol, estimate.method, estimate.source), {})
            row[estimate.region, estimate.metric] = estimate
    return found


def terminal_summary(estimates: Sequence[Estimate], title: str) -> Table:
    """The leading estimates, a row for each protocol, method and source; the interval below each."""
    columns, found = leading_columns(estimates), table_rows(estimates)
    several = len({method for _, method, _ in found}) > 1
    rows = []
    for (protocol, method, source), cells in found.items():
        pictures = row_pictures(cells)
        names = [protocol, *([method] if several else []), PLACES.get(source, source) + SIGNS[_seen(cells)]]
        rows.append([*names, *(cell_text(cells.get(c), pictures, stacked=True) for c in columns), str(pictures)])
    names = ["Protocol", *(["Method"] if several else []), "Source"]
    signs = {
        f"{SIGNS[estimate.seen].strip()} {MARKS[estimate.seen]}" for estimate in estimates if estimate.seen != "no"
    }
    headings = [*names, *(metric_heading(*column) for column in columns), "Pictures"]
    caption = "; ".join([*sorted(signs), NOTES])
    return terminal_table(headings, rows, title, caption, names=len(names), sections=True)


def markdown_summary(estimates: Sequence[Estimate], columns: Sequence[Column] | None = None) -> str:
    """The leading estimates, or those of ``columns``, in Markdown."""
    columns = leading_columns(estimates) if columns is None else columns
    rows = []
    for (protocol, method, source), cells in table_rows(estimates).items():
        pictures = row_pictures(cells)
        mark = MARKS[_seen(cells)]
        name = PLACES.get(source, source) + (f" ({mark})" if mark else "")
        texts = [cell_text(cells.get(column), pictures) for column in columns]
        rows.append([protocol, method, name, *texts, _size(cells)])
    headings = [metric_heading(*column) for column in columns]
    return markdown_table(["Protocol", "Method", "Source", *headings, "Pictures (patients)"], rows)


def markdown_tables(estimates: Sequence[Estimate]) -> str:
    """All estimates: a table for each protocol and method, a row for each metric, a column for each source."""
    parts = []
    found = table_rows(estimates)
    for protocol, method in dict.fromkeys(row[:2] for row in found):
        own = {source: cells for (p, m, source), cells in found.items() if (p, m) == (protocol, method)}
        marks = [MARKS[_seen(cells)] for cells in own.values()]
        rows = [["Pictures (patients)", *map(_size, own.values())], *([["", *marks]] if any(marks) else [])]
        for column in dict.fromkeys(column for cells in own.values() for column in cells):
            texts = [cell_text(cells.get(column), row_pictures(cells)) for cells in own.values()]
            rows.append([metric_heading(*column), *texts])
        table = markdown_table(["", *(PLACES.get(source, source) for source in own)], rows)
        parts.append(f"## {protocol}: {method}\n\n{table}")
    return "\n\n".join(parts)


def _seen(cells: Mapping[Column, Estimate]) -> Seen:
    """What training has seen of a row's pictures: the same in all its cells."""
    return next(iter(cells.values())).seen


def _size(cells: Mapping[Column, Estimate]) -> str:
    """Pictures and patients of a row."""
    return f"{row_pictures(cells)} ({max(cell.patients for cell in cells.values())})"
