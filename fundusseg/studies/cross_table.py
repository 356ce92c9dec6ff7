"""Rows of many trainings as a table of trainings x test sources, with intervals, and who differs from whom."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from fundusseg.measures.bootstrap import mean_interval
from fundusseg.measures.paired_tests import beyond_chance, holm, paired

MACRO = "mean of sources"
"""Column in which every source counts once."""

RATIO_ERROR = "vertical_cdr_error"

_PICTURE = ["source", "name", "patient"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A column that a table is made of.

    Attributes:
        name: Of the column.
        title: For people.
        higher: Whether more is better.
        regions: That must be labelled for it.
    """

    name: str
    title: str
    higher: bool
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One training on one source's test patients.

    Attributes:
        protocol: How it was scored.
        metric: Of which the value is the mean over pictures, each the mean over seeds.
        training: Who was trained.
        source: Who is tested; `MACRO` for the mean of all sources' means.
        trained: Whether other patients of the source were trained on.
        value: NaN where nothing is labelled.
        low: Lower bound of the 95 % bootstrap interval over patients; it holds for these networks.
        high: Upper bound.
        n: Pictures with a value.
        patients: Of these pictures.
        undefined: Labelled pictures without a value under one seed or more; the mean is then over the other seeds.
        seeds_sd: Standard deviation of the seeds' values; NaN with one seed.
        best: Best of its column.
        worse: Worse than the best beyond chance.
    """

    protocol: str
    metric: str
    training: str
    source: str
    trained: bool
    value: float
    low: float
    high: float
    n: int
    patients: int
    undefined: int
    seeds_sd: float
    best: bool = False
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One training against another on the same test pictures.

    Attributes:
        protocol: How they were scored.
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


def metrics(rows: pd.DataFrame) -> list[Metric]:
    """What the rows hold: Dice of each region, and the error of the vertical ratio."""
    regions = [column.removesuffix("_dice") for column in rows.columns if column.endswith("_dice")]
    found = [Metric(f"{region}_dice", f"{region.capitalize()} Dice", True, (region,)) for region in regions]
    if RATIO_ERROR in rows:
        found.append(Metric(RATIO_ERROR, "Absolute error of the vertical cup/disc ratio", False, ("disc", "cup")))
    return found


def cells(rows: pd.DataFrame, protocol: str, metric: Metric) -> list[Cell]:
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
    chosen: pd.DataFrame = rows.loc[(rows["protocol"] == protocol).to_numpy() & complete]
    return chosen


def _cell(rows: pd.DataFrame, training: str, source: str, metric: Metric, protocol: str) -> Cell:
    pictures = rows.groupby(_PICTURE, sort=True)[metric.name].mean().reset_index()
    values = pictures[metric.name].to_numpy(np.float64)
    patients, strata = pictures["patient"].astype(str).tolist(), pictures["source"].tolist()
    defined = ~np.isnan(values)
    low, high = mean_interval(values, patients, strata, macro=source == MACRO)
    seeds = [_value(one, source, metric) for _, one in rows.groupby("seed")]
    known = pictures[defined]
    return Cell(
        protocol=protocol,
        metric=metric.name,
        training=training,
        source=source,
        trained=bool(len(rows)) and source != MACRO and bool(rows["trained"].iloc[0]),
        value=_value(pictures, source, metric),
        low=low,
        high=high,
        n=int(defined.sum()),
        patients=len(known.drop_duplicates(["source", "patient"])),
        undefined=len(rows.loc[rows[metric.name].isna(), _PICTURE].drop_duplicates()),
        seeds_sd=float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan,
    )


def _value(pictures: pd.DataFrame, source: str, metric: Metric) -> float:
    """A source's mean over pictures, or of `MACRO` the mean of the sources' means; NaN of nothing."""
    values = pictures[metric.name]
    return float(values.groupby(pictures["source"]).mean().mean() if source == MACRO else values.mean())


def compare_all(rows: pd.DataFrame, protocol: str, metric: Metric) -> list[Comparison]:
    """Every pair of trainings on every source, corrected within the source.

    Args:
        rows: As `cells`.
        protocol: Which rows.
        metric: Which column.
    """
    chosen = _labelled(rows, protocol, metric)
    found = []
    for source in dict.fromkeys(chosen["source"]):
        own = chosen[chosen["source"] == source]
        wide = own.groupby([*_PICTURE, "training"])[metric.name].mean().unstack("training")
        patients = wide.index.get_level_values("patient").astype(str).tolist()
        names = [training for training in dict.fromkeys(rows["training"]) if training in wide.columns]
        pairs = list(combinations(names, 2))
        differences = [paired(wide[one].to_numpy(), wide[other].to_numpy(), patients) for one, other in pairs]
        adjusted = holm([difference.p for difference in differences])
        for (one, other), difference, p_holm in zip(pairs, differences, adjusted.tolist(), strict=True):
            found.append(
                Comparison(
                    *(protocol, metric.name, source, one, other),
                    *(difference.n, difference.undefined, difference.patients),
                    *(difference.mean, difference.low, difference.high, difference.p, p_holm),
                    beyond_chance=beyond_chance(difference, p_holm),
                )
            )
    return found


def rank(table: Sequence[Cell], comparisons: Sequence[Comparison], higher: bool) -> list[Cell]:
    """Say of each cell whether it is the best of its column, or worse than the best beyond chance.

    Where pictures are undefined, the pictures that two trainings share may say the opposite of their means: then nobody
    is called worse.

    Args:
        table: Of one protocol and metric.
        comparisons: Of the same.
        higher: Whether more is better.
    """
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
