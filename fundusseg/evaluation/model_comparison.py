"""Two models on the same pictures: their paired difference, and whether it is beyond chance (significant)."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from fundusseg.evaluation.estimates import ALL
from fundusseg.measures.paired_tests import FEWEST_TESTED, Difference, beyond_chance, holm, paired
from fundusseg.measures.picture_scores import vertical_cdr_error
from fundusseg.reports.metric_names import BOTH, LOWER_IS_BETTER, VCDR_ERROR, metric_heading
from fundusseg.sample import Region

Word = Literal["better", "worse", "no difference"]

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """One number of two models.

    Attributes:
        protocol: How both were scored.
        source: A source, or `estimates.ALL`.
        region: A region, or `metric_names.BOTH`.
        metric: ``dice``, ``hd95_dd`` (``hd95`` where no disc is labelled) or ``vertical_cdr_error``.
        model: The model's mean over the pictures where both are defined.
        other: The other's.
        difference: Model less other, picture by picture.
        p: Of the difference, adjusted to the whole table (Holm).
    """

    protocol: str
    source: str
    region: str
    metric: str
    model: float
    other: float
    difference: Difference
    p: float

    @property
    def word(self) -> Word:
        """What may be said: interval and adjusted probability must agree that there is a difference."""
        found = self.difference
        if not beyond_chance(found, self.p):
            return "no difference"
        return "better" if (found.mean > 0) != (self.metric in LOWER_IS_BETTER) else "worse"

    @property
    def sentence(self) -> str:
        """For people, with numbers."""
        name = metric_heading(self.region, self.metric)
        found = self.difference
        said = f"{self.word} beyond chance"
        if self.word == "no difference":
            few = found.patients < FEWEST_TESTED
            said = "too few patients for any difference to be beyond chance" if few else "no difference shown"
        if not found.n:
            return f"{self.protocol}, {self.source}, {name}: no picture where both are defined."
        interval = "no interval" if math.isnan(found.low) else f"95% interval {found.low:+.4f} to {found.high:+.4f}"
        left_out = f", {found.undefined} undefined" if found.undefined else ""
        return (
            f"{self.protocol}, {self.source}, {name}: {said} ({self.model:.4f} against {self.other:.4f}, difference "
            f"{found.mean:+.4f}, {interval}, p {self.p:.2g} after Holm, {found.n} pictures{left_out})."
        )

    def as_row(self) -> dict[str, Any]:
        """Flat, for a file."""
        found = asdict(self)
        difference = found.pop("difference")
        adjusted = found.pop("p")
        return {**found, **difference, "p_holm": adjusted, "verdict": self.word}


def compare_models(rows: Sequence[Row], regions: Sequence[Region], model: str, other: str) -> list[ModelComparison]:
    """Compare two methods' rows of the same pictures.

    Args:
        rows: See `scoring.Row`; other methods' and failed ones are passed over.
        regions: Of both models.
        model: Its method.
        other: The other's.

    Returns:
        For each protocol: the sources, then `estimates.ALL` where there are several.
    """
    good = [row for row in rows if not row["error"]]
    found = []
    for protocol in dict.fromkeys(row["protocol"] for row in good):
        mine, theirs = (
            {
                (row["source"], row["name"]): row
                for row in good
                if (row["protocol"], row["method"]) == (protocol, method)
            }
            for method in (model, other)
        )
        pairs = [(row, theirs[key]) for key, row in mine.items() if key in theirs]
        sources = list(dict.fromkeys(row["source"] for row, _ in pairs))
        for place in (*sources, *([ALL] if len(sources) > 1 else [])):
            at = [pair for pair in pairs if place in (ALL, pair[0]["source"])]
            found += list(_differences(protocol, place, at, regions))
    # Every number of the table is one of a family of tests.
    adjusted = holm([difference.p for *_, difference in found])
    return [ModelComparison(*cell, float(p)) for cell, p in zip(found, adjusted, strict=True)]


def _differences(
    protocol: str, place: str, pairs: Sequence[tuple[Row, Row]], regions: Sequence[Region]
) -> Iterator[tuple[str, str, str, str, float, float, Difference]]:
    """All numbers of one place."""
    # Pixels of one camera are not those of another.
    lengths = {r: "hd95_dd" if any(f"{r}_hd95_dd" in row for row, _ in pairs) else "hd95" for r in regions}
    wanted = [(region, metric) for region in regions for metric in ("dice", lengths[region])]
    wanted.append((BOTH, VCDR_ERROR))
    for region, metric in wanted:
        numbers = [(row, _number(row, region, metric), _number(other, region, metric)) for row, other in pairs]
        labelled = [(row, one, two) for row, one, two in numbers if one is not None and two is not None]
        if not labelled:
            continue
        one, two = (np.array([triple[side] for triple in labelled], np.float64) for side in (1, 2))
        groups, strata = ([str(triple[0][key]) for triple in labelled] for key in ("patient", "source"))
        # NaN where either is: both means rest on the same pictures.
        both = ~np.isnan(one - two)
        mine, theirs = (float(side[both].mean()) if both.any() else math.nan for side in (one, two))
        yield protocol, place, region, metric, mine, theirs, paired(one, two, groups, strata)


def _number(row: Row, region: str, metric: str) -> float | None:
    """One row's number; None where it was not labelled."""
    return vertical_cdr_error(row) if region == BOTH else row.get(f"{region}_{metric}")
