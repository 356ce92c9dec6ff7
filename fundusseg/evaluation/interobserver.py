"""Interobserver agreement: experts against each other in a model's own numbers, and a model beside a second expert.

Each expert is scored against the majority of the others (of two experts: against the other one), and the model against
that same majority, as if it stood in the expert's place. So nobody is compared with a ground truth that they drew
themselves (leave one expert out).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fundusseg.data.expert_fusion import NESTED, fuse
from fundusseg.evaluation.estimates import INTEROBSERVER, Estimate, make_estimates
from fundusseg.measures.label_map import label_map_of_masks
from fundusseg.measures.paired_tests import Difference, beyond_chance, holm, paired
from fundusseg.measures.picture_scores import Mask, compare, vertical_cdr_error
from fundusseg.reports.metric_names import BOTH, LOWER_IS_BETTER, VCDR_ERROR, metric_heading
from fundusseg.sample import CUP, DISC, Annotation, Eye, Image, Region, Sample

SENTENCE = "each expert, and the model in the expert's place, against the majority of the other experts"
"""What the protocol is, for tables."""

NESTED_NOTE = "levels of agreement of experts who are not named, no persons: one lies inside the other by construction"
"""What is to be said of rows whose method is a ``level``: DRISHTI-GS publishes no expert's own outline."""

MARGIN = 0.02
"""Difference of Dice or of the vertical ratio's error that counts as none."""

Row = dict[str, Any]


def expert_rows(sample: Sample, regions: Sequence[Region] = (DISC, CUP), eye: Eye | None = None) -> list[Row]:
    """One row for each expert of a picture.

    Args:
        sample: The picture with all annotations.
        regions: What is compared.
        eye: Right (OD) or left (OS), if known; the dataset's word comes first.

    Returns:
        The numbers of `picture_scores.compare` with ``protocol`` (`INTEROBSERVER`), ``method`` ("expert NAME", or
        "level NAME" of nested levels), ``reference`` (whom it is compared with), source, name, patient, diagnosis,
        eye. No row where no region has two experts.
    """
    rows = []
    for expert, own, others in _each_expert(sample, regions):
        drawn = tuple(region for region in regions if region in own)
        numbers = compare(label_map_of_masks(own, drawn), _majority(others), drawn, sample.record.eye or eye)
        rows.append({**_known(sample, _method(expert), others, eye), **numbers})
    return rows


def model_rows(
    sample: Sample,
    labels: Image,
    regions: Sequence[Region] = (DISC, CUP),
    model: str = "model",
    eye: Eye | None = None,
) -> list[Row]:
    """One row for a model in each expert's place, to stand beside `expert_rows`.

    Args:
        sample: The picture with all annotations.
        labels: H x W uint8, the model's label map.
        regions: What the label map was made with.
        model: What the model is called.
        eye: As of `expert_rows`.

    Returns:
        As `expert_rows`; ``method`` is "MODEL for EXPERT".
    """
    return [
        {
            **_known(sample, f"{model} for {_method(expert)}", others, eye),
            **compare(labels, _majority(others), regions, sample.record.eye or eye),
        }
        for expert, _, others in _each_expert(sample, regions)
    ]


def expert_estimates(rows: Sequence[Row]) -> list[Estimate]:
    """The table of `expert_rows` by themselves, without a model, each estimate with its interval.

    Args:
        rows: Of all pictures, of any sources.
    """
    regions = {key.removesuffix("_dice"): None for row in rows for key in row if key.endswith("_dice")}
    known: Row = {"seen": "no", "error": "", "labelled": " ".join(regions)}
    return make_estimates([known | row for row in rows])


def is_nested(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether rows are of levels of agreement instead of persons; `NESTED_NOTE` belongs beside them."""
    return any(str(row["method"]).startswith("level ") for row in rows)


Word = Literal["above", "below", "as good", "open"]


@dataclass(frozen=True, slots=True)
class ExpertComparison:
    """A model beside the experts of one source, in one number.

    Attributes:
        source: Of the pictures.
        metric: ``disc_dice``, ``cup_dice`` or ``vertical_cdr_error``.
        difference: Model less experts over the same pictures; of the error, experts less model: above 0 is better.
        p: Of the difference, adjusted to all sentences of one evaluation (Holm).
    """

    source: str
    metric: str
    difference: Difference
    p: float

    @property
    def word(self) -> Word:
        """What may be said.

        ``above`` or ``below`` where interval and adjusted probability agree that there is a difference; ``as good``
        where all of the interval lies within `MARGIN` of none; ``open`` where there are too few pictures to say either.
        """
        found = self.difference
        if beyond_chance(found, self.p):
            return "above" if found.mean > 0 else "below"
        # An equivalence test: that no difference was seen does not show that there is none.
        return "as good" if found.low > -MARGIN and found.high < MARGIN else "open"

    @property
    def sentence(self) -> str:
        """For people, with numbers."""
        d = self.difference
        if not d.n:
            return f"{self.source}, {_COMPARED[self.metric]}: no picture to compare the model with a second expert on."
        said = {
            "above": f"above a second expert by {d.mean:.3f}, beyond chance",
            "below": f"below a second expert by {-d.mean:.3f}, beyond chance",
            "as good": f"as good as a second expert to within {MARGIN:g}",
            "open": "not shown to differ from a second expert beyond chance, nor to be as good: too few pictures",
        }[self.word]
        interval = "no interval" if math.isnan(d.low) else f"95% interval {d.low:+.3f} to {d.high:+.3f}"
        pictures = f"{d.n} pictures" + (f", {d.undefined} undefined" if d.undefined else "")
        numbers = (
            f"difference {d.mean:+.3f}, above 0 the model is better, {interval}, p {self.p:.3f} after Holm, {pictures}"
        )
        return f"{self.source}, {_COMPARED[self.metric]}: {said} ({numbers})."


_COMPARED = {
    "disc_dice": metric_heading(DISC, "dice"),
    "cup_dice": metric_heading(CUP, "dice"),
    VCDR_ERROR: metric_heading(BOTH, VCDR_ERROR),
}
"""Columns that models and experts are compared in, with their headings."""


def compare_with_experts(
    mine: Iterable[Mapping[str, Any]], theirs: Iterable[Mapping[str, Any]], seed: int = 0
) -> list[ExpertComparison]:
    """Whether a model is as good as a second expert, for each source and number.

    The numbers of one picture are averaged over its experts, on either side; the pictures are then paired. Not seeing a
    difference is no proof that there is none: ``as good`` is only said where the interval excludes more than `MARGIN`.

    Args:
        mine: `model_rows` of all pictures.
        theirs: `expert_rows` of them. Of a picture that stands on one side alone nothing is said, and nothing of
            levels of agreement, which are no experts.
        seed: Of the interval's bootstrap.

    Returns:
        One for each source and number that both sides have.
    """
    mine, theirs = list(mine), [row for row in theirs if not is_nested([row])]
    found = []
    for source in dict.fromkeys(str(row["source"]) for row in theirs):
        for metric in _COMPARED:
            one, other = (_by_picture(rows, source, metric) for rows in (mine, theirs))
            pictures = [picture for picture in other if picture in one]
            if pictures:
                # Of an error less is better: with the sign turned, above 0 means that the model is better in all.
                sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
                ours, humans = ([sign * side[picture] for picture in pictures] for side in (one, other))
                found.append((source, metric, paired(ours, humans, [patient for _, patient in pictures], seed=seed)))
    # All sentences of the evaluation are one family of tests.
    adjusted = holm([difference.p for *_, difference in found])
    return [ExpertComparison(*one, float(p)) for one, p in zip(found, adjusted, strict=True)]


def _by_picture(rows: Iterable[Mapping[str, Any]], source: str, metric: str) -> dict[tuple[str, str], float]:
    """Mean of each picture's rows by name and patient; NaN where one of them is."""
    values = defaultdict(list)
    for row in rows:
        if row["source"] == source and (value := _number(row, metric)) is not None:
            # The patient is part of the key as the pictures are drawn by patient in the bootstrap.
            values[str(row["name"]), str(row["patient"])].append(value)
    return {picture: float(np.mean(each)) for picture, each in values.items()}


def _number(row: Mapping[str, Any], metric: str) -> float | None:
    """One number of a row, None where its region was not compared."""
    return vertical_cdr_error(row) if metric == VCDR_ERROR else row.get(metric)


Drawn = dict[Region, list[Annotation]]


def _each_expert(sample: Sample, regions: Sequence[Region]) -> Iterator[tuple[str, dict[Region, Mask], Drawn]]:
    """Each expert's masks of the regions that others drew too, and the others' annotations of these regions."""
    for expert in dict.fromkeys(annotation.expert for annotation in sample.annotations):
        own: dict[Region, Mask] = {}
        others: Drawn = {}
        for region in regions:
            drawn = sample.of(region)
            # A region that nobody else drew has nothing to be compared with.
            rest = [annotation for annotation in drawn if annotation.expert != expert]
            mask = next((annotation.mask for annotation in drawn if annotation.expert == expert), None)
            if rest and mask is not None:
                own[region], others[region] = mask, rest
        if own:
            yield expert, own, others


def _known(sample: Sample, method: str, others: Drawn, eye: Eye | None) -> Row:
    """What a row says before its numbers."""
    record = sample.record
    names = [*dict.fromkeys(annotation.expert for drawn in others.values() for annotation in drawn)]
    return {
        "protocol": INTEROBSERVER,
        "method": method,
        "reference": f"majority of {', '.join(names)}" if len(names) > 1 else names[0],
        "source": record.source,
        "name": record.name,
        "patient": record.patient,
        "diagnosis": record.diagnosis or "",
        "eye": record.eye or eye or "",
    }


def _majority(others: Drawn) -> dict[Region, Mask]:
    return {region: fuse(drawn, "majority") > 127 for region, drawn in others.items()}


def _method(expert: str) -> str:
    if NESTED.fullmatch(expert):
        return f"level {expert}"
    return expert if expert.startswith("expert") else f"expert {expert}"
