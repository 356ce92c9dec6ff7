"""Who is trained on which sources, and the jobs that it takes: source by source, fold by fold, seed by seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from fundusseg.data.splits import Split
from fundusseg.studies.job_list import Job

TrainedOn = Literal["each", "all", "all_but_one"]

LOCALISER = "localiser"
"""Name of the training that finds the disc."""


@dataclass(frozen=True, slots=True)
class Training:
    """One network to train.

    Attributes:
        name: What it is trained on, for people: a source, ``all`` or ``all but SOURCE``.
        sources: The same, in the order of the datasets.
        fold: Whose test patients it never sees.
        seed: Of weights and draws; the folds do not depend on it.
    """

    name: str
    sources: tuple[str, ...]
    fold: int
    seed: int

    @property
    def key(self) -> str:
        """Its name in files, which no other has."""
        return f"{quote(self.name.replace(' ', '_'), safe='')}-fold{self.fold}-seed{self.seed}"


def trainings(
    sources: Sequence[str], trained_on: Iterable[TrainedOn], folds: Sequence[int], seeds: Sequence[int]
) -> list[Training]:
    """All networks of a study, the longest trainings first, as they would hold up its end.

    Args:
        sources: Names of all sources.
        trained_on: ``each``: a network for each source; ``all``: one for all; ``all_but_one``: one without each.
            What two of them have in common is trained once.
        folds: To be run.
        seeds: Of each.
    """
    kinds = set(trained_on)
    # By what is trained on, as two kinds may ask for the same; a source's own name comes last and stays.
    sets: dict[tuple[str, ...], str] = {}
    if "all" in kinds:
        sets[tuple(sources)] = "all"
    if "all_but_one" in kinds and len(sources) > 1:
        for left_out in sources:
            sets.setdefault(tuple(source for source in sources if source != left_out), f"all but {left_out}")
    if "each" in kinds:
        for source in sources:
            sets[(source,)] = source
    # Of two that train on equally many, the order above stays: sorted is stable.
    ordered = sorted(sets, key=len, reverse=True)
    return [Training(sets[chosen], chosen, fold, seed) for fold in folds for seed in seeds for chosen in ordered]


def restrict_to_sources(split: Split, sources: Iterable[str]) -> Split:
    """A split's part in some sources; nobody changes sides."""
    kept = set(sources)

    def of(keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(key for key in keys if key.partition("/")[0] in kept)

    def part(values: Mapping[str, str]) -> dict[str, str]:
        return {key: values[key] for key in of(values)}

    return replace(
        split,
        train=of(split.train),
        val=of(split.val),
        test=of(split.test),
        dropped=of(split.dropped),
        patients=part(split.patients),
        files=part(split.files),
        pixels=part(split.pixels),
        perceptual_hashes=part(split.perceptual_hashes),
    )


def jobs(networks: Sequence[Training], localisers: Sequence[Training], trusted: Sequence[str] = ()) -> list[Job]:
    """The commands of a study: train each network, then score it on every source's test patients of its fold.

    ``{output}``, ``{root}``, ``{cache}``, ``{accelerator}``, ``{device}`` and ``{threads}`` are each machine's own.

    Args:
        networks: Segmenters.
        localisers: Their localisers, at most one for each fold.
        trusted: Packages that the recipes name, whose classes the checkpoints do.
    """
    finders = {localiser.fold: localiser for localiser in localisers}
    ordered = [*localisers, *networks]
    fits = {training.key: f"{number:04}-fit-{training.key}" for number, training in enumerate(ordered)}
    fitted = [Job(fits[training.key], _fit(training)) for training in ordered]
    scored = []
    for number, network in enumerate(networks, len(ordered)):
        finder = finders.get(network.fold)
        needs = (fits[network.key], *([fits[finder.key]] if finder else []))
        scored.append(Job(f"{number:04}-evaluate-{network.key}", _evaluate(network, finder, trusted), needs))
    return [*fitted, *scored]


def checkpoint_path(training: Training) -> str:
    """Where a training leaves its best checkpoint."""
    return f"{{output}}/runs/{training.key}/fit/checkpoints/best.ckpt"


def _fit(training: Training) -> tuple[str, ...]:
    return (
        "fundusseg.fit",  # an option and its value on a line
        *("--config", f"{{output}}/recipes/{training.key}.yaml"),
        *("--data.root", "{root}", "--data.cache_dir", "{cache}"),
        *("--data.split", f"{{output}}/splits/{training.key}.json"),
        *("--trainer.logger.init_args.save_dir", f"{{output}}/runs/{training.key}"),
        *("--accelerator", "{accelerator}"),
    )


def _evaluate(network: Training, localiser: Training | None, trusted: Sequence[str]) -> tuple[str, ...]:
    return (
        "fundusseg.evaluate",
        *("--checkpoint", checkpoint_path(network)),
        *(("--localiser", checkpoint_path(localiser)) if localiser else ()),
        *("--config", "{output}/recipes/evaluation.yaml"),
        *("--data.root", "{root}"),
        *("--data.split", f"{{output}}/splits/fold{network.fold}.json"),
        *(("--trust", *trusted) if trusted else ()),
        *("--device", "{device}", "--workers", "{threads}"),
        *("--output", f"{{output}}/runs/{network.key}/evaluation"),
    )
