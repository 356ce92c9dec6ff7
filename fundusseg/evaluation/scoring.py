"""Scoring: each case through the networks under each protocol, one row of numbers at native size, in bounded memory."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fundusseg.data.expert_fusion import fuse
from fundusseg.data.plausibility import find_doubts
from fundusseg.data.seen_patients import Seen
from fundusseg.datasets.base import FundusDataset
from fundusseg.evaluation.interobserver import expert_rows, model_rows
from fundusseg.evaluation.protocols import Protocol, ProtocolPrediction
from fundusseg.evaluation.worst_cases import WorstCases
from fundusseg.imaging.laterality import infer_eye
from fundusseg.imaging.roi import field_of_view
from fundusseg.inference.pipeline import pipeline
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.calibration_error import Reliability
from fundusseg.measures.picture_scores import Mask, compare
from fundusseg.sample import CUP, DISC, Eye, Record, Region, Sample

MODEL, OTHER = "model", "other"
"""Methods: the checkpoint that is evaluated, and the one that it is compared with."""

Row = dict[str, Any]
"""One line of images.csv: protocol, method, source, name, patient, diagnosis, eye, seen, labelled, verdict, error,
and the numbers of `picture_scores.compare`."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Case:
    """A picture to score.

    Attributes:
        dataset: Its reader.
        record: The picture.
        seen: What the networks know of it.
    """

    dataset: FundusDataset
    record: Record
    seen: Seen = "no"


@dataclass(frozen=True, eq=False, slots=True)
class Scored:
    """What is kept of one picture.

    Attributes:
        rows: One for each protocol and method.
        calibration: Of each row, in their order: each labelled region's pixels by probability.
    """

    rows: list[Row]
    calibration: list[dict[Region, Reliability]] = field(default_factory=list)


@dataclass(frozen=True, eq=False, slots=True)
class _DecodedCase:
    """A case's decoded picture and its ground truth, the experts' masks fused to one."""

    sample: Sample
    truth: Mapping[Region, Mask]
    eye: Eye | None


_Prediction = tuple[str, str, ProtocolPrediction]
"""Protocol and method before it."""


class Evaluation:
    """Scores pictures; several threads decode and compare while one asks the networks.

    Args:
        methods: Networks by method.
        protocols: How to score.
        worst: Keeps pictures of the worst cases.
    """

    def __init__(
        self,
        methods: Mapping[str, Predictor],
        protocols: Sequence[Protocol],
        worst: WorstCases | None = None,
    ) -> None:
        self.methods, self.protocols, self.worst = methods, protocols, worst
        first = next(iter(methods.values())).description.preparation
        self.fusion = first.scored
        regions = [p.description.preparation.regions for p in methods.values()]
        self.regions = tuple(dict.fromkeys(region for several in regions for region in several))

    def __call__(self, cases: Sequence[Case], workers: int = 1) -> Iterator[Scored]:
        """Score pictures in their order, whatever the number of threads.

        Args:
            cases: The pictures.
            workers: Threads that decode, and that compare. At most 2 x workers + 1 pictures are in memory.

        Yields:
            One for each picture. Where a file cannot be used, its rows say why and hold no number.
        """
        for case, future in pipeline(cases, self._read, self._predict, self._score, workers):
            error = future.exception()
            yield future.result() if error is None else self._failed(case, error)

    def _read(self, case: Case) -> _DecodedCase:
        sample = case.dataset.load(case.record)
        find_doubts(sample, self.regions)  # no score against a mask that no eye can have
        truth = {
            region: fuse(annotations, self.fusion) > 127
            for region in self.regions
            if (annotations := sample.of(region))
        }
        return _DecodedCase(sample, truth, _eye(sample, truth))

    def _predict(self, case: Case, decoded: _DecodedCase) -> tuple[_DecodedCase, list[_Prediction]]:
        """One picture at a time, so that no number depends on its neighbours."""
        predictions = [
            (protocol.name, method, prediction)
            for protocol in self.protocols
            for method, predictor in self.methods.items()
            if (prediction := protocol.predict(predictor, decoded.sample)) is not None
        ]
        return decoded, predictions

    def _score(self, case: Case, found: tuple[_DecodedCase, list[_Prediction]]) -> Scored:
        decoded, predictions = found
        scored = Scored([])
        for protocol, method, prediction in predictions:
            regions = self.methods[method].description.preparation.regions
            # Of two models each is scored on the regions that it looks for.
            truth = {region: mask for region, mask in decoded.truth.items() if region in regions}
            row = _start(case, protocol, method, truth, decoded.eye) | {"verdict": prediction.verdict}
            row |= compare(prediction.labels, truth, regions, decoded.eye)
            scored.rows.append(row)
            scored.calibration.append(_calibration(prediction, truth, regions))
            if self.worst is not None and method == MODEL and truth:
                self.worst.offer(row, decoded.sample.image, prediction.labels, truth, regions)
        first = next((prediction for _, method, prediction in predictions if method == MODEL), None)
        if first is not None and any(len(decoded.sample.of(region)) > 1 for region in decoded.truth):
            for row in self._interobserver_rows(decoded, first):
                scored.rows.append(_start(case, row["protocol"], row["method"], (), decoded.eye) | row)
                # Experts give no probabilities; the two lists stay in step.
                scored.calibration.append({})
        return scored

    def _interobserver_rows(self, decoded: _DecodedCase, prediction: ProtocolPrediction) -> list[Row]:
        """Each expert against the others, and the model, by the first protocol, in each one's place."""
        regions = self.methods[MODEL].description.preparation.regions
        # No expert was trained on anything: the mark is the model's alone.
        rows = [row | {"seen": "no"} for row in expert_rows(decoded.sample, regions, decoded.eye)]
        rows += model_rows(decoded.sample, prediction.labels, regions, MODEL, decoded.eye)
        return [row | {"labelled": " ".join(r for r in regions if f"{r}_dice" in row)} for row in rows]

    def _failed(self, case: Case, error: BaseException) -> Scored:
        log.debug("not scored: %s", case.record.key, exc_info=error)
        reason = " ".join(str(error).split()) or type(error).__name__
        rows = [
            _start(case, protocol.name, method, (), case.record.eye) | {"error": reason}
            for protocol in self.protocols
            for method in self.methods
        ]
        return Scored(rows, [{} for _ in rows])


def _start(case: Case, protocol: str, method: str, labelled: Iterable[Region], eye: Eye | None) -> Row:
    """What is known of a row before any number."""
    record = case.record
    return {
        "protocol": protocol,
        "method": method,
        "source": record.source,
        "name": record.name,
        "patient": record.patient,
        "diagnosis": record.diagnosis or "",
        "eye": eye or "",
        "seen": case.seen,
        "labelled": " ".join(labelled),
        "verdict": "",
        "error": "",
    }


def _eye(sample: Sample, truth: Mapping[Region, Mask]) -> Eye | None:
    """As the dataset says it, or as the name or the true disc's place tells it."""
    if sample.record.eye or not {DISC, CUP} <= set(truth):
        return sample.record.eye
    # The true disc, not a predicted one: rows of all methods are of one eye.
    disc = truth[DISC].view(np.uint8)
    return infer_eye(sample.record.image.name, disc, field_of_view(sample.image))[0]


def _calibration(
    prediction: ProtocolPrediction, truth: Mapping[Region, Mask], regions: Sequence[Region]
) -> dict[Region, Reliability]:
    """The square's pixels by probability; far from it nobody asked the network."""
    if not truth or (square := prediction.probabilities()) is None:
        return {}
    inside, probabilities = square
    return {
        region: Reliability.of(probabilities[regions.index(region)], mask[inside]) for region, mask in truth.items()
    }
