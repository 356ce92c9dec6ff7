"""A study's settings, and the folder that they are laid out in: splits, recipes, jobs.

study.json     the settings, recipes included: a folder belongs to one study
splits/        who is trained on, chosen on and tested: of each fold, and of each training in it
recipes/       what each training is given
jobs.json      the jobs' commands
done/ locks/   a file for each job that is done, and one that its process holds
logs/ runs/    what the jobs say and make
results/       tables and plots
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml

from fundusseg.atomic_file import write_whole
from fundusseg.class_paths import other_packages
from fundusseg.cli import Parser
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.splits import SUBSETS, Split
from fundusseg.errors import ConfigurationError, nearest
from fundusseg.reports.files import difference
from fundusseg.sample import Region
from fundusseg.studies.job_list import JobList, done_path
from fundusseg.studies.recipes import Recipe, cut_to_sources, override, read_recipe, with_sources
from fundusseg.studies.trainings import LOCALISER, TrainedOn, Training, jobs, restrict_to_sources, trainings

_LOGGER = {
    "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
    "init_args": {"name": "", "version": "fit", "default_hp_metric": False},
}


@dataclass(frozen=True, slots=True)
class LocaliserSettings:
    """What finds the disc in a fold's photographs.

    Attributes:
        recipe: YAML file of `fit`.
        sources: What it is trained on, of the study's sources; all where None.
        overrides: What is changed in the recipe; keys may be dotted.
    """

    recipe: str
    sources: list[str] | None = None
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a study's YAML file says.

    Attributes:
        recipe: YAML file of `fit` for the segmenters; here or beside the study's file.
        sources: Of the recipe's datasets, by name; all where None.
        trained_on: Networks to train: one on each source, one on all, one on all but each.
        folds: Into how many the patients of every source are divided.
        only_folds: Which of them are run, from 0; all where None.
        seeds: Each network is trained once with each.
        overrides: What is changed in the recipe; keys may be dotted (``trainer.max_epochs``).
        localiser: What finds the disc; None looks for it in all of the picture.
    """

    recipe: str
    sources: list[str] | None = None
    trained_on: list[TrainedOn] = field(default_factory=lambda: list(get_args(TrainedOn)))
    folds: int = 5
    only_folds: list[int] | None = None
    seeds: list[int] = field(default_factory=lambda: [1])
    overrides: dict[str, Any] = field(default_factory=dict)
    localiser: LocaliserSettings | None = None

    @property
    def run_folds(self) -> list[int]:
        """The folds that are run."""
        return list(range(self.folds)) if self.only_folds is None else self.only_folds

    def check(self) -> None:
        """Refuse what is out of range.

        Raises:
            ConfigurationError: It is.
        """
        for name, values, right, expected in (
            ("sources", ["all"] if self.sources is None else self.sources, True, "some of the recipe's"),
            ("folds", [self.folds], self.folds >= 2, "2 or more"),
            ("only_folds", self.run_folds, {*self.run_folds} <= {*range(self.folds)}, "some of 0 to folds - 1"),
            ("seeds", self.seeds, all(seed >= 0 for seed in self.seeds), "numbers from 0 up"),
            ("trained_on", self.trained_on, True, "some of each, all, all_but_one"),
        ):
            if not right or not values or len(set(values)) < len(values):
                raise ConfigurationError(f"{name} {values}", f"{expected}, each once", f"correct {name} of the study")


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole study.

    Attributes:
        recipe: Of the segmenters, with every change made.
        localiser: Of the localisers likewise; None for none.
        sources: Trained and tested on, by name, in order.
        localised: Sources that the localisers are trained on.
        networks: Segmenters to be trained.
        localisers: One for each fold, or none.
        folds: Into how many the patients are divided.
    """

    recipe: Recipe
    localiser: Recipe | None
    sources: tuple[str, ...]
    localised: tuple[str, ...]
    networks: tuple[Training, ...]
    localisers: tuple[Training, ...]
    folds: int

    @classmethod
    def from_settings(cls, settings: Settings, root: str, near: Path) -> "Plan":
        """Read the recipes, and say whom to train on what.

        Args:
            settings: Of the study.
            root: Of the datasets.
            near: Folder in which recipes are looked for as well.

        Raises:
            ConfigurationError: A recipe cannot be read, or a source, fold or seed is out of range.
        """
        settings.check()
        recipe = override(read_recipe(_found(settings.recipe, near)), settings.overrides)
        _refuse_own_division(recipe)
        # A source may be a camera's or a domain's: the reader says which, so that the data module is asked.
        readers = dict(zip(data_module(recipe, root).sources, recipe["data"]["datasets"], strict=True))
        sources = _some(settings.sources, [*readers], "sources")
        localiser, localised = None, []
        if settings.localiser:
            localiser = override(read_recipe(_found(settings.localiser.recipe, near)), settings.localiser.overrides)
            localised = _some(settings.localiser.sources, sources, "localiser.sources")
        folds = settings.run_folds
        return cls(
            recipe=with_sources(recipe, {source: readers[source] for source in sources}),
            localiser=localiser,
            sources=tuple(sources),
            localised=tuple(localised),
            networks=tuple(trainings(sources, settings.trained_on, folds, settings.seeds)),
            localisers=tuple(Training(LOCALISER, tuple(localised), fold, settings.seeds[0]) for fold in folds)
            if localiser
            else (),
            folds=settings.folds,
        )

    def as_dict(self) -> dict[str, Any]:
        """What a folder belongs to, in plain types; cache, workers and devices may differ from run to run."""
        return {
            "recipe": self.recipe,
            "localiser": self.localiser,
            "sources": list(self.sources),
            "localised": list(self.localised),
            "folds": self.folds,
            "trainings": [training.key for training in (*self.localisers, *self.networks)],
        }

    def lay_out(self, output: Path, root: str, cache: Path) -> JobList:
        """Write all that the jobs take, and their list last: where it stands, everything does.

        Args:
            output: The study's folder.
            root: Of the datasets.
            cache: Of the prepared samples.

        Raises:
            ConfigurationError: The folder is another study's.
            DatasetError: The datasets cannot be read, or show a photograph twice.
        """
        self._claim(output)
        planned = jobs(self.networks, self.localisers, other_packages(_networks(self.recipe, self.localiser)))
        if not (output / "jobs.json").is_file():
            for fold in dict.fromkeys(network.fold for network in self.networks):
                data = self._data(root, cache, fold)
                data.setup()
                _write_json(output / "splits" / f"fold{fold}.json", data.split.as_dict())
                self._write_trainings(output, fold, data)
            # Of a study that an earlier version began.
            for path in (output / "queue" / "done").glob("*.json"):
                _write(done_path(output, path.stem), "")
            _write_json(output / "jobs.json", [asdict(job) for job in planned])
        return JobList(output, planned)

    def _claim(self, output: Path) -> None:
        """Write what the folder belongs to, or compare with it."""
        # Through JSON and back, as what stands in the file has gone: tuples are lists there.
        path, settings = output / "study.json", json.loads(json.dumps(self.as_dict()))
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            _write_json(path, settings)
            return
        except ValueError:
            before = {}
        if other := difference(settings, before):
            raise ConfigurationError(
                f"the folder of a study with another {other}: {output}",
                "the folder of this study, or a new one",
                "give another --output",
            )

    def _data(self, root: str, cache: Path, fold: int) -> FundusDataModule:
        """All sources, divided for a fold."""
        division = {"folds": self.folds, "fold": fold, "test_sources": []}
        return data_module(override(self.recipe, {"data": division}), root, cache)

    def _write_trainings(self, output: Path, fold: int, data: FundusDataModule) -> None:
        """Each training's recipe and part of the fold's split; and what all are tested on."""
        readers = dict(zip(data.sources, self.recipe["data"]["datasets"], strict=True))
        labelled = _labelled(data)
        for training in (*self.localisers, *self.networks):
            if training.fold != fold:
                continue
            is_localiser = training in self.localisers
            whole = self.localiser if is_localiser else self.recipe
            chosen = {source: readers[source] for source in training.sources}
            recipe = override(cut_to_sources(whole or {}, chosen, labelled), _fixed(training, is_localiser))
            _write(output / "recipes" / f"{training.key}.yaml", yaml.safe_dump(recipe, sort_keys=False))
            split = restrict_to_sources(data.split, training.sources)
            _check(split, training)
            _write_json(output / "splits" / f"{training.key}.json", split.as_dict())
        evaluation = cut_to_sources(self.recipe, readers, labelled)
        _write(output / "recipes" / "evaluation.yaml", yaml.safe_dump({"data": evaluation["data"]}, sort_keys=False))


def data_module(recipe: Recipe, root: str, cache: Path | None = None) -> FundusDataModule:
    """The data of a recipe, not read yet."""
    parser = Parser()
    parser.add_class_arguments(FundusDataModule, "data")
    # The parser writes into what it is given.
    data = {**deepcopy(recipe["data"]), "root": root, "cache_dir": None if cache is None else str(cache)}
    module: FundusDataModule = parser.instantiate(parser.parse_object({"data": data})).data
    return module


def _networks(*recipes: Recipe | None) -> list[Any]:
    """What the recipes say of their networks."""
    return [(recipe.get("model") or {}).get("model") for recipe in recipes if recipe is not None]


def _found(recipe: str, near: Path) -> Path:
    """A recipe where the command is run, or beside the study's file."""
    return Path(recipe) if Path(recipe).is_file() else near / recipe


def _refuse_own_division(recipe: Recipe) -> None:
    """Refuse what would put a picture that is tested, or its patient's other eye, into a training."""
    for name, free in (("split", None), ("split_by", "patient")):
        if (value := recipe["data"].get(name, free)) != free:
            raise ConfigurationError(
                f"a recipe whose data.{name} is {value!r}",
                "one without, as a study divides the patients into folds itself",
                f"override it with --overrides.data.{name}={'null' if free is None else free}",
            )


def _some(wanted: Sequence[str] | None, known: Sequence[str], name: str) -> list[str]:
    """What is wanted of the known, in their order."""
    if unknown := next((source for source in wanted or () if source not in known), None):
        raise ConfigurationError(
            f"source {unknown!r} in {name}", f"one such as {nearest(unknown, known)}", "correct it"
        )
    return [source for source in known if wanted is None or source in wanted]


def _fixed(training: Training, localiser: bool) -> Recipe:
    """What the study decides in every recipe; a localiser keeps the seed that its own says."""
    fixed = {
        "trainer": {"logger": _LOGGER, "enable_progress_bar": False},
        # A killed training starts anew in the same place.
        "checkpoint": {"enable_version_counter": False},
    }
    seeded = {"seed_everything": training.seed, "data": {"seed": training.seed}}
    return fixed if localiser else {**fixed, **seeded}


def _labelled(data: FundusDataModule) -> dict[str, set[Region]]:
    """Regions that each source labels."""
    labelled: dict[str, set[Region]] = {source: set() for source in data.sources}
    for record in data.records:
        labelled[record.source] |= set(record.regions)
    return labelled


def _check(split: Split, training: Training) -> None:
    """Refuse now what would fail when it is trained."""
    for subset in SUBSETS:
        if not split.keys(subset):
            raise ConfigurationError(
                f"no {subset} picture of {training.name} in fold {training.fold}",
                "patients in all three subsets of every training",
                "use fewer folds, a larger val_share, or leave the source out",
            )


def _write_json(path: Path, content: Any) -> None:
    _write(path, json.dumps(content, indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    write_whole(path, text.encode())
