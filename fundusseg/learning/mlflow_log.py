"""Rounds in MLflow, where a site has it: how each ended, the figures of every source, its report and cards.

No photograph, no row of a patient and no bundle is sent; the report names graders, and which outlines were set aside.
"""

import csv
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from fundusseg.errors import ConfigurationError
from fundusseg.reports.files import write_json
from fundusseg.reports.metric_names import BOTH
from fundusseg.reports.model_card import card_path

EXPERIMENT = "fundusseg improve"

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # read while the library is loaded
    "MLFLOW_ALLOW_FILE_STORE": "true",  # who names a folder wants it, though MLflow's own service prefers a database
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds: a service that is away should not cost a night
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # with the address's password
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Of MLflow, where the user has not set them; telemetry is off whatever the user has set."""

Found = TypeVar("Found")


class MlflowLog:
    """A tracking address: a folder, ``file:...``, ``http://...``, or what else the MLflow that is installed takes.

    Args:
        address: Of the option --mlflow.

    Raises:
        ConfigurationError: The extra is missing, no address is given, or nothing answers at the address.
    """

    def __init__(self, address: str) -> None:
        if find_spec("mlflow") is None:
            raise ConfigurationError("--mlflow without MLflow", "the extra `mlflow`", "pip install 'fundusseg[mlflow]'")
        if not address:
            raise ConfigurationError("--mlflow without an address", "a folder or an address", "name one")
        for name, value in SETTINGS.items():
            os.environ[name] = value if "TELEMETRY" in name else os.environ.get(name, value)
        import mlflow

        self.address, self._secret = _parts(address)
        self._client = self._asked(lambda: mlflow.MlflowClient(tracking_uri=address))
        self._experiment = self._asked(self._find_experiment)

    def add(self, number: int, folder: Path) -> str:
        """Log a round that is decided; logged again, after a kill, it is the same run.

        Args:
            number: Of the round.
            folder: Its files.

        Returns:
            MLflow's own name of the run.

        Raises:
            ConfigurationError: The address takes no more.
        """
        outcome = json.loads((folder / "outcome.json").read_text())
        tags = {f"fundusseg.{name}": outcome[name] for name in ("promoted", "reason")}
        found, files = figures(folder, outcome), [*_files(folder, outcome)]
        return self._asked(lambda: self._write(number, folder, tags, found, files))

    def _write(
        self, number: int, folder: Path, tags: Mapping[str, str], found: Mapping[str, float], files: Sequence[Path]
    ) -> str:
        from mlflow.entities import Metric

        client, run, now = self._client, self._run(number, folder), int(time.time() * 1000)
        for name, value in tags.items():
            client.set_tag(run, name, value)
        metrics = [Metric(key, value, now, number) for key, value in found.items()]
        for start in range(0, len(metrics), 500):  # MLflow takes 1,000 at a time
            client.log_batch(run, metrics=metrics[start : start + 500])
        for file in files:
            client.log_artifact(run, str(file), "" if file.parent == folder else file.parent.name)
        client.set_terminated(run)
        return run

    def _run(self, number: int, folder: Path) -> str:
        """The round's run; begun once."""
        noted = folder / "mlflow.json"
        known = json.loads(noted.read_text()) if noted.is_file() else {}
        if known.get("address") != self.address:
            champion = json.loads((folder / "begun.json").read_text())["champion"]
            tags = {"fundusseg.champion": champion}
            run = self._client.create_run(self._experiment, run_name=f"round {number}", tags=tags).info.run_id
            known = {"address": self.address, "run": run}
            write_json(known, noted)
        return str(known["run"])

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id if found else self._client.create_experiment(EXPERIMENT))

    def _asked(self, what: Callable[[], Found]) -> Found:
        """What MLflow answers; its own errors in one sentence."""
        try:
            return what()
        except Exception as error:  # its stores raise what they like, Exception itself among it
            said = " ".join(str(error).split())
            if self._secret:  # as it was given, and as a library may have spelt it
                said = re.sub(r"//[^/\s@]*@", "//", said.replace(f"{self._secret}@", ""))
            said = said[:300]
            raise ConfigurationError(
                f"no answer from MLflow at {self.address} ({said})",
                "a folder that can be written to, or the address of a tracking service",
                "correct --mlflow, or start the service",
            ) from error


def _parts(address: str) -> tuple[str, str]:
    """An address as it may be shown and kept, and what of it may not: name and password, or nothing."""
    # A database's password may hold a slash, a page's not; the paths of files may hold any sign.
    login = r"[^/?#]*" if address.startswith("http") else r"[^@]*"
    found = re.fullmatch(rf"(?!file:|sqlite)([^:/]+://)({login})@(.*)", address, re.DOTALL)
    return (f"{found[1]}{found[3]}", found[2]) if found else (address, "")


def figures(folder: Path, outcome: Mapping[str, Any]) -> dict[str, float]:
    """Every number of a round by its key: ``fine-tuned/site/cup_dice``, ``champion/site/cup_dice``, ``learnt/...``.

    Args:
        folder: Of the round.
        outcome: See `improvement_round.Outcome`, in plain types.
    """
    found = {f"learnt/{name}": float(count) for name, count in outcome["learnt"].items()}
    found |= {"promoted": float(bool(outcome["promoted"])), "set aside": float(len(outcome["set_aside"]))}
    for step in outcome["tried"]:
        for row in _differences(folder / step / "differences.csv"):
            what = row["metric"] if row["region"] == BOTH else f"{row['region']}_{row['metric']}"
            for who, column in ((step, "model"), ("champion", "other")):
                if row[column]:
                    found[_key(f"{who}/{row['source']}/{what}")] = float(row[column])
    return found


def _differences(path: Path) -> Iterator[dict[str, str]]:
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def _files(folder: Path, outcome: Mapping[str, Any]) -> Iterator[Path]:
    """Report, cards and tables; none of them names a patient."""
    for file in [folder / "report.md", *(folder / step / "differences.csv" for step in outcome["tried"])]:
        if file.is_file():
            yield file
    for step in outcome["tried"]:
        if (card := card_path(folder / f"{step}.bundle")).is_file():
            yield card


def _key(text: str) -> str:
    """With MLflow's letters alone."""
    return re.sub(r"[^\w\-. /]", "_", text, flags=re.ASCII)
