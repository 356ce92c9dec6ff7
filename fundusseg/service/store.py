"""Photographs, predictions and gradings in one SQLite file; each call is whole on the disk when it returns."""

import json
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fundusseg.service.grading import Grading, Posted, latest
from fundusseg.service.problem import Refusal
from fundusseg.service.store_schema import KEPT, open_store, transaction

Measured = Callable[[dict[str, Any], str, dict[str, Any]], dict[str, Any]]
"""Outlines, eye and photograph to measures and rim."""

STATES = {"accept": "accepted", "correct": "corrected", "reject": "rejected"}

_PHOTOGRAPH = "id, file, patient, eye, width, height, at AS added_at"


class Store:
    """One store; several threads may use it, one after the other.

    Args:
        folder: Where its file is.

    Raises:
        ConfigurationError: It cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.connection = open_store(folder)
        self.connection.row_factory = sqlite3.Row
        self._lock = threading.RLock()

    def close(self) -> None:
        """Fold the log back into the one file."""
        with self._lock:
            self.connection.close()

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self._lock:
            return [dict(row) for row in self.connection.execute(query, values)]

    def add_photograph(
        self, document: dict[str, Any], content: bytes, patient: str, grader: str, maker: dict[str, str], options: str
    ) -> bool:
        """Keep a photograph and its prediction; False where the photograph is there already.

        A prediction by another bundle or other options is kept beside the earlier ones.

        Raises:
            Refusal: It is kept for another patient (409).
        """
        identity, at, eye = document["sha256"], _now(), str(document["measures"].get("eye") or "")
        with self._lock, transaction(self.connection):
            known = self.rows("SELECT patient FROM photographs WHERE id = ?", identity)
            if known and known[0]["patient"] != patient:
                do = "correct the patient, or delete the other one's"
                raise Refusal(409, "a photograph that is kept for another patient", "one patient for each", do)
            if not known:
                size = document["width"], document["height"]
                self._insert("photographs", identity, patient, document["file"], eye, *size, content, grader, at)
            made = maker["digest"], maker["version"], options
            same = "SELECT 1 FROM predictions WHERE photograph = ? AND bundle = ? AND version = ? AND options = ?"
            if not self.rows(same, identity, *made):
                self._insert("predictions", None, identity, *made, json.dumps(document), at)
        return not known

    def photograph(self, identity: str) -> dict[str, Any]:
        """What is known of a photograph, without its bytes.

        Raises:
            Refusal: It is not there (404).
        """
        found = self.rows(f"SELECT {_PHOTOGRAPH} FROM photographs WHERE id = ?", identity)
        if not found:
            raise Refusal(404, "a photograph that is not in the store", "one of the worklist", "add it first")
        return found[0]

    def predicted(self) -> list[dict[str, Any]]:
        """All photographs in the order in which they came, with verdict and ratio of their latest prediction."""
        return self.rows(
            f"""
            SELECT {_PHOTOGRAPH},
                json_extract(document, '$.measures.verdict') AS verdict,
                json_extract(document, '$.measures.vertical_cdr') AS vertical_cdr
            FROM photographs JOIN (SELECT photograph, max(number) AS last FROM predictions GROUP BY photograph)
                ON photograph = id
            JOIN (SELECT number, document FROM predictions) ON number = last
            ORDER BY at, id"""
        )

    def counts(self) -> dict[str, Any]:
        """How much is kept, and who graded."""
        (counts,) = self.rows(
            """
            SELECT (SELECT count(*) FROM photographs) AS photographs,
                (SELECT count(DISTINCT patient) FROM photographs) AS patients,
                (SELECT count(*) FROM gradings) AS gradings"""
        )
        graders = self.rows("SELECT DISTINCT grader FROM gradings ORDER BY grader")
        return counts | {"graders": [row["grader"] for row in graders]}

    def content(self, identity: str) -> bytes:
        """A photograph's bytes.

        Raises:
            Refusal: It is not there (404).
        """
        self.photograph(identity)
        content: bytes = self.rows("SELECT content FROM photographs WHERE id = ?", identity)[0]["content"]
        return content

    def prediction(self, identity: str, number: int | None = None) -> dict[str, Any]:
        """A photograph's prediction of this number, or its latest, with number, bundle and version.

        Raises:
            Refusal: There is none of this number (409).
        """
        found = self.rows("SELECT * FROM predictions WHERE photograph = ? ORDER BY number DESC", identity)
        row = next((row for row in found if number in (None, row["number"])), None)
        if row is None:
            raise Refusal(409, f"the prediction {number}", "one of this photograph", "ask for the photograph again")
        document: dict[str, Any] = json.loads(row["document"])
        return document | {key: row[key] for key in ("number", "bundle", "version")}

    def is_shown(self, identity: str, grader: str, round: int, number: int | None = None) -> bool:
        """Whether a prediction of the photograph, or that of a number, was handed to this grader in this round."""
        query = "SELECT prediction FROM shown WHERE photograph = ? AND grader = ? AND round = ?"
        return any(number in (None, row["prediction"]) for row in self.rows(query, identity, grader, round))

    def show(self, identity: str, grader: str, round: int, number: int | None = None) -> dict[str, Any]:
        """Hand out a prediction, by default the latest, and note that it was."""
        with self._lock:
            prediction = self.prediction(identity, number)
            if not self.is_shown(identity, grader, round, prediction["number"]):
                with transaction(self.connection):
                    self._insert("shown", None, identity, prediction["number"], grader, round, _now())
        return prediction

    def gradings(self, identity: str | None = None) -> list[Grading]:
        """All gradings in their order, or those of one photograph."""
        of_one = "" if identity is None else "WHERE photograph = ?"
        query = f"SELECT content FROM gradings {of_one} ORDER BY number"
        found = self.rows(query, *([] if identity is None else [identity]))
        return [Grading(**json.loads(row["content"])) for row in found]

    def grading(self, identity: str) -> Grading | None:
        """One grading by its id."""
        found = self.rows("SELECT content FROM gradings WHERE id = ?", identity)
        return Grading(**json.loads(found[0]["content"])) if found else None

    def grade(self, posted: Posted, adjudicating: bool, measured: Measured) -> tuple[Grading, bool]:
        """Keep a decision; False beside it where it was kept before.

        Args:
            posted: The decision.
            adjudicating: It settles between graders.
            measured: Measures and rim of an outline.

        Raises:
            Refusal: It lacks what it needs (422), the photograph or the chosen grading is not there (404), or it does
                not fit what is kept (409).
        """
        if before := self.grading(posted.id):
            return _the_same(before, posted), False
        posted.check(adjudicating)
        photograph = self.photograph(posted.photograph)
        prediction = self.prediction(posted.photograph, posted.prediction)
        after = self._after(posted, adjudicating, prediction)
        eye = posted.eye or photograph["eye"]
        nothing: dict[str, Any] = {"measures": None, "rim": None}
        numbers = nothing if after is None else measured(after, eye, photograph)
        with self._lock, transaction(self.connection):
            if before := self.grading(posted.id):
                return _the_same(before, posted), False
            masked = not self.is_shown(posted.photograph, posted.grader, posted.round)
            decision = "adjudicate" if adjudicating and posted.decision != "reject" else posted.decision
            grading = Grading(
                posted.id,
                posted.photograph,
                posted.grader,
                posted.round,
                decision,
                adjudicating,
                posted.reason,
                posted.comment,
                eye,
                _now(),
                masked,
                before=None if masked else prediction["contours"],
                after=after,
                measures=numbers["measures"],
                rim=numbers["rim"],
                chosen=posted.chosen,
                predicted=prediction["number"],
                bundle=prediction["bundle"],
                version=prediction["version"],
            )
            self._insert(
                "gradings", None, grading.id, grading.photograph, prediction["number"], grading.grader, grading.round,
                decision, adjudicating, masked, grading.vertical_cdr, json.dumps(grading.as_dict()), grading.at,
            )  # fmt: skip
        return grading, True

    def _after(self, posted: Posted, adjudicating: bool, prediction: dict[str, Any]) -> dict[str, Any] | None:
        """The outline that a decision stands for."""
        if posted.decision in ("reject", "withdraw"):
            mine = (posted.photograph, posted.grader, posted.round)
            if posted.decision == "withdraw" and mine not in latest(self.gradings(posted.photograph)):
                raise Refusal(409, "nothing to withdraw", "a grading of this grader in this round", "grade it first")
            return None
        if posted.contours is not None:
            drawn: dict[str, Any] = posted.contours.model_dump(mode="json")
            return drawn
        if adjudicating:
            chosen = self.grading(posted.chosen or "")
            if chosen is None or chosen.photograph != posted.photograph or chosen.after is None:
                raise Refusal(404, "a chosen grading that is not there", "one of this photograph", "choose another")
            return chosen.after
        if not self.is_shown(posted.photograph, posted.grader, posted.round, posted.prediction):
            do = "draw an outline, or ask for the photograph with masked=false"
            raise Refusal(409, "an outline accepted that was not shown", "the decision correct", do)
        if not prediction["contours"].get("disc"):
            raise Refusal(409, "an outline accepted where none was found", "correct or reject", "draw it, or reject it")
        outlines: dict[str, Any] = prediction["contours"]
        return outlines

    def delete_patient(self, patient: str, grader: str) -> dict[str, int]:
        """Delete everything of a patient, out of the file and out of its log; that it was done is noted without a name.

        Raises:
            Refusal: There is nobody of this name (404).
        """
        with self._lock:
            with transaction(self.connection):
                of_patient = "SELECT id FROM photographs WHERE patient = ?"
                self.connection.execute(f"INSERT INTO erasing {of_patient}", (patient,))
                if not self.rows("SELECT 1 FROM erasing LIMIT 1"):
                    raise Refusal(404, "a patient who is not in the store", "one of the worklist", "check the name")
                erased = {}
                for table in KEPT:
                    key = "id" if table == "photographs" else "photograph"
                    done = self.connection.execute(
                        f"DELETE FROM {table} WHERE {key} IN (SELECT photograph FROM erasing)"
                    )
                    erased[table] = done.rowcount
                self.connection.execute("DELETE FROM erasing")
                counts = {table: erased[table] for table in ("photographs", "predictions", "gradings")}
                self._insert("deletions", None, grader, *counts.values(), _now())
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return counts

    def _insert(self, table: str, *values: Any) -> None:
        self.connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


def _the_same(before: Grading, posted: Posted) -> Grading:
    if not before.says(posted):
        raise Refusal(409, "another grading under an id that is taken", "a new id for each", "make a new UUID")
    return before


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
