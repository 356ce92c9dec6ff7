"""The result of an evaluation: estimates, comparisons, and the sentences that a reader needs beside them.

A row's way to a table, and the file of each step::

    case         evaluation/cohort.py              a picture whose patient no network has seen     -> Case
    prediction   evaluation/protocols.py           the networks' label map, as the protocol has it -> ProtocolPrediction
    row          evaluation/scoring.py             its numbers, by measures/picture_scores.py      -> Row of images.csv
                 evaluation/interobserver.py       the same numbers of each expert, and in each expert's place
    estimate     evaluation/estimates.py           means, shares, agreement over rows: n, interval -> Estimate
    comparison   evaluation/model_comparison.py    two models on the same rows                     -> ModelComparison
    table        evaluation/tables.py              estimates as rows and columns of text
    files        evaluation/result_files.py        CSV, JSON, Markdown, model card
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from fundusseg.data.seen_patients import MARKS
from fundusseg.evaluation.estimates import ALL, INTEROBSERVER, MACRO, Estimate, make_estimates
from fundusseg.evaluation.interobserver import (
    NESTED_NOTE,
    SENTENCE,
    ExpertComparison,
    compare_with_experts,
    is_nested,
)
from fundusseg.evaluation.model_comparison import ModelComparison, compare_models
from fundusseg.evaluation.protocols import Protocol
from fundusseg.evaluation.scoring import MODEL, OTHER, Row, Scored
from fundusseg.inference.predictor import Predictor

UNSEEN = (
    "By source, patient and file no picture is of a patient that a network was trained or chosen on; the same "
    "photograph cropped, saved or outlined anew for another source would not be recognised."
)


class EvaluationResult:
    """All that is said of scored pictures.

    Args:
        scored: The pictures.
        methods: The networks that were scored.
        protocols: How.
        made_by: Files and versions, in plain types.
    """

    def __init__(
        self,
        scored: Sequence[Scored],
        methods: Mapping[str, Predictor],
        protocols: Sequence[Protocol],
        made_by: Mapping[str, Any],
    ) -> None:
        self.methods, self.made_by = methods, dict(made_by)
        self.names = [protocol.name for protocol in protocols]
        self.rows: list[Row] = [row for one in scored for row in one.rows]
        self.calibration = [pixels for one in scored for pixels in one.calibration]
        self.pictures = len(scored)
        self.failures = {f"{row['source']}/{row['name']}": str(row["error"]) for row in self.rows if row["error"]}
        self.protocols = _protocol_sentences(methods, protocols, self.rows)

    @property
    def network(self) -> str:
        """File name of what was evaluated."""
        return str(self.made_by[MODEL]).split(",")[0]

    @property
    def title(self) -> str:
        """What was evaluated."""
        return f"Evaluation of {self.network}"

    @cached_property
    def estimates(self) -> list[Estimate]:
        """Of every protocol and method."""
        return make_estimates(self.rows, self.calibration)

    @cached_property
    def model_comparisons(self) -> list[ModelComparison]:
        """The model against the other, where there is one."""
        if OTHER not in self.methods:
            return []
        ours, theirs = (self.methods[m].description.preparation.regions for m in (MODEL, OTHER))
        return compare_models(self.rows, [region for region in ours if region in theirs], MODEL, OTHER)

    @cached_property
    def expert_comparisons(self) -> list[ExpertComparison]:
        """The model beside each second expert."""
        sides: dict[bool, list[Row]] = {True: [], False: []}
        for row in self.rows:
            if row["protocol"] == INTEROBSERVER:
                sides[str(row["method"]).startswith(MODEL)].append(row)
        return compare_with_experts(sides[True], sides[False])

    @cached_property
    def remarks(self) -> list[str]:
        """What a reader must know beside the estimates."""
        # Counts are of pictures: one protocol and one method, as each picture has a row for each.
        first = [row for row in self.rows if (row["protocol"], row["method"]) == (self.names[0], MODEL)]
        good = [row for row in first if not row["error"]]
        return [*_seen_remarks(good), *self._label_remarks(good), *self._protocol_remarks(first, good)]

    def _label_remarks(self, good: Sequence[Row]) -> Iterator[str]:
        """Sizes of the two classes behind each area under the curve, and pictures without ground truth."""
        for source in dict.fromkeys(estimate.source for estimate in self.estimates if estimate.metric.endswith("_auc")):
            if source not in (ALL, MACRO):
                told = [row["diagnosis"] for row in good if row["source"] == source]
                ill, well = told.count("glaucoma"), told.count("healthy")
                yield f"{source}: areas under the curve from {ill} pictures with glaucoma and {well} without."
        for source, count in Counter(row["source"] for row in good if not row["labelled"]).items():
            yield f"{source}: {count} pictures without ground truth: measures only, in images.csv."

    def _protocol_remarks(self, first: Sequence[Row], good: Sequence[Row]) -> Iterator[str]:
        """What a protocol left out, what use would have rejected, and who stands under `INTEROBSERVER`."""
        for name in self.names[1:]:
            scored = sum((row["protocol"], row["method"]) == (name, MODEL) for row in self.rows)
            if scored < len(first):
                yield f"{name}: {len(first) - scored} pictures without a labelled disc left out."
        verdicts = Counter(row["verdict"] for row in good)
        if verdicts["reject"] or verdicts["review"]:
            yield (
                f"{self.names[0]}: {verdicts['reject']} of {len(good)} photographs would be rejected and "
                f"{verdicts['review']} be put aside for review in use; all of them count."
            )
        if is_nested(row for row in self.rows if row["protocol"] == INTEROBSERVER):
            yield f"Methods called level: {NESTED_NOTE}."


def _seen_remarks(good: Sequence[Row]) -> Iterator[str]:
    """What training has seen of the pictures."""
    marks = Counter((row["source"], MARKS[row["seen"]]) for row in good if MARKS[row["seen"]])
    yield from (f"{source}: {mark} ({count} pictures)." for (source, mark), count in marks.items())
    if not any(row["seen"] in ("patient", "unknown") for row in good):
        yield UNSEEN


def _protocol_sentences(
    methods: Mapping[str, Predictor], protocols: Sequence[Protocol], rows: Sequence[Row]
) -> dict[str, str]:
    """One sentence for each protocol; the other model's own where it differs."""
    found: dict[str, str] = {}
    for protocol in protocols:
        found[protocol.name] = first = protocol.describe(methods[MODEL])
        if OTHER in methods and (second := protocol.describe(methods[OTHER])) != first:
            found[f"{protocol.name} ({OTHER})"] = f"{OTHER}: {second}"
    if any(row["protocol"] == INTEROBSERVER for row in rows):
        found[INTEROBSERVER] = f"{INTEROBSERVER}: {SENTENCE}; the model as in {protocols[0].name}"
    return found
