"""Train on each source, on all, on all but one; test each network on every source; one table of it all.

    python -m fundusseg.study --config configs/studies/public.yaml --data.root FOLDER --output FOLDER --workers 2

A job is one command (`fit`, `evaluate`) with a log of its own; the workers share the cores. Stopped or killed, the same
command continues at once (a training that was told to stop within its epoch, one that was killed from its last whole
one); failed jobs are tried again. The same command on other machines that see the folder, and its locks, shares the
work: no job is done by two at a time. On a Ray cluster (--cluster, the extra `cluster`) jobs go where there are cores
and GPUs for them (--cluster_gpus 1), and elsewhere when a machine is lost. Patients are divided into folds once, the
same for all networks. Anything of the recipe can be overridden: --overrides.trainer.max_epochs 5,
--localiser.overrides...

`results/` holds the table of means with bootstrap intervals over patients as CSV, JSON, Markdown and LaTeX, every pair
of trainings on every source (Wilcoxon over patients, Holm over all pairs of a source), and report.html with heat maps
and Bland-Altman plots, which opens offline.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from rich.table import Table

from fundusseg import __version__
from fundusseg.cli import Parser, console, run
from fundusseg.cluster.resources import Resources, add_cluster, resources_of
from fundusseg.data.cache_folder import default_folder
from fundusseg.data.splits import SUBSETS, Split
from fundusseg.errors import ConfigurationError
from fundusseg.reports.metric_names import AUTOMATIC_ROI, GROUND_TRUTH_ROI
from fundusseg.reports.tables import terminal_table, value_text
from fundusseg.studies.collect import collect_rows, missing_scores
from fundusseg.studies.job_list import JobList
from fundusseg.studies.job_runner import LocalPool, Pool, available, run_jobs
from fundusseg.studies.plan import LocaliserSettings, Plan, Settings
from fundusseg.studies.publication import CrossTable, cell_notes, publish_study
from fundusseg.studies.recipes import override, take_overrides
from fundusseg.training.cli import ACCELERATORS
from fundusseg.training.preemption import EXIT_CODE
from fundusseg.xla import backend
from fundusseg.xla.process import prepare_process

_PROTOCOLS = {
    AUTOMATIC_ROI: "{name}: the square is {where}; each checkpoint's own thresholds, fixed before the test; at the "
    "photograph's own size.",
    GROUND_TRUTH_ROI: "{name}: the square is {where}; threshold 0.5, largest connected part; at the photograph's own "
    f"size. Patients are divided as in {AUTOMATIC_ROI}.",
}
_SQUARES = {"field_of_view": "the field of view", "picture": "the whole picture"}


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg study", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML of the study.")
    parser.add_argument("--output", required=True, type=str, help="The study's folder; stopped, it continues there.")
    parser.add_argument("--data.root", type=str, default=".", help="Folder below which the datasets lie.")
    parser.add_argument("--data.cache_dir", type=str | None, default=None, help="Where prepared samples are kept.")
    parser.add_argument("--workers", type=int, default=1, help="Jobs at a time; they share the cores.")
    parser.add_argument("--accelerator", choices=ACCELERATORS, default="auto", help="Where to train.")
    add_cluster(parser, "each training or evaluation")
    parser.add_class_arguments(Settings)
    return parser


def parse(arguments: list[str]) -> Namespace:
    """Read the command line; what it overrides comes on top of what the YAML file does."""
    # Taken out before parsing: their keys are a recipe's, of which this parser knows none.
    rest, of_localiser = take_overrides(arguments, "localiser.overrides")
    rest, of_recipe = take_overrides(rest, "overrides")
    given: Namespace = parser().parse_args(rest)
    given.overrides = override(override({}, given.overrides), of_recipe)
    if given.localiser is not None:
        given.localiser.overrides = override(override({}, given.localiser.overrides), of_localiser)
    elif of_localiser:
        raise ConfigurationError(
            "overrides of a localiser in a study without one", "a localiser's recipe", "give --localiser.recipe"
        )
    return given


def main(arguments: list[str]) -> int:
    """Run the study; returns the exit code: 0, 1 when a job failed, 143 when it was stopped."""
    prepare_process()
    given = parse(arguments)
    resources = resources_of(given)
    if resources is not None and given.workers > 1:
        do = "leave --workers out; --cluster_jobs says how many run at a time"
        raise ConfigurationError(f"--workers {given.workers} with --cluster", "one of the two", do)
    if not 1 <= given.workers <= len(available()):
        expected = f"1 to {len(available())}, as many as there are cores"
        raise ConfigurationError(f"{given.workers} workers", expected, "correct --workers")
    # Absolute: they go into the command lines of the jobs.
    output, root = Path(given.output).absolute(), str(Path(given.data.root).absolute())
    cache = Path(given.data.cache_dir or default_folder()).absolute()
    plan = plan_of(given)
    jobs = plan.lay_out(output, root, cache)
    _say_what_is_planned(plan, jobs, output)
    # On a cluster, what a job takes says where it runs: this machine need not have it.
    accelerator = "gpu" if resources and resources.gpus and given.accelerator == "auto" else given.accelerator
    values = {"output": str(output), "root": root, "cache": str(cache), "accelerator": accelerator}
    values["device"] = _device(accelerator)
    with _pool(output, values, given.workers, resources) as pool:
        stopped = run_jobs(jobs, pool, _Progress(jobs))
    if stopped:
        console.print("Stopped: the same command continues.")
        return EXIT_CODE
    return _publish(plan, jobs, output)


@contextmanager
def _pool(output: Path, values: dict[str, str], workers: int, resources: Resources | None) -> Iterator[Pool]:
    """Where the jobs run: here, or on a cluster."""
    if resources is None:
        yield LocalPool(output, workers, values)
        return
    from fundusseg.cluster.connection import connected
    from fundusseg.cluster.study_pool import RayPool

    with connected(resources) as fit:
        yield RayPool(output, values, resources, fit)


def plan_of(given: Namespace) -> Plan:
    """What the parsed command line asks for; recipes are looked for beside the study's file too."""
    plain = given.as_dict()
    settings = Settings(**{field.name: plain[field.name] for field in fields(Settings)})
    if settings.localiser is not None:
        settings = replace(settings, localiser=LocaliserSettings(**plain["localiser"]))
    near = Path(str(given.config[-1])).parent if given.config else Path()
    return Plan.from_settings(settings, given.data.root, near)


def _device(accelerator: str) -> str:
    """Where to evaluate, as `evaluate` calls it."""
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "tpu" if backend.has_tpu() else "cpu"
    return {"gpu": "cuda"}.get(accelerator, accelerator)


class _Progress:
    """Prints a line for each job that has ended."""

    def __init__(self, jobs: JobList) -> None:
        self.jobs = jobs
        self.begun, self.before = time.monotonic(), _ended(jobs.states())

    def __call__(self, name: str, code: int, seconds: float) -> None:
        states = self.jobs.states()
        ended = _ended(states)
        # Seconds from one end to the next, with all workers: a job's own time would not tell what is left.
        each = (time.monotonic() - self.begun) / max(1, ended - self.before)
        word = "done" if code == 0 else f"failed with exit code {code}, see {self.jobs.folder / 'logs' / name}.log"
        _say(f"{ended}/{len(states)} {name}: {word}, {seconds:.0f} s, {each * (len(states) - ended):.0f} s left")


def _ended(states: Mapping[str, str]) -> int:
    return sum(state in ("done", "failed") for state in states.values())


def _say_what_is_planned(plan: Plan, jobs: JobList, output: Path) -> None:
    """Print sources, trainings and what is done already."""
    done = Counter(jobs.states().values())["done"]
    _say(f"Sources: {', '.join(plan.sources)}")
    what = f"{len(plan.networks)} networks" + (f", {len(plan.localisers)} localisers" if plan.localisers else "")
    _say(f"{what}: {len(jobs.jobs)} jobs, {done} done already, in {output}")


def _publish(plan: Plan, jobs: JobList, output: Path) -> int:
    """Gather what has been scored, and say what has not."""
    rows = collect_rows(output / "runs", plan.networks)
    remarks = missing_scores(rows, plan.networks)
    tables = publish_study(rows, _about(plan, output), _protocols(plan), output / "results", remarks)
    for table in tables:
        console.print(_terminal_table(table))
    for remark in remarks:
        _say(remark, style="red")
    _say(f"Tables, plots and report.html: {output / 'results'}")
    states, blocked = jobs.states(), jobs.blocked()
    missing = [name for name, state in states.items() if state == "failed" or name in blocked]
    if missing:
        _say(f"Failed, or in want of what failed: {', '.join(missing)}", style="red")
    return 1 if missing else 0


def _protocols(plan: Plan) -> dict[str, str]:
    """One sentence for each protocol."""
    # Where the recipe looks at the whole field or picture, both protocols see one square: no disc is asked for.
    found = true = _SQUARES.get(plan.recipe["data"].get("roi", ""), "")
    if not found:
        true = "cut around the labelled disc, which use does not have"
        trained = f"one localiser for all networks, trained on other patients of {', '.join(plan.localised)}"
        found = f"cut around the disc found by {trained if plan.localisers else 'the network in the whole picture'}"
    squares = {AUTOMATIC_ROI: found, GROUND_TRUTH_ROI: true}
    return {name: text.format(name=name, where=squares[name]) for name, text in _PROTOCOLS.items()}


def _about(plan: Plan, output: Path) -> dict[str, Any]:
    """What is needed to judge and repeat the tables."""
    about: dict[str, Any] = {"fundusseg": __version__, "torch": version("torch"), "python": sys.version.split()[0]}
    run = sorted({training.fold for training in plan.networks})
    splits = {fold: Split.load(output / "splits" / f"fold{fold}.json") for fold in run}
    about["folds"] = f"{plan.folds}, run: {_listed(run)}"
    about["seeds"] = _listed(sorted({training.seed for training in plan.networks}))
    for fold, split in splits.items():
        about[f"fold {fold}"] = f"{split.protocol}; sha256 {split.digest}"
        for subset in SUBSETS:
            counts = Counter(key.partition("/")[0] for key in split.keys(subset))
            about[f"fold {fold}, {subset} pictures"] = ", ".join(f"{source} {n}" for source, n in counts.items())
        if split.dropped:
            about[f"fold {fold}, left out as shown twice"] = ", ".join(split.dropped)
    network = (plan.recipe.get("model") or {}).get("model", "the default")
    about["network"] = network["class_path"] if isinstance(network, dict) else network
    about["localiser trained on"] = ", ".join(plan.localised) or "no localiser"
    data, trainer = plan.recipe["data"], plan.recipe.get("trainer", {})
    for name, value in {**data, **trainer}.items():
        # Where this machine keeps its data says nothing about the results.
        if isinstance(value, str | int | float) and name != "root":
            about[name] = value
    return about


def _say(text: str, style: str | None = None) -> None:
    """Print a line as it is: the names of sources and folders may hold brackets."""
    console.print(text, style=style, soft_wrap=True, markup=False, highlight=False)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _terminal_table(table: CrossTable) -> Table:
    """A table for the terminal."""
    rows = [
        [name, *(f"{value_text(cell)}{'*' if cell.worse else ''}\n{cell_notes(cell)}" for cell in cells)]
        for name, cells in table.lines
    ]
    return terminal_table(["Trained on", *table.sources], rows, f"{table.metric.title}, protocol {table.protocol}")


if __name__ == "__main__":
    run(main)
