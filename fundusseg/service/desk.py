"""A store as graders see it: photographs that stay, a worklist for each grader, her gradings, adjudication."""

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict

from fundusseg.imaging.laterality import without_eye
from fundusseg.service.expected_gain import by_expected_gain, candidate
from fundusseg.service.grading import Grading, Name, Posted, Round, latest
from fundusseg.service.measure_routes import Drawn, measured
from fundusseg.service.options import Options
from fundusseg.service.prediction_routes import Predictions
from fundusseg.service.problem import Refusal
from fundusseg.service.store import STATES, Store
from fundusseg.service.uploads import Upload


class Reader(BaseModel):
    """Who looks, in which round, and whether the network's outline is hidden until she has drawn hers."""

    model_config = ConfigDict(extra="forbid")

    grader: Name
    round: Round = 1
    masked: bool = False


class Listed(Reader):
    """Query of a worklist.

    With ``order=expected_gain`` what nobody has graded comes first, the most worthwhile to correct before all, see
    `fundusseg.service.expected_gain`. It tells which predictions are uncertain, and is refused where they are masked.
    """

    order: Literal["arrival", "expected_gain"] = "arrival"


class Added(Options):
    """Query of a photograph that is to be kept."""

    patient: Name | None = None
    grader: Name
    round: Round = 1
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """A store as graders see it.

    Attributes:
        store: Where all is kept.
        predictions: That are made for new photographs.
    """

    store: Store
    predictions: Predictions

    async def add(self, upload: Upload, added: Added) -> tuple[dict[str, Any], bool]:
        """Keep a photograph with its prediction; the item, and whether it is new.

        Raises:
            Refusal: A frame is named: the store knows a file as one photograph.
        """
        if added.frame is not None:
            raise Refusal(422, "a frame of a file", "a file of one photograph", "export the frame, and send that")
        options = Options(**{name: getattr(added, name) for name in Options.model_fields})
        document = json.loads(await self.predictions.document(upload, options, alone=True))
        patient = added.patient or without_eye(Path(upload.name).stem) or document["sha256"][:12]
        maker, how = self.predictions.maker, options.model_dump_json()
        keep = (document, upload.content, patient, added.grader, maker, how)
        new = await run_in_threadpool(self.store.add_photograph, *keep)
        reader = Reader(grader=added.grader, round=added.round, masked=added.masked)
        return await run_in_threadpool(self.item, document["sha256"], reader), new

    def item(self, identity: str, reader: Reader) -> dict[str, Any]:
        """A photograph as one grader may see it; what is handed out is noted."""
        photograph, who = self.store.photograph(identity), (reader.grader, reader.round)
        hidden = reader.masked and not self.store.is_shown(identity, *who)
        prediction = None if hidden else self.store.show(identity, *who)
        history = [
            grading
            for grading in self.store.gradings(identity)
            if (grading.grader, grading.round) == who and not grading.adjudication
        ]
        standing = latest(history).get((identity, *who))
        return photograph | {
            "prediction": prediction,
            "masked": hidden,
            "grading": None if standing is None else self.shown(standing),
            "history": [self.shown(grading) for grading in history],
        }

    def shown(self, grading: Grading) -> dict[str, Any]:
        """A grading, with the prediction that its grader has seen by now."""
        seen = self.store.is_shown(grading.photograph, grading.grader, grading.round)
        prediction = self.store.prediction(grading.photograph, grading.predicted) if seen else None
        return grading.as_dict() | {"prediction": prediction}

    def worklist(self, reader: Listed) -> list[dict[str, Any]]:
        """All photographs with one grader's state; of others only how many have decided.

        Raises:
            Refusal: The predictions are masked, and their uncertainty is asked for.
        """
        if reader.masked and reader.order == "expected_gain":
            raise Refusal(422, "order=expected_gain of masked predictions", "order=arrival", "leave order out")
        standing = latest(self.store.gradings())
        graders: dict[str, set[str]] = {}
        for identity, grader, _ in standing:
            graders.setdefault(identity, set()).add(grader)
        seen = {
            row["photograph"]
            for row in self.store.rows(
                "SELECT DISTINCT photograph FROM shown WHERE grader = ? AND round = ?", reader.grader, reader.round
            )
        }
        listed = []
        for photograph in self.store.predicted():
            identity = photograph["id"]
            verdict, ratio = photograph.pop("verdict"), photograph.pop("vertical_cdr")
            if reader.masked and identity not in seen:
                verdict = ratio = None
            mine = standing.get((identity, reader.grader, reader.round))
            ratio = ratio if mine is None else mine.vertical_cdr
            state = "open" if mine is None else STATES[mine.decision]
            others = len(graders.get(identity, set()) - {reader.grader})
            listed.append({**photograph, "state": state, "verdict": verdict, "vertical_cdr": ratio, "others": others})
        if reader.order == "expected_gain":
            candidates = [candidate(one, self.store.prediction(one["id"])) for one in listed]
            place = {identity: at for at, identity in enumerate(by_expected_gain(candidates, {*graders}))}
            listed.sort(key=lambda one: place.get(one["id"], len(place)))  # a stable sort: the rest as it came
        return listed

    def grade(self, posted: Posted, adjudicating: bool) -> tuple[dict[str, Any], bool]:
        """Keep a decision; then its grader is shown the prediction."""
        grading, new = self.store.grade(posted, adjudicating, self._measured)
        if grading.decision != "withdraw" and not adjudicating:
            self.store.show(grading.photograph, grading.grader, grading.round, grading.predicted)
        return self.shown(grading), new

    def _measured(self, outlines: dict[str, Any], eye: str, photograph: dict[str, Any]) -> dict[str, Any]:
        size = {name: photograph[name] for name in ("width", "height")}
        return measured(Drawn.model_validate({**size, "contours": outlines, "eye": eye or None}))

    def to_adjudicate(self, difference: float) -> list[dict[str, Any]]:
        """Photographs with several graders' gradings, those first that differ most."""
        gradings = self.store.gradings()
        of: dict[str, list[Grading]] = {}
        for (identity, _, round), grading in latest(gradings).items():
            if round == 1:
                of.setdefault(identity, []).append(grading)
        settled = {grading.photograph: grading for grading in gradings if grading.adjudication}
        found = []
        for identity, several in of.items():
            apart = _apart(several)
            if len(several) > 1 and (apart is None or apart >= difference):
                settling = settled.get(identity)
                found.append(
                    self.store.photograph(identity)
                    | {
                        "difference": apart,
                        "gradings": [grading.as_dict() for grading in several],
                        "adjudication": None if settling is None else settling.as_dict(),
                    }
                )
        return sorted(found, key=lambda one: -np.inf if one["difference"] is None else -one["difference"])


def _apart(gradings: list[Grading]) -> float | None:
    """Largest difference of two vertical ratios; None where one is undefined."""
    ratios = [grading.vertical_cdr for grading in gradings]
    known = [ratio for ratio in ratios if ratio is not None]
    return None if len(known) < len(ratios) else max((abs(a - b) for a, b in combinations(known, 2)), default=0.0)
