"""Learn from what graders corrected: challenger against champion, promoted only if better and nowhere worse.

    python -m fundusseg.improve --store FOLDER
    python -m fundusseg.improve --store FOLDER --bundle fundus.bundle --config public.yaml --data.root FOLDER
    python -m fundusseg.improve --store FOLDER --roll_back
    python -m fundusseg.improve --store FOLDER --drift
    python -m fundusseg.serve --store FOLDER --checkpoint FOLDER/champions/current.bundle

Each run is one round. What was corrected or accepted in the store of `serve` is divided by patient, for ever and by
name alone: 30 % are the frozen comparison set, which nothing is learnt from; of all 15 % choose, the rest teach.
Outlines that no eye can have, that fit no picture, or that disagree with everything known are set aside and named with
their grader. The first challenger has other thresholds (as `calibrate`); where that is not better, the second one is
trained on from the champion's weights, rehearsing what the champion was trained on of the configuration's public
sources, or without such its own soft outlines of photographs that nobody corrected, and drawn back towards the
champion's weights until what it knew is kept.

Both are compared on the frozen set, and on what no network has been trained on of the public sources, by the paired
tests of `evaluate --against`. One that is better on the frozen set beyond chance (one-sided), and nowhere worse by more
than 0.005 in Dice or 0.01 in the ratio, beyond chance or in the mean of 15 patients, becomes the champion:
FOLDER/champions/current.bundle. Worse than the champion, or than the first champion: small losses do not add up. As the
frozen set is looked at in every round, each round that finds nothing asks the next one for more; of all promotions at
most a tenth is chance, in expectation. Every champion stays there with its card; rounds/NNNN/report.md tells what was
learnt, and with --mlflow an MLflow run. A round that promotes nothing is a normal end. One that was stopped or killed
is taken up by the same command.

With --drift nothing is learnt: light, colour, size, vertical ratio, risk and verdicts of each week are tested against
those of the first photographs, one of a patient and week, all looks of a year together at 0.05.
"""

from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fundusseg.cli import FIXED, TRAINING, Parser, add_trust, console, parse_trusting, run, scored_data
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError
from fundusseg.inference.pretrained import pretrained_bundle
from fundusseg.learning.challengers import Budget
from fundusseg.learning.champions import Champions
from fundusseg.learning.drift import find_drift, observations, sentence, write_drift
from fundusseg.learning.improvement_round import ImprovementRound, Settings, close_open, forget_deleted, round_folder
from fundusseg.learning.mlflow_log import MlflowLog
from fundusseg.service.store import Store
from fundusseg.service.store_schema import FILE
from fundusseg.xla.process import prepare_process


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg improve", description=__doc__)
    parser.add_argument("--store", required=True, type=str, help="Folder of serve's --store.")
    parser.add_argument("--bundle", type=str | None, help="The first champion [the package's own].")
    parser.add_argument("--champions", type=str | None, help="Folder of the champions [STORE/champions].")
    parser.add_argument("--config", type=str | None, help="YAML whose datasets are the public sources.")
    parser.add_argument("--patients", default=10, type=int, help="Patients to learn from, 5 or more.")
    parser.add_argument("--minutes", default=30.0, type=float, help="Of a fine-tuning.")
    parser.add_argument("--epochs", default=20, type=int, help="Of a fine-tuning at most.")
    parser.add_argument("--rate", default=1e-4, type=float, help="Of a fine-tuning's optimiser.")
    parser.add_argument("--batch_size", default=8, type=int, help="Photographs in a step of a fine-tuning.")
    parser.add_argument("--share", default=0.3, type=float, help="Of an epoch that is the site's; the rest rehearses.")
    parser.add_argument("--num_workers", type=int | None, help="Processes that read, as of fit.")
    parser.add_argument("--seed", default=0, type=int, help="Of a fine-tuning.")
    parser.add_argument("--mlflow", type=str | None, help="Folder or address where MLflow keeps what a round came to.")
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--roll_back", action="store_true", help="Make the champion before the current one again.")
    parser.add_class_arguments(FundusDataModule, "data", skip=FIXED | TRAINING, instantiate=False)
    parser.add_argument("--drift", action="store_true", help="Say whether the store's photographs have changed.")
    parser.add_argument("--reference", default=100, type=int, help="Photographs that drift is told from, 20 or more.")
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run one round, or go back; returns the exit code."""
    prepare_process()
    command = parser()
    first = parse_trusting(command, arguments)
    if not (Path(first.store) / FILE).is_file():
        raise ConfigurationError(
            f"no store in {first.store}", f"a folder with {FILE}, as serve makes it", "check --store"
        )
    champions = Champions(Path(first.champions or Path(first.store) / "champions"))
    champions.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(champions.folder / ".lock", timeout=0):
            if first.mlflow is not None and (first.drift or first.roll_back):
                raise ConfigurationError(
                    f"--mlflow with --{'drift' if first.drift else 'roll_back'}",
                    "a round to log",
                    "leave one of them out",
                )
            if first.drift or first.roll_back:
                return _drift(first, champions) if first.drift else _roll_back(champions)
            return _round(first, champions, _public(command, arguments, first))
    except Timeout as error:
        raise ConfigurationError(
            f"{champions.folder}, in which another improve is at work", "one at a time", "wait for it"
        ) from error


def _public(command: Parser, arguments: list[str], first: Any) -> list[FundusDataset]:
    """The public sources at hand."""
    if not (first.config or first.data.datasets):
        return []
    settings = scored_data(command, arguments, first.config, "data: {}")
    return [dataset.under(settings.data.root) for dataset in settings.data.datasets]


def _settings(first: Any) -> Settings:
    for name, least in (("patients", 5), ("epochs", 1), ("batch_size", 1), ("seed", 0)):
        if first[name] < least:
            raise ConfigurationError(f"--{name} {first[name]}", f"{least} or more", f"correct --{name}")
    for name in ("minutes", "rate"):
        if not first[name] > 0:
            raise ConfigurationError(f"--{name} {first[name]}", "more than 0", f"correct --{name}")
    if not 0 < first.share < 1:
        raise ConfigurationError(f"--share {first.share}", "more than 0 and less than 1", "correct --share")
    if first.device.partition(":")[0] in ("tpu", "xla"):
        raise ConfigurationError(f"--device {first.device}", "cpu, cuda, cuda:1, ...", "learn on one of these")
    names = ("minutes", "epochs", "rate", "batch_size", "share", "num_workers", "seed")
    budget = Budget(**{name: first[name] for name in names})
    return Settings(first.patients, first.device, budget)


def _round(first: Any, champions: Champions, public: list[FundusDataset]) -> int:
    settings = _settings(first)
    log = MlflowLog(first.mlflow) if first.mlflow is not None else None
    if champions.current is None or first.bundle:
        champions.crown_first(Path(first.bundle or pretrained_bundle()))
    store = Store(Path(first.store))
    try:
        forget_deleted(store, champions)
        round = ImprovementRound(store, champions, public, settings, _say)
        outcome = round.run(partial(_log, log) if log else None)
    finally:
        store.close()
    for told in outcome.set_aside:
        console.print(told, style="yellow", soft_wrap=True, markup=False)
    ended = f"Promoted, {outcome.promoted}" if outcome.promoted else "Nothing promoted"
    _say(f"{ended}: {outcome.reason}.")
    _say(f"Current champion: {champions.current}")
    _say(f"Report: {round_folder(champions, round.number) / 'report.md'}")
    return 0


def _log(log: MlflowLog, number: int, folder: Path) -> None:
    """What was decided holds, whether MLflow takes it or not."""
    try:
        _say(f"MLflow run {log.add(number, folder)} at {log.address}")
    except ConfigurationError as error:
        console.print(f"Not in MLflow: {error}", style="yellow", soft_wrap=True, markup=False)


def _roll_back(champions: Champions) -> int:
    left, current = champions.roll_back()
    close_open(champions, "rolled back")
    _say(f"{current} is the champion again, in place of {left.name}.")
    return 0


def _drift(first: Any, champions: Champions) -> int:
    if first.reference < 20:
        raise ConfigurationError(f"--reference {first.reference}", "20 photographs or more", "correct --reference")
    store = Store(Path(first.store))
    try:
        looks = find_drift(observations(store, champions.folder / "light.json"), first.reference)
    finally:
        store.close()
    write_drift(looks, champions.folder)
    _say(sentence(looks))
    _say(f"Table, plot and metric: {champions.folder / 'drift.csv'}, drift.png, drift.prom")
    return 0


def _say(told: str) -> None:
    console.print(told, soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    run(main)
