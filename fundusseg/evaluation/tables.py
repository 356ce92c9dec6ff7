"""Figures as tables: the few that a terminal has room for, and all of them in Markdown."""

import math
from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from fundusseg.data.seen_patients import MARKS, Seen
from fundusseg.evaluation.estimates import ALL, BOTH, MACRO, Figure
from fundusseg.measures.picture_scores import HOURS

NAMES = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "hd95": "HD95 (px)",
    "hd95_dd": "HD95 (dd)",
    "assd": "ASSD (px)",
    "assd_dd": "ASSD (dd)",
    "centre_distance": "Centre distance (px)",
    "centre_distance_dd": "Centre distance (dd)",
    "radii_ratio": "Radii ratio",
    "radii_ratio_above_0.90": "Radii ratio above 0.90",
    "radii_ratio_above_0.85": "Radii ratio above 0.85",
    "ece": "Calibration error",
    **{
        f"{ratio}_cdr_{statistic}": f"{ratio[0]}CDR {name}"
        for ratio in ("vertical", "horizontal", "area")
        for statistic, name in (
            *(("mae", "MAE"), ("bias", "bias"), ("limit_low", "lower limit of agreement")),
            *(("limit_high", "upper limit of agreement"), ("icc", "ICC(2,1)"), ("pearson", "Pearson's r")),
        )
    },
    "rim_error": "Rim profile, absolute error",
    **{name: f"Rim bias at {hour} o'clock" for hour, name in enumerate(HOURS, 1)},
    "vertical_cdr_auc": "Glaucoma AUC",
    "vertical_cdr_true_auc": "Glaucoma AUC of the experts' vCDR",
    "rim_min_ratio_auc": "Glaucoma AUC of the narrowest rim",
    "rim_min_ratio_true_auc": "Glaucoma AUC of the experts' narrowest rim",
}
"""Of the metrics; others are shown by their own name."""

PLACES = {ALL: "all pictures", MACRO: "mean of sources"}

NOTES = (
    "Beside each figure its 95% bootstrap interval over patients (of an area under the curve DeLong's); none of "
    "fewer than 5 patients (of either class), where no patient differs from another, or of a mean over a source of "
    "one patient. dd: diameters of the true disc; undefined pictures are counted and enter no mean; calibration "
    "error: of the pixels of the square that the network looked at."
)

SIGNS: dict[Seen, str] = {"no": "", "source": " *", "patient": " **", "unknown": " ?"}
"""`seen_patients.MARKS` in a terminal's narrow columns, explained below the table."""

_DASH = "\N{EN DASH}"

Line = tuple[str, str, str]
"""Protocol, method, source."""


def columns(figures: Sequence[Figure]) -> list[tuple[str, str]]:
    """Region and metric of the few figures that come first."""
    there = dict.fromkeys((figure.region, figure.metric) for figure in figures)
    wanted: list[tuple[str, str]] = []
    for region in dict.fromkeys(region for region, _ in there if region != BOTH):
        wanted += [(region, "dice"), (region, "hd95_dd" if (region, "hd95_dd") in there else "hd95")]
    wanted += [(BOTH, "vertical_cdr_mae"), (BOTH, "vertical_cdr_auc")]
    return [column for column in wanted if column in there]


def lines(figures: Sequence[Figure]) -> dict[Line, dict[tuple[str, str], Figure]]:
    """Figures by line and column; where there is one source only, it is not repeated as all of them."""
    found: dict[Line, dict[tuple[str, str], Figure]] = {}
    sources: dict[tuple[str, str], set[str]] = {}
    for figure in figures:
        if figure.source not in PLACES:
            sources.setdefault((figure.protocol, figure.method), set()).add(figure.source)
    for figure in figures:
        several = len(sources.get((figure.protocol, figure.method), ())) > 1
        if several or figure.source not in PLACES:
            line = found.setdefault((figure.protocol, figure.method, figure.source), {})
            line[figure.region, figure.metric] = figure
    return found


def terminal(figures: Sequence[Figure], title: str) -> Table:
    """The few figures, a line for each protocol, method and source; the interval below each."""
    shown = columns(figures)
    signs = {f"{SIGNS[figure.seen].strip()} {MARKS[figure.seen]}" for figure in figures if figure.seen != "no"}
    table = Table(title=title, caption="; ".join([*sorted(signs), NOTES]))
    found = lines(figures)
    several = len({method for _, method, _ in found}) > 1
    table.add_column("Protocol")
    if several:
        table.add_column("Method")
    table.add_column("Source", overflow="fold")
    for region, metric in shown:
        table.add_column(heading(region, metric), justify="right", overflow="fold")
    table.add_column("n", justify="right")
    before = ""
    for (protocol, method, source), cells in found.items():
        if before not in ("", protocol):
            table.add_section()
        before = protocol
        first = next(iter(cells.values()))
        most, _ = _most(cells)
        texts = [protocol, *([method] if several else []), PLACES.get(source, source) + SIGNS[first.seen]]
        texts += [_cell(cells.get(column), most, "\n") for column in shown]
        # Text, not str: a source's name may hold brackets, which rich would take for markup.
        table.add_row(*(Text(text) for text in (*texts, str(most))))
    return table


def brief(figures: Sequence[Figure]) -> str:
    """The few figures in Markdown, as in the terminal."""
    shown = columns(figures)
    rows = []
    for (protocol, method, source), cells in lines(figures).items():
        most, patients = _most(cells)
        mark = MARKS[next(iter(cells.values())).seen]
        name = PLACES.get(source, source) + (f" ({mark})" if mark else "")
        texts = [_cell(cells.get(column), most, " ") for column in shown]
        rows.append([protocol, method, name, *texts, f"{most} ({patients})"])
    headings = [heading(*column) for column in shown]
    return grid(["protocol", "method", "source", *headings, "pictures (patients)"], rows)


def full(figures: Sequence[Figure]) -> str:
    """All figures: for each protocol and method one table, a line for each metric, a column for each source."""
    parts = []
    found = lines(figures)
    for protocol, method in dict.fromkeys(line[:2] for line in found):
        own = {source: cells for (p, m, source), cells in found.items() if (p, m) == (protocol, method)}
        headings = [PLACES.get(source, source) for source in own]
        marks = [MARKS[next(iter(cells.values())).seen] for cells in own.values()]
        most = [_most(cells)[0] for cells in own.values()]
        rows = [["pictures (patients)", *("{} ({})".format(*_most(cells)) for cells in own.values())]]
        rows += [["", *marks]] if any(marks) else []
        for column in dict.fromkeys(column for cells in own.values() for column in cells):
            texts = [_cell(cells.get(column), n, " ") for cells, n in zip(own.values(), most, strict=True)]
            rows.append([heading(*column), *texts])
        parts.append(f"## {protocol}: {method}\n\n{grid(['', *headings], rows)}")
    return "\n\n".join(parts)


def grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; what would break it is escaped."""
    written = [headings, ["---"] * len(headings), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in written
    )


def heading(region: str, metric: str) -> str:
    """``"Disc Dice"``; what is told of disc and cup together stands alone."""
    name = NAMES.get(metric, metric)
    return name if region == BOTH else f"{region[:1].upper()}{region[1:]} {name}"


def _most(cells: Mapping[tuple[str, str], Figure]) -> tuple[int, int]:
    """Pictures and patients of a line's best known figure."""
    return max(figure.n + figure.undefined for figure in cells.values()), max(f.patients for f in cells.values())


def _interval(figure: Figure, between: str) -> str:
    """In a terminal's narrow columns without words."""
    if between == "\n" and figure.low >= 0:
        return f"{figure.low:.3f}{_DASH}{figure.high:.3f}"
    return f"({figure.low:.3f} to {figure.high:.3f})"


def _cell(figure: Figure | None, most: int, between: str) -> str:
    """One figure with what must be known beside it."""
    if figure is None:
        return _DASH
    if math.isnan(figure.value):
        return f"undefined ({figure.undefined})"
    interval = "" if math.isnan(figure.low) else between + _interval(figure, between)
    notes = [f"n {figure.n + figure.undefined}"] if figure.n + figure.undefined != most else []
    notes += [f"{figure.undefined} undefined"] if figure.undefined else []
    return f"{figure.value:.3f}{interval}" + (f"{between}{', '.join(notes)}" if notes else "")
