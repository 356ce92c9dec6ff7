"""Scores that are kept: the same bundle on the same picture is not computed again in the next round.

A champion meets every challenger, and the first champion all of them, on pictures that hardly change. A score is known
by the bundle's digest, the picture's and its annotations' bytes, the reader's settings, and how it was computed. Of
whom it is, is not kept, and what a round does not ask for any more is let go.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fundusseg.atomic_file import file_digest
from fundusseg.data.fingerprint import fingerprint
from fundusseg.data.identity import files_digest
from fundusseg.data.store import reader_settings
from fundusseg.evaluation.protocols import select_protocols
from fundusseg.evaluation.scoring import MODEL, Case, Evaluation, Scored
from fundusseg.inference.predictor import Predictor
from fundusseg.measures.calibration_error import Reliability
from fundusseg.reports.files import write_text
from fundusseg.reports.metric_names import AUTOMATIC_ROI

_PARTS = ("count", "true", "units")

_OF_THE_CASE = ("method", "source", "name", "patient", "diagnosis", "seen")
"""Columns that the case says, not the score."""


class KeptScores:
    """A folder of scores, a file for each bundle.

    Args:
        folder: The folder.
        cases: What is scored.
        fusion: How several experts' masks become the truth.
        device: Where it is computed.
    """

    def __init__(self, folder: Path, cases: Sequence[Case], fusion: str, device: str) -> None:
        self.folder, self.cases, self.fusion = folder, cases, fusion
        how = [_code(), fusion, device.partition(":")[0]]
        readers = {id(case.dataset): fingerprint(_settings(case)) for case in cases}
        self.keys = [fingerprint([how, readers[id(case.dataset)], _picture(case)]) for case in cases]

    def of(self, method: str, bundle: Path, predictor: Predictor) -> list[Scored]:
        """Scores of every case; the challenger's are computed, as experts may stand beside it, others where not kept.

        Args:
            method: The challenger's is `MODEL`.
            bundle: The file.
            predictor: That runs it.
        """
        file = self._file(file_digest(bundle))
        before = _read(file)
        kept = {key: before[key] for key in self.keys if key in before}
        known = [key in kept and method != MODEL for key in self.keys]
        evaluation = Evaluation({method: predictor}, select_protocols([AUTOMATIC_ROI]))
        evaluation.fusion = self.fusion  # one truth for all
        fresh = evaluation([case for case, there in zip(self.cases, known, strict=True) if not there])
        found = []
        for case, key, there in zip(self.cases, self.keys, known, strict=True):
            scored = _restored(method, case, kept[key]) if there else next(fresh)
            if not there and not scored.rows[0]["error"]:  # a file that could not be read may be there the next time
                kept[key] = _plain(scored)
            found.append(scored)
        if kept.keys() != before.keys() or not all(known):
            write_text(json.dumps(kept), file)
        return found

    def _file(self, digest: str) -> Path:
        return self.folder / f"{digest}.json"


def forget_scores(folder: Path, champions: Collection[str]) -> None:
    """Remove scores of bundles that did not become champions.

    Args:
        folder: Of the scores.
        champions: Digests of those that are kept.
    """
    for path in folder.glob("*.json"):
        if path.stem not in champions:
            path.unlink()


def _read(file: Path) -> dict[str, Any]:
    """What is kept; nothing where the file is missing or torn, as by a power cut: all of it can be computed again."""
    try:
        found = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@cache
def _code() -> str:
    """Digest of the package's code, its version included: any of it may decide a score."""
    files = sorted(Path(__file__).parents[1].rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _settings(case: Case) -> Any:
    """Of its reader, wherever the dataset lies: a round's own pictures lie in another folder each time."""
    reader, settings = reader_settings(case.dataset)
    return [reader, {name: value for name, value in settings.items() if name != "root"}]


def _picture(case: Case) -> list[Any]:
    record = case.record
    # One that is made, not read, is told by its name.
    return [files_digest(record) or record.key, record.eye, record.regions]


def _plain(scored: Scored) -> dict[str, Any]:
    """The first row, which is the network's own, without whose it is; NaN stays NaN."""
    pixels = scored.calibration[0].items()
    row = {name: "" if name in _OF_THE_CASE else value for name, value in scored.rows[0].items()}
    return {
        "row": {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()},
        "calibration": {region: [getattr(one, part).tolist() for part in _PARTS] for region, one in pixels},
    }


def _restored(method: str, case: Case, kept: dict[str, Any]) -> Scored:
    """As if it had been computed for this case."""
    record = case.record
    own = {"method": method, "source": record.source, "name": record.name, "patient": record.patient}
    own |= {"diagnosis": record.diagnosis or "", "seen": case.seen}
    pixels = {
        region: Reliability(*(np.array(part, np.int64) for part in parts))
        for region, parts in kept["calibration"].items()
    }
    return Scored([{**kept["row"], **own}], [pixels])
