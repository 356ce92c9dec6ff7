"""Rows of many trainings as a table of trainings x test sources, with intervals, and who differs from whom."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from fundusseg.measures.bootstrap import clusters, sums_intervals
from fundusseg.measures.paired_tests import beyond_chance, holm, paired_all
from fundusseg.measures.sufficient_statistics import mean
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
    sources = list(dict.fromkeys(chosen["source"]))
    # A picture's seeds first: it is one observation of the bootstrap, however often it was predicted.
    wide = _by_picture(chosen, metric)
    marks = _Marks(chosen, metric)
    found: dict[str, list[Cell]] = {training: [] for training in dict.fromkeys(rows["training"])}
    for column in (*sources, MACRO):
        own = wide if column == MACRO else wide[wide.index.get_level_values("source") == column]
        of = [own[training] if training in own else own.assign(_=math.nan)["_"] for training in found]
        patients, strata = _patients_and_sources(own)
        intervals = sums_intervals([mean(values) for values in of], patients, strata, macro=column == MACRO)
        group = clusters(patients, strata).group
        for training, values, (low, high) in zip(found, of, intervals, strict=True):
            defined = values.notna().to_numpy()
            cell = Cell(
                protocol=protocol,
                region=metric.region,
                metric=metric.metric,
                training=training,
                source=column,
                trained=marks.trained.get((training, column), False),
                value=float((values.groupby(level="source").mean() if column == MACRO else values).mean()),
                low=low,
                high=high,
                n=int(defined.sum()),
                patients=np.unique(group[defined]).size,
                undefined=marks.undefined[training, column],
                seeds_sd=marks.spread(training, column),
            )
            found[training].append(cell)
    return [cell for cells in found.values() for cell in cells]


def _by_picture(rows: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """One row a picture, one column a training: the mean over seeds, NaN where a training has no value for it."""
    return rows.groupby([*_PICTURE, "training"], sort=True)[metric.column].mean().unstack("training")


def _patients_and_sources(wide: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Of each picture."""
    return tuple(wide.index.get_level_values(name).astype(str).tolist() for name in ("patient", "source"))  # type: ignore[return-value]


class _Marks:
    """What a cell says beside its mean, of each training and source, `MACRO` included.

    Attributes:
        trained: Whether other patients of the source were trained on.
        undefined: Pictures without a value under one seed or more; counted before the mean over seeds, which leaves
            NaN out.
    """

    def __init__(self, rows: pd.DataFrame, metric: Metric) -> None:
        places = ["training", "source"]
        self.trained = {place: bool(mark) for place, mark in rows.groupby(places)["trained"].first().to_dict().items()}
        holes = rows[rows[metric.column].isna()].drop_duplicates(["training", *_PICTURE])
        self.undefined = Counter(zip(holes["training"], holes["source"], strict=True))
        self.undefined.update((training, MACRO) for training in holes["training"])
        self._seeds: dict[tuple[str, str], list[float]] = defaultdict(list)
        means = rows.groupby([*places, "seed"])[metric.column].mean()
        for (training, source, _), value in zip(means.index.tolist(), means.tolist(), strict=True):
            self._seeds[training, source].append(value)
        of_sources = means.groupby(level=["training", "seed"]).mean()
        for (training, _), value in zip(of_sources.index.tolist(), of_sources.tolist(), strict=True):
            self._seeds[training, MACRO].append(value)

    def spread(self, training: str, source: str) -> float:
        """Standard deviation of the seeds' values: how much of a difference is the draw of weights and batches."""
        seeds = self._seeds.get((training, source), [])
        return float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan


def _labelled(rows: pd.DataFrame, protocol: str, metric: Metric) -> pd.DataFrame:
    """Rows in which the metric could have a value."""
    labels = rows["labelled"].fillna("").str.split()
    complete = np.array([set(metric.regions) <= set(label) for label in labels], dtype=bool)
    # As arrays: a series would be aligned by the index, which repeats where tables were put together.
    chosen: pd.DataFrame = rows.loc[(rows["protocol"] == protocol).to_numpy() & complete]
    return chosen


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
        wide = _by_picture(chosen[chosen["source"] == source], metric)
        patients, _ = _patients_and_sources(wide)
        names = [training for training in dict.fromkeys(rows["training"]) if training in wide.columns]
        pairs = list(combinations(names, 2))
        columns = {name: wide[name].to_numpy() for name in names}
        differences = paired_all([(columns[one], columns[other]) for one, other in pairs], patients)
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
