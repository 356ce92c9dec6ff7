"""Pictures through networks under protocols: a row of numbers for each, at native size, never all pixels at once."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fundusseg.data.expert_fusion import fuse
from fundusseg.data.seen_patients import Seen
from fundusseg.datasets.base import FundusDataset
from fundusseg.evaluation.interobserver import expert_rows, model_rows
from fundusseg.evaluation.protocols import Answer, Protocol
from fundusseg.evaluation.worst_cases import Worst
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
"""Protocol, method, source, name, patient, diagnosis, eye, seen, labelled, verdict, error, and the numbers."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
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
class _Case:
    """A decoded picture and its truth."""

    sample: Sample
    truth: Mapping[Region, Mask]
    eye: Eye | None


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
        worst: Worst | None = None,
    ) -> None:
        self.methods, self.protocols, self.worst = methods, protocols, worst
        first = next(iter(methods.values())).description.preparation
        self.fusion = first.scored
        regions = [p.description.preparation.regions for p in methods.values()]
        self.regions = tuple(dict.fromkeys(region for several in regions for region in several))

    def __call__(self, subjects: Sequence[Subject], workers: int = 1) -> Iterator[Scored]:
        """Score pictures in their order, whatever the number of threads.

        Args:
            subjects: The pictures.
            workers: Threads that decode, and that compare. At most 2 x workers + 1 pictures are in memory.

        Yields:
            One for each picture. Where a file cannot be used, its rows say why and hold no number.
        """
        for subject, future in pipeline(subjects, self._read, self._answer, self._score, workers):
            error = future.exception()
            yield future.result() if error is None else self._failed(subject, error)

    def _read(self, subject: Subject) -> _Case:
        sample = subject.dataset.load(subject.record)
        truth = {
            region: fuse(annotations, self.fusion) > 127
            for region in self.regions
            if (annotations := sample.of(region))
        }
        return _Case(sample, truth, _eye(sample, truth))

    def _answer(self, subject: Subject, case: _Case) -> tuple[_Case, list[tuple[str, str, Answer]]]:
        """One picture at a time, so that no number depends on its neighbours."""
        answers = [
            (protocol.name, method, answer)
            for protocol in self.protocols
            for method, predictor in self.methods.items()
            if (answer := protocol.answer(predictor, case.sample)) is not None
        ]
        return case, answers

    def _score(self, subject: Subject, found: tuple[_Case, list[tuple[str, str, Answer]]]) -> Scored:
        case, answers = found
        scored = Scored([])
        for protocol, method, answer in answers:
            regions = self.methods[method].description.preparation.regions
            truth = {region: mask for region, mask in case.truth.items() if region in regions}
            row = _start(subject, protocol, method, truth, case.eye) | {"verdict": answer.verdict}
            row |= compare(answer.labels, truth, regions, case.eye)
            scored.rows.append(row)
            scored.calibration.append(_calibration(answer, truth, regions))
            if self.worst is not None and method == MODEL and truth:
                self.worst.offer(row, case.sample.image, answer.labels, truth, regions)
        first = next((answer for _, method, answer in answers if method == MODEL), None)
        if first is not None and any(len(case.sample.of(region)) > 1 for region in case.truth):
            for row in self._among_experts(case, first):
                scored.rows.append(_start(subject, row["protocol"], row["method"], (), case.eye) | row)
                scored.calibration.append({})
        return scored

    def _among_experts(self, case: _Case, answer: Answer) -> list[Row]:
        """Each expert against the others, and the model, by the first protocol, in each one's place."""
        regions = self.methods[MODEL].description.preparation.regions
        rows = [row | {"seen": "no"} for row in expert_rows(case.sample, regions, case.eye)]
        rows += model_rows(case.sample, answer.labels, regions, MODEL, case.eye)
        return [row | {"labelled": " ".join(r for r in regions if f"{r}_dice" in row)} for row in rows]

    def _failed(self, subject: Subject, error: BaseException) -> Scored:
        log.debug("not scored: %s", subject.record.key, exc_info=error)
        reason = " ".join(str(error).split()) or type(error).__name__
        rows = [
            _start(subject, protocol.name, method, (), subject.record.eye) | {"error": reason}
            for protocol in self.protocols
            for method in self.methods
        ]
        return Scored(rows, [{} for _ in rows])


def _start(subject: Subject, protocol: str, method: str, labelled: Iterable[Region], eye: Eye | None) -> Row:
    """What is known of a row before any number."""
    record = subject.record
    return {
        "protocol": protocol,
        "method": method,
        "source": record.source,
        "name": record.name,
        "patient": record.patient,
        "diagnosis": record.diagnosis or "",
        "eye": eye or "",
        "seen": subject.seen,
        "labelled": " ".join(labelled),
        "verdict": "",
        "error": "",
    }


def _eye(sample: Sample, truth: Mapping[Region, Mask]) -> Eye | None:
    """As the dataset says it, or as the name or the true disc's place tells it."""
    if sample.record.eye or not {DISC, CUP} <= set(truth):
        return sample.record.eye
    disc = truth[DISC].view(np.uint8)
    return infer_eye(sample.record.image.name, disc, field_of_view(sample.image))[0]


def _calibration(answer: Answer, truth: Mapping[Region, Mask], regions: Sequence[Region]) -> dict[Region, Reliability]:
    """The square's pixels by probability; far from it nobody asked the network."""
    if not truth or (square := answer.probabilities()) is None:
        return {}
    inside, probabilities = square
    return {
        region: Reliability.of(probabilities[regions.index(region)], mask[inside]) for region, mask in truth.items()
    }
