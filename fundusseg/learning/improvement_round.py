"""One round: new corrections, guards, two challengers, a decision; killed anywhere, it is taken up again.

What is decided is written before it is done, each in a file that is whole or not there, and done again it is the same.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fundusseg.atomic_file import file_digest
from fundusseg.datasets import Folder
from fundusseg.datasets.base import FundusDataset
from fundusseg.imaging.image_files import read_with_light
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.learning.bundle_comparison import Bundles, compare_bundles
from fundusseg.learning.challengers import Budget, Lessons, fine_tune, recalibrate
from fundusseg.learning.champions import Champions, remove_folder
from fundusseg.learning.correction_files import write_corrections, write_rehearsal
from fundusseg.learning.corrections import Correction, last_grading, of_part, patients, standing
from fundusseg.learning.graders import SetAside, disagreeing, implausible, mismatched, repeat_weights
from fundusseg.learning.kept_scores import forget_scores
from fundusseg.learning.looks import fewest_frozen, level
from fundusseg.learning.promotion import Decision, decide
from fundusseg.learning.round_report import report_text
from fundusseg.reports.files import write_json, write_text
from fundusseg.reports.model_card import card_path, model_card_text
from fundusseg.sample import CUP, DISC, Record
from fundusseg.service.store import Store

RECALIBRATED, FINE_TUNED = "recalibrated", "fine-tuned"

NO_THRESHOLD = "no threshold would move beyond chance, or too few patients are new to the network"

REHEARSED = 100
"""Photographs with the champion's own outlines, where no public source is at hand."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Of a round.

    Attributes:
        patients: Patients to learn from, below whom nothing is learnt.
        device: Where to compute.
        budget: Of a fine-tuning.
    """

    patients: int = 10
    device: str = "cpu"
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a round ended.

    Attributes:
        promoted: Which challenger; empty where none.
        reason: In one sentence.
        tried: What each challenger came to.
        learnt: Outlines that were learnt from, frozen ones and patients, by name.
        set_aside: Sentences.
        weights: Of each grader.
        level: Below which probability a challenger would have been better; 0 where none was compared.
        looks: Of each round before that compared, whether it promoted.
    """

    promoted: str
    reason: str
    tried: dict[str, dict[str, Any]] = field(default_factory=dict)
    learnt: dict[str, int] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    level: float = 0.0
    looks: list[bool] = field(default_factory=list)


class ImprovementRound:
    """A round in its folder.

    Args:
        store: Where the corrections are.
        champions: Where bundles are kept; rounds lie beside them.
        public: Public sources at hand.
        settings: Of the round.
        say: Told what is being done.
    """

    def __init__(
        self,
        store: Store,
        champions: Champions,
        public: Sequence[FundusDataset],
        settings: Settings,
        say: Callable[[str], None],
    ) -> None:
        self.store, self.champions, self.public, self.settings, self.say = store, champions, public, settings, say
        self.first = champions.first
        self.number, self.champion, self.last = _begin(champions, last_grading(store))
        self.folder = round_folder(champions, self.number)
        self.work, self.scores = self.folder / "work", champions.folder / "scores"
        self.looks = _looks(champions, self.number)
        self.level = level(self.looks)

    def run(self, log: Callable[[int, Path], None] | None = None) -> Outcome:
        """Learn, decide, and do what was decided.

        Args:
            log: Told number and folder of the round when all is decided; again where it was killed meanwhile.
        """
        decided = self.folder / "outcome.json"
        if not decided.is_file():
            write_json(asdict(self._decide()), decided)
        outcome = Outcome(**json.loads(decided.read_text()))
        if outcome.promoted:
            bundle = self.folder / f"{outcome.promoted}.bundle"
            facts = {"reason": outcome.reason, "step": outcome.promoted, "round": self.number}
            self.champions.point_to(self.champions.keep(bundle, self.number, self.champion, facts))
        write_text(report_text(self.number, self.champion.name, asdict(outcome)), self.folder / "report.md")
        remove_folder(self.work)  # photographs, which only the store may keep
        forget_scores(self.scores, self.champions.digests)
        if log is not None:
            log(self.number, self.folder)
        finish(self.folder, outcome.promoted or "nothing promoted", self.last)
        return outcome

    def _decide(self) -> Outcome:
        new = _news(self.store, _learnt_until(self.champions, self.number), self.last)
        if not new:
            return Outcome("", "nothing was corrected since the last time")
        corrections, aside = self._guarded(standing(self.store, self.last))
        weights = repeat_weights(self.store)
        learn, frozen = of_part(corrections, "train", "val"), of_part(corrections, "frozen")
        counts = {"outlines learnt from": len(learn), "patients learnt from": patients(learn)}
        counts |= {"frozen outlines": len(frozen), "frozen patients": patients(frozen)}
        told = Outcome("", "", learnt=counts, set_aside=[one.sentence for one in aside], weights=weights)
        for what, there, needed in (
            ("to learn from", patients(learn), self.settings.patients),
            ("to compare on", patients(frozen), fewest_frozen(self.level / 2)),
        ):
            if there < needed:
                blamed = f"; {len(aside)} sets of outlines were set aside" if aside else ""
                return replace(told, reason=f"{there} patients {what}, fewer than {needed}{blamed}")
        return self._challenge(told, learn, frozen, weights)

    def _guarded(self, corrections: Sequence[Correction]) -> tuple[list[Correction], list[SetAside]]:
        """What may be learnt from, and what may not."""
        odd: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for one in corrections:
            record = Record("site", one.photograph[:16], Path(one.photograph[:16]), one.patient, (DISC, CUP))
            if reason := implausible(one, read_with_light(self.store.content(one.photograph))[0], record):
                odd.setdefault((one.grader, reason.split(":")[0]), []).append((one.photograph, reason))
        # Of many alike the first is described with its numbers.
        aside = [
            SetAside(grader, tuple(one for one, _ in several), several[0][1]) for (grader, _), several in odd.items()
        ]
        kept = _without(corrections, aside)
        for guard in (mismatched, disagreeing):
            found = guard(kept)
            aside += found
            kept = _without(kept, found)
        return kept, aside

    def _challenge(
        self, told: Outcome, learn: Sequence[Correction], frozen: Sequence[Correction], weights: dict[str, float]
    ) -> Outcome:
        """The cheap challenger, then the dear one where that is not better; they share the round's level."""
        remove_folder(self.work / "frozen")
        remove_folder(self.work / "learn")
        compared = write_corrections(self.work / "frozen", self.store, frozen, weights, soft=False)
        lessons = write_corrections(self.work / "learn", self.store, learn, weights, soft=True)
        told = replace(told, level=self.level, looks=self.looks)
        reason, left = "", self.level
        for step in (RECALIBRATED, FINE_TUNED):
            bundle = self.folder / f"{step}.bundle"
            self.say(f"Challenger: {step}")
            if not bundle.is_file() and not self._make(step, bundle, lessons, learn):
                told.tried[step] = {"promoted": False, "reason": NO_THRESHOLD}
                continue
            spent = left if step == FINE_TUNED else left / 2
            left -= spent
            decision = self._compare(step, bundle, compared, spent)
            told.tried[step] = asdict(decision)
            self.say(f"{step}: {decision.reason}")
            if decision.promoted:
                return replace(told, promoted=step, reason=decision.reason)
            reason = decision.reason
        return replace(told, reason=reason)

    def _make(self, step: str, bundle: Path, lessons: Folder, learn: Sequence[Correction]) -> bool:
        """Make a challenger; False where there is none."""
        device = self.settings.device
        if step == RECALIBRATED:
            return recalibrate(self.champion, bundle, lessons, device) is not None
        parts = {one.photograph[:16]: one.part for one in learn}
        rehearsal = None
        if not self.public:
            remove_folder(self.work / "rehearsal")
            predictor = Predictor(Bundle.load(self.champion, device), views=1)
            corrected = {one.photograph for one in learn}
            rehearsal = write_rehearsal(self.work / "rehearsal", self.store, predictor, corrected, REHEARSED)
        what = Lessons(lessons, dict(parts), rehearsal, self.public)
        fine_tune(self.champion, bundle, what, self.settings.budget, device, self.work / "fine-tuning")
        return True

    def _compare(self, step: str, bundle: Path, frozen: Folder, level: float) -> Decision:
        bundles, output = Bundles(bundle, self.champion, self.first), self.folder / step
        decision = decide(
            compare_bundles(bundles, frozen, self.public, self.settings.device, self.scores, output), level
        )
        loaded = Bundle.load(bundle)
        remarks = [f"Challenger of round {self.number} ({step}): {decision.reason}.", *decision.sentences]
        if step == FINE_TUNED and loaded.failure_detector is not None:
            remarks.append(
                "The failure detector is the first champion's: the risk that it tells was measured on other weights."
            )
        networks = {part: network.description for part, network in loaded.parts.items()}
        write_text(model_card_text(bundle.name, networks, remarks=remarks), card_path(bundle))
        return decision


def round_folder(champions: Champions, number: int) -> Path:
    """Where a round's files lie."""
    return champions.folder / "rounds" / f"{number:04}"


def finish(folder: Path, how: str, last: int) -> None:
    """Note that a round is over, and until which grading it has learnt."""
    write_json({"ended": how, "last grading": last}, folder / "finished.json")


def close_open(champions: Champions, how: str) -> None:
    """End a round that was killed: it is not taken up again."""
    for folder in _rounds(champions):
        if not (folder / "finished.json").is_file():
            remove_folder(folder / "work")
            begun = json.loads((folder / "begun.json").read_text())
            finish(folder, how, begun["last grading"])


def _rounds(champions: Champions) -> list[Path]:
    """Those that were begun, in their order."""
    return sorted(path.parent for path in (champions.folder / "rounds").glob("*/begun.json"))


def _before(champions: Champions, number: int) -> list[Path]:
    """Rounds before one; some may have been removed."""
    return [folder for folder in _rounds(champions) if int(folder.name) < number]


def _begin(champions: Champions, last: int) -> tuple[int, Path, int]:
    """Number, champion and last grading of the round that is open, or of a new one."""
    rounds = _rounds(champions)
    begun = rounds[-1] / "begun.json" if rounds else None
    if begun and begun.is_file() and not (rounds[-1] / "finished.json").is_file():
        known = json.loads(begun.read_text())
        # Not the current one: a round that was killed after it promoted would follow itself.
        return int(rounds[-1].name), champions.folder / known["champion"], known["last grading"]
    champion = champions.current
    assert champion is not None
    # Rounds may have been removed to free the disk: a number that a champion has is never given again.
    number = max(int(rounds[-1].name) if rounds else 0, champions.last) + 1
    known = {"champion": champion.name, "sha256": file_digest(champion), "last grading": last}
    write_json(known, round_folder(champions, number) / "begun.json")
    return number, champion, last


def _learnt_until(champions: Champions, number: int) -> int:
    """The last grading of the rounds before."""
    ended = [json.loads((path / "finished.json").read_text())["last grading"] for path in _before(champions, number)]
    return max(ended, default=0)


def _looks(champions: Champions, number: int) -> list[bool]:
    """Of each round before that compared, whether it promoted; one that was given up halfway may have compared too."""
    found = []
    for folder in _before(champions, number):
        if any((folder / step).is_dir() for step in (RECALIBRATED, FINE_TUNED)):
            outcome = folder / "outcome.json"
            found.append(outcome.is_file() and bool(json.loads(outcome.read_text())["promoted"]))
    return found


def _news(store: Store, after: int, last: int) -> int:
    """Gradings since the last time."""
    found = store.rows("SELECT count(*) AS count FROM gradings WHERE number > ? AND number <= ?", after, last)
    return int(found[0]["count"])


def _without(corrections: Sequence[Correction], aside: Sequence[SetAside]) -> list[Correction]:
    out = {(one.grader, photograph) for one in aside for photograph in one.photographs}
    return [one for one in corrections if (one.grader, one.photograph) not in out]


def forget_deleted(store: Store, champions: Champions) -> None:
    """Remove pictures of photographs that the store holds no longer."""
    kept = {one["id"][:16] for one in store.predicted()}
    for path in (champions.folder / "rounds").glob("*/*/changes/*.jpg"):
        if path.stem not in kept:
            path.unlink()
