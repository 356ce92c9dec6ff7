"""Rows of many trainings as a table of trainings x test sources, with intervals, and who differs from whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from fundusseg.measures.bootstrap import mean_interval
from fundusseg.measures.paired_tests import beyond_chance, holm, paired
from fundusseg.reports.metric_names import BOTH, LOWER_IS_BETTER, VCDR_ERROR, metric_heading
from fundusseg.reports.tables import Score

MACRO = "mean of sources"
"""Column in which every source counts once."""

_PICTURE = ["source", "name", "patient"]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a table shows.

    Attributes:
        region: A region, or `metric_names.BOTH`.
        metric: A key of `metric_names.METRIC_NAMES`.
    """

    region: str
    metric: str

    @property
    def column(self) -> str:
        """Its column in the rows of the pictures."""
        return self.metric if self.region == BOTH else f"{self.region}_{self.metric}"

    @property
    def title(self) -> str:
        """For people."""
        return metric_heading(self.region, self.metric)

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.metric not in LOWER_IS_BETTER

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions that must be labelled for it."""
        return tuple(self.region.split("+"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell(Score):
    """One training on one source's test patients; ``source`` may be `MACRO`, the mean of all sources' means.

    The value is the mean over pictures, each the mean over seeds. ``undefined`` counts pictures without a value under
    one seed or more; the mean is then over the other seeds. The interval holds for these very networks.

    Attributes:
        protocol: How it was scored.
        training: Who was trained.
        trained: Whether other patients of the source were trained on.
        patients: Of the pictures with a value.
        seeds_sd: Standard deviation of the seeds' values; NaN with one seed.
        best: Best of its column.
        worse: Worse than the best beyond chance.
    """

    protocol: str
    training: str
    trained: bool
    patients: int
    seeds_sd: float
    best: bool = False
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One training against another on the same test pictures.

    Attributes:
        protocol: How they were scored.
        region: Of what is compared.
        metric: What is compared.
        source: Who is tested.
        one: A training.
        other: Whose numbers are subtracted.
        n: Pictures with both.
        undefined: Pictures without one of them.
        patients: Of the pictures with both.
        mean: Mean difference over pictures.
        low: Lower bound of its 95 % bootstrap interval over patients.
        high: Upper bound.
        p: Wilcoxon's signed-rank test over patients.
        p_holm: The same, corrected (Holm) for all pairs of this protocol, metric and source.
        beyond_chance: The interval leaves out 0, and ``p_holm`` is below `paired_tests.LEVEL`.
    """

    protocol: str
    region: str
    metric: str
    source: str
    one: str
    other: str
    n: int
    undefined: int
    patients: int
    mean: float
    low: float
    high: float
    p: float
    p_holm: float
    beyond_chance: bool


def table_metrics(rows: pd.DataFrame) -> list[Metric]:
    """What the rows hold: Dice of each region, and the error of the vertical ratio."""
    regions = [column.removesuffix("_dice") for column in rows.columns if column.endswith("_dice")]
    found = [Metric(region, "dice") for region in regions]
    if VCDR_ERROR in rows:
        found.append(Metric(BOTH, VCDR_ERROR))
    return found


def table_cells(rows: pd.DataFrame, protocol: str, metric: Metric) -> list[Cell]:
    """The table of one protocol and metric; trainings and sources in the order of the rows, `MACRO` last.

    Args:
        rows: Of each training, fold, seed and test picture: ``training``, ``trained`` (on its source),
            ``seed``, ``protocol``, ``source``, ``name``, ``patient``, ``labelled`` (regions) and the metrics.
        protocol: Which rows.
        metric: Which column.
    """
    chosen = _labelled(rows, protocol, metric)
    columns = [*dict.fromkeys(chosen["source"]), MACRO]
    found = []
    for training in dict.fromkeys(rows["training"]):
        own = chosen[chosen["training"] == training]
        for column in columns:
            found.append(
                _cell(own if column == MACRO else own[own["source"] == column], training, column, metric, protocol)
            )
    return found


def _labelled(rows: pd.DataFrame, protocol: str, metric: Metric) -> pd.DataFrame:
    """Rows in which the metric could have a value."""
    labels = rows["labelled"].fillna("").str.split()
    complete = np.array([set(metric.regions) <= set(label) for label in labels], dtype=bool)
    # As arrays: a series would be aligned by the index, which repeats where tables were put together.
    chosen: pd.DataFrame = rows.loc[(rows["protocol"] == protocol).to_numpy() & complete]
    return chosen


def _cell(rows: pd.DataFrame, training: str, source: str, metric: Metric, protocol: str) -> Cell:
    # A picture's seeds first: it is one observation of the bootstrap, however often it was predicted.
    pictures = rows.groupby(_PICTURE, sort=True)[metric.column].mean().reset_index()
    values = pictures[metric.column].to_numpy(np.float64)
    patients, strata = pictures["patient"].astype(str).tolist(), pictures["source"].tolist()
    defined = ~np.isnan(values)
    low, high = mean_interval(values, patients, strata, macro=source == MACRO)
    # Of each seed's network by itself: how much of a difference is the draw of weights and batches.
    seeds = [_value(one, source, metric) for _, one in rows.groupby("seed")]
    known = pictures[defined]
    return Cell(
        protocol=protocol,
        region=metric.region,
        metric=metric.metric,
        training=training,
        source=source,
        trained=bool(len(rows)) and source != MACRO and bool(rows["trained"].iloc[0]),
        value=_value(pictures, source, metric),
        low=low,
        high=high,
        n=int(defined.sum()),
        patients=len(known.drop_duplicates(["source", "patient"])),
        # Counted before the mean over seeds, which leaves NaN out.
        undefined=len(rows.loc[rows[metric.column].isna(), _PICTURE].drop_duplicates()),
        seeds_sd=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan,
    )


def _value(pictures: pd.DataFrame, source: str, metric: Metric) -> float:
    """A source's mean over pictures, or of `MACRO` the mean of the sources' means; NaN of nothing."""
    values = pictures[metric.column]
    return float(values.groupby(pictures["source"]).mean().mean() if source == MACRO else values.mean())


def compare_trainings(rows: pd.DataFrame, protocol: str, metric: Metric) -> list[Comparison]:
    """Every pair of trainings on every source, corrected within the source.

    Args:
        rows: As of `table_cells`.
        protocol: Which rows.
        metric: Which column.
    """
    chosen = _labelled(rows, protocol, metric)
    found = []
    for source in dict.fromkeys(chosen["source"]):
        own = chosen[chosen["source"] == source]
        # One row a picture, one column a training: NaN where a training has no value for it.
        wide = own.groupby([*_PICTURE, "training"])[metric.column].mean().unstack("training")
        patients = wide.index.get_level_values("patient").astype(str).tolist()
        names = [training for training in dict.fromkeys(rows["training"]) if training in wide.columns]
        pairs = list(combinations(names, 2))
        differences = [paired(wide[one].to_numpy(), wide[other].to_numpy(), patients) for one, other in pairs]
        adjusted = holm([difference.p for difference in differences])
        for (one, other), difference, p_holm in zip(pairs, differences, adjusted.tolist(), strict=True):
            found.append(
                Comparison(
                    *(protocol, metric.region, metric.metric, source, one, other),
                    *(difference.n, difference.undefined, difference.patients),
                    *(difference.mean, difference.low, difference.high, difference.p, p_holm),
                    beyond_chance=beyond_chance(difference, p_holm),
                )
            )
    return found


def mark_best(table: Sequence[Cell], comparisons: Sequence[Comparison], higher: bool) -> list[Cell]:
    """Say of each cell whether it is the best of its column, or worse than the best beyond chance.

    Where pictures are undefined, the pictures that two trainings share may say the opposite of their means: then nobody
    is called worse.

    Args:
        table: Of one protocol and metric.
        comparisons: Of the same.
        higher: Whether more is better.
    """
    # (source, who is worse, than whom): the difference is one less other.
    worse = {
        (c.source, *((c.other, c.one) if (c.mean > 0) == higher else (c.one, c.other)))
        for c in comparisons
        if c.beyond_chance
    }
    best: dict[str, Cell] = {}
    for cell in table:
        leader = best.get(cell.source)
        better = leader is None or (cell.value > leader.value if higher else cell.value < leader.value)
        if better and not math.isnan(cell.value):
            best[cell.source] = cell
    return [
        replace(
            cell,
            best=best.get(cell.source) is cell,
            worse=cell.source in best and (cell.source, cell.training, best[cell.source].training) in worse,
        )
        for cell in table
    ]
