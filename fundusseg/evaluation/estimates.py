"""Estimates of an evaluation: means over pictures, and the mean of sources, each with n and its 95% interval.

A row of the table rests on one source's pictures, on the pictures of all sources together (`ALL`, every picture counted
once), or is the mean of the sources' values (`MACRO`, every source counted once). `_Group._estimates` makes value and
interval of all three: the bootstrap of `measures.bootstrap.sums_intervals` draws patients within their source, and
under `MACRO` averages the sources' values in every draw. Areas under the curve have DeLong's interval instead
(`_Group._area`); that of their mean over sources follows from the sources' own variances.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from fundusseg.data.seen_patients import Seen
from fundusseg.measures.bootstrap import FEWEST, NOTHING, clusters, sums_intervals
from fundusseg.measures.calibration_error import Reliability, expected_calibration_error
from fundusseg.measures.picture_scores import HOURS
from fundusseg.measures.ratio_agreement import ratio_agreement
from fundusseg.measures.roc import auc
from fundusseg.measures.sufficient_statistics import SufficientStatistics, mean, share_above
from fundusseg.reports.metric_names import BOTH
from fundusseg.reports.tables import Score
from fundusseg.sample import Region

ALL, MACRO = "all", "macro"
"""The rows over all sources: every picture counted once, and the mean of the sources' values (macro average)."""

INTEROBSERVER = "interobserver"
"""Protocol of experts against each other, see `fundusseg.evaluation.interobserver`."""

MEANS = (
    *("dice", "iou", "precision", "recall", "hd95", "assd", "hd95_dd", "assd_dd"),
    *("centre_distance", "centre_distance_dd", "radii_ratio"),
)
"""Metrics of a region whose mean is taken."""

SHARES = (0.90, 0.85)
"""Bounds of the radii ratio in Civit-Masot et al. 2019."""

_Z = float(special.ndtri(0.975))

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Score):
    """One cell of an evaluation's table; ``source`` may be `ALL` or `MACRO`.

    Without an interval: too few patients (see `measures.bootstrap`), a source of one patient in `MACRO`, or no patient
    who differs from the others: chance has then not been seen at work.

    Attributes:
        protocol: How the pictures were put before the networks.
        method: Whose numbers: the model's, the other model's, an expert's.
        patients: Patients of the pictures where it is defined.
        seen: The most that training knows of any of its pictures.
    """

    protocol: str
    method: str
    patients: int
    seen: Seen


@dataclass(frozen=True, eq=False, slots=True)
class _Metric:
    """One metric of a group's pictures; ``counted`` are those that are labelled for it."""

    region: str
    name: str
    sums: SufficientStatistics
    counted: Bools


def make_estimates(
    rows: Sequence[Mapping[str, Any]], calibration: Sequence[Mapping[Region, Reliability]] = ()
) -> list[Estimate]:
    """All estimates of all protocols and methods.

    Args:
        rows: Of pictures, see `scoring.Row`. A column that a row has not was not labelled; NaN is undefined.
            Rows with an error are left out.
        calibration: Of each row, its regions' pixels by probability; may be left out.

    Returns:
        In the rows' order of protocols and methods; of each the sources, then `ALL` and `MACRO`. `INTEROBSERVER`
        has not these two: the first expert of one source is not that of another. A cell without a labelled picture is
        left out.
    """
    pixels = calibration or [{}] * len(rows)
    good = [(row, counted) for row, counted in zip(rows, pixels, strict=True) if not row["error"]]
    groups = dict.fromkeys((row["protocol"], row["method"]) for row, _ in good)
    return [
        estimate
        for group in groups
        for estimate in _Group([pair for pair in good if (pair[0]["protocol"], pair[0]["method"]) == group]).estimates()
    ]


class _Group:
    """The pictures of one protocol and method."""

    def __init__(self, pairs: Sequence[tuple[Mapping[str, Any], Mapping[Region, Reliability]]]) -> None:
        self.rows = [row for row, _ in pairs]
        self.calibration = [counted for _, counted in pairs]
        self.sources = np.array([row["source"] for row in self.rows])
        self.patients = np.array([row["patient"] for row in self.rows])
        self.names = list(dict.fromkeys(self.sources.tolist()))
        self.persons = clusters(self.patients.tolist(), self.sources.tolist()).group
        marks = {name: {row["seen"] for row in self.rows if row["source"] == name} for name in self.names}
        self.seen = {name: most_seen(sorted(found)) for name, found in marks.items()}
        self.seen |= dict.fromkeys((ALL, MACRO), most_seen([*self.seen.values()]))

    def estimates(self) -> Iterator[Estimate]:
        """Of every source, of all pictures, and the sources' mean."""
        metrics = list(self._metrics())
        whole = () if self.rows[0]["protocol"] == INTEROBSERVER else (ALL, MACRO)
        for place in (*self.names, *whole):
            yield from self._estimates(metrics, place)
            yield from self._areas(place)

    def _metrics(self) -> Iterator[_Metric]:
        regions = dict.fromkeys(region for row in self.rows for region in row["labelled"].split())
        for region in regions:
            for name in MEANS:
                values, counted = self._column(f"{region}_{name}")
                yield _Metric(region, name, mean(values), counted)
            ratios, counted = self._column(f"{region}_radii_ratio")
            for least in SHARES:
                yield _Metric(region, f"radii_ratio_above_{least:.2f}", share_above(ratios, least), counted)
            error = expected_calibration_error([pixels.get(region) for pixels in self.calibration])
            if error.defined.any():
                labelled = np.array([region in row["labelled"].split() for row in self.rows], np.bool_)
                yield _Metric(region, "ece", error, labelled)
        for ratio in ("vertical", "horizontal", "area"):
            found, _ = self._column(f"{ratio}_cdr")
            true, counted = self._column(f"{ratio}_cdr_true")
            for name, sums in ratio_agreement(found, true).items():
                # One key for one number: the same as of a picture, see `metric_names.VCDR_ERROR`.
                name = "error" if name == "mae" else name
                yield _Metric(BOTH, f"{ratio}_cdr_{name}", sums, counted)
        for name in ("rim_error", *HOURS):
            values, counted = self._column(name)
            yield _Metric(BOTH, name, mean(values), counted)

    def _column(self, name: str) -> tuple[Floats, Bools]:
        """Values, and which pictures are labelled for them."""
        values = np.array([row.get(name, math.nan) for row in self.rows], np.float64)
        return values, np.array([name in row for row in self.rows], np.bool_)

    def _estimates(self, metrics: Sequence[_Metric], place: str) -> Iterator[Estimate]:
        """Cells with their bootstrap intervals, which share their draws; none where nothing is labelled."""
        at = self._at(place)
        there = [metric for metric in metrics if (metric.counted & at).any()]
        values, uses = [], []
        for metric in there:
            use = metric.counted & at & metric.sums.defined
            value, use = self._mean_of_sources(metric, use) if place == MACRO else (metric.sums.of(use), use)
            values.append(value)
            uses.append(use)
        # Of the place's pictures alone; those that are not used are NaN, and left out.
        sums = [metric.sums.among(use, at) for metric, use in zip(there, uses, strict=True)]
        who, where = self.patients[at].tolist(), self.sources[at].tolist()
        intervals = sums_intervals(sums, who, where, macro=place == MACRO)
        for metric, value, use, interval in zip(there, values, uses, intervals, strict=True):
            if place == MACRO and self._has_source_of_one(use):
                interval = NOTHING
            yield self._cell(place, metric.region, metric.name, (value, *interval), metric.counted & at, use)

    def _has_source_of_one(self, use: Bools) -> bool:
        """Whether a source of one patient would enter the mean of sources as if it were certain."""
        return any(len(set(self.patients[use & (self.sources == name)])) == 1 for name in self.names)

    def _mean_of_sources(self, metric: _Metric, use: Bools) -> tuple[float, Bools]:
        """Mean of the sources' values, and the pictures that it rests on: those of sources that have a value."""
        values = {name: metric.sums.of(use & (self.sources == name)) for name in self.names}
        defined = {name: value for name, value in values.items() if not math.isnan(value)}
        return _mean([*defined.values()]), use & np.isin(self.sources, list(defined))

    def _areas(self, place: str) -> Iterator[Estimate]:
        """Glaucoma against healthy: the area under the curve of the ratio and of the smallest rim.

        Of the sources that have both: one camera's patients against another's healthy would tell the cameras apart.
        """
        ill, well = (np.array([row["diagnosis"] == name for row in self.rows]) for name in ("glaucoma", "healthy"))
        # A wide cup and a narrow rim are signs of glaucoma: turned, so that larger means ill in both.
        for name, sign in (("vertical_cdr", 1), ("rim_min_ratio", -1)):
            # Beside the prediction's ratio the ground truth's: what a drawing without error could tell.
            for column in (name, f"{name}_true"):
                scores, counted = self._column(column)
                known = counted & (ill | well) & self._at(place)
                both = set(self.sources[known & ill].tolist()) & set(self.sources[known & well].tolist())
                chosen = known & np.isin(self.sources, sorted(both))
                use = chosen & ~np.isnan(scores)
                if chosen.any():
                    found = self._area(sign * scores, ill, use, place)
                    if not self._enough(use & ill, use & well, place):
                        found = found[0], *NOTHING
                    yield self._cell(place, BOTH, f"{column}_auc", found, chosen, use)

    def _enough(self, ill: Bools, well: Bools, place: str) -> bool:
        """Whether each class has patients enough for an interval, under `MACRO` in every source."""
        parts = [part & self._at(name) for part in (ill, well) for name in (self.names if place == MACRO else [place])]
        patients = [len(set(zip(self.sources[p].tolist(), self.patients[p].tolist(), strict=True))) for p in parts]
        return min((count for count in patients if count), default=0) >= FEWEST

    def _area(self, scores: Floats, ill: Bools, use: Bools, place: str) -> tuple[float, float, float]:
        """DeLong's interval; the sources' errors are independent, so that of their mean follows from theirs."""
        if place != MACRO:
            # A patient's name holds within a source: P1 of two sources are two people.
            who = [f"{source}/{patient}" for source, patient in zip(self.sources[use], self.patients[use], strict=True)]
            found = auc(scores[use], ill[use], groups=who)
            return found.value, found.low, found.high
        at = [use & (self.sources == name) for name in self.names]
        areas = [auc(scores[part], ill[part], groups=self.patients[part].tolist()) for part in at]
        areas = [area for area in areas if not math.isnan(area.value)]
        value = _mean([area.value for area in areas])
        # Var(mean) = sum of variances / k^2, so half = z * sqrt(sum of sd^2) / k.
        half = _Z * math.hypot(*(area.deviation for area in areas)) / max(1, len(areas))
        low, high = np.clip([value - half, value + half], 0, 1).tolist()
        return value, low, high

    def _at(self, place: str) -> Bools:
        whole = place in (ALL, MACRO)
        return np.ones(len(self.rows), np.bool_) if whole else np.asarray(self.sources == place, np.bool_)

    def _cell(
        self, place: str, region: str, metric: str, found: tuple[float, float, float], chosen: Bools, use: Bools
    ) -> Estimate:
        value, low, high = found
        if not high - low > 1e-12:  # rounding is no spread
            low, high = NOTHING
        return Estimate(
            protocol=self.rows[0]["protocol"],
            method=self.rows[0]["method"],
            source=place,
            region=region,
            metric=metric,
            value=value,
            low=low,
            high=high,
            n=int(use.sum()),
            patients=np.unique(self.persons[use]).size,
            undefined=int((chosen & ~use).sum()),
            seen=self.seen[place],
        )


def most_seen(marks: Sequence[Seen]) -> Seen:
    """The gravest of several marks."""
    order: tuple[Seen, ...] = ("no", "source", "unknown", "patient")
    return max(marks, key=order.index, default="no")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan
