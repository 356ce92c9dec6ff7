"""The two steps that can make a better bundle, the cheap one first: thresholds fitted anew, then all weights.

A fine-tuning runs at a constant rate with averaged weights, so that one which the clock ends is as good as a planned
one. Of the straight line from the champion's weights to the new ones it takes the point that `blending` chooses.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.identity import Identity
from fundusseg.data.seen_patients import KnownPictures, SeenPatients
from fundusseg.data.splits import Split
from fundusseg.datasets import Folder
from fundusseg.datasets.base import FundusDataset
from fundusseg.evaluation.cohort import identify_all
from fundusseg.evaluation.site_calibration import SiteCalibration, calibrate_site
from fundusseg.evaluation.site_eyes import OutlineReadings, SiteEye, segment_eyes
from fundusseg.inference import model_bundle
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.learning.blending import blend, on_device
from fundusseg.learning.correction_files import REHEARSAL, SITE
from fundusseg.learning.fresh_interval import fresh_interval
from fundusseg.measures.bootstrap import FEWEST
from fundusseg.models import checkpoint
from fundusseg.models.checkpoint import Description, Earlier
from fundusseg.sample import Record
from fundusseg.training.averaging import AveragedWeights
from fundusseg.training.preemption import Preemption
from fundusseg.training.run_folder import claim
from fundusseg.training.task import SegmentationTask

LOOKS = 4
"""Views where the bundle says none: their spread makes the interval."""

COVERAGE = 0.9
"""Share of the intervals that should hold the reader's ratio, where the bundle does not say."""

MOST = 400
"""Pictures of an epoch: a budget in minutes should hold several."""

DECAY = 0.98
"""Of the averaged weights: about the last 50 steps count."""

CHOOSING = 20
"""Pictures of a public source that choose, where the site has fewer: forgetting is to be seen."""


def recalibrate(champion: Path, output: Path, learnt: Folder, device: str) -> SiteCalibration | None:
    """Fit thresholds and interval to corrections, of patients that no weight has seen; None where nothing moves.

    Args:
        champion: Bundle.
        output: The new bundle; not written where no threshold is moved.
        learnt: Corrections to learn from.
        device: Where to compute.
    """
    bundle = Bundle.load(champion, device)
    own = bundle.calibration
    predictor = Predictor(bundle, views=own.views if own else LOOKS)
    eyes = [eye for eye in segment_eyes(predictor, OutlineReadings([learnt])) if isinstance(eye, SiteEye)]
    identities = {eye.record.key: eye.identity for eye in eyes}
    # Eyes that thresholds were fitted to before may be used again; those that weights have seen would be too easy.
    splits = [split for network in bundle.networks.values() for split in network.description.splits]
    seen = SeenPatients([split and replace(split, val=(), dropped=()) for split in splits])
    seen.meet([eye.record for eye in eyes], identities)
    eyes = [eye for eye in eyes if seen.mark(eye.record, eye.identity) != "patient"]
    patients = {eye.record.key: eye.record.patient_key for eye in eyes}
    if len({*patients.values()}) < FEWEST:
        return None
    coverage = own.coverage if own else COVERAGE
    found = calibrate_site(eyes, predictor.thresholds, own, predictor.views, coverage)
    if not found.fitted:
        return None
    used = Split((), tuple(patients), (), patients=patients).identified(identities)
    model_bundle.save_calibrated(champion, output, found.thresholds, found.interval, Earlier({}, used))
    return found


@dataclass(frozen=True, slots=True)
class Budget:
    """What a fine-tuning may take.

    Attributes:
        minutes: Of all segmenters together.
        epochs: At most, for each segmenter.
        rate: Of the optimiser.
        batch_size: Photographs in a step.
        share: Of the site's photographs in an epoch, 0..1; what is rehearsed is the rest.
        num_workers: Processes that read; None as `fit` has it.
        seed: Of every random choice.
    """

    minutes: float = 30.0
    epochs: int = 20
    rate: float = 1e-4
    batch_size: int = 8
    share: float = 0.3
    num_workers: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a fine-tuning learns from.

    Attributes:
        site: Corrections of patients to learn from, their parts by name of picture.
        parts: ``train`` or ``val`` by the site's name of picture.
        rehearsal: The champion's own soft outlines; None where public sources are at hand.
        public: Public sources: of these what the champion was trained on is rehearsed, and nothing else looked at.
    """

    site: Folder
    parts: dict[str, str]
    rehearsal: Folder | None
    public: Sequence[FundusDataset] = field(default=())

    @property
    def datasets(self) -> list[FundusDataset]:
        """All of them."""
        return [self.site, *([self.rehearsal] if self.rehearsal else []), *self.public]


def fine_tune(champion: Path, output: Path, lessons: Lessons, budget: Budget, device: str, work: Path) -> None:
    """Train every segmenter on from its own weights, within the budget; a stopped one is taken up where it was.

    Args:
        champion: Bundle, or a checkpoint.
        output: The new bundle.
        lessons: What it learns from.
        budget: What it may take.
        device: ``cpu``, ``cuda``, ...
        work: Folder for runs and prepared pictures.
    """
    parts = model_bundle.write_segmenters(champion, work / "champion")
    trained = [
        _fine_tune_one(part, lessons, budget, len(parts), device, work / f"segmenter-{number}")
        for number, part in enumerate(parts)
    ]
    uncalibrated = work / "uncalibrated.bundle"
    model_bundle.save_with_segmenters(champion, uncalibrated, trained)
    interval = fresh_interval(uncalibrated, lessons.site, lessons.parts, device)
    model_bundle.save_with_calibration(uncalibrated, output, interval)


def _fine_tune_one(start: Path, lessons: Lessons, budget: Budget, several: int, device: str, work: Path) -> Path:
    """One segmenter; the blend of its weights before and after."""
    done = work / "best.ckpt"
    if done.is_file():
        return done
    seed_everything(budget.seed, verbose=False)
    description, _ = checkpoint.load(start)
    data = _data_module(description, lessons, budget, work)
    task = SegmentationTask.load_from_checkpoint(
        start,
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=budget.rate),
        schedule=None,
        sources=data.sources,
        preparation=data.preparation,
    )
    latest = ModelCheckpoint(filename="last")  # the name by which `Preemption` keeps it for a process that is killed
    preemption = Preemption()
    trainer = Trainer(
        max_epochs=budget.epochs,
        max_time={"seconds": max(1, int(budget.minutes * 60 / several))},
        **on_device(device),
        logger=False,
        callbacks=[AveragedWeights(DECAY), latest, preemption],
        default_root_dir=work,
        num_sanity_val_steps=0,
        limit_val_batches=0,  # the end is taken, and `blend` looks at it
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    saved = preemption.find(trainer, task)
    if saved is None:
        claim(trainer)
    trainer.fit(task, datamodule=data, ckpt_path=saved)
    blend(start, Path(latest.best_model_path), done, data, device)
    preemption.forget(trainer)  # not before: a blend that is killed would cost the whole training
    return done


def _data_module(description: Description, lessons: Lessons, budget: Budget, work: Path) -> FundusDataModule:
    """The site's share of each epoch from the site, the rest from what is rehearsed."""
    split = training_split(description.past, lessons)
    split.save(work / "split.json")
    counts = Counter(key.split("/", 1)[0] for key in split.train)
    datasets = [dataset for dataset in lessons.datasets if dataset.source in counts]
    rehearsed = max(1, counts.total() - counts[SITE])
    weights = {source: (1 - budget.share) * count / rehearsed for source, count in counts.items()}
    weights[SITE] = budget.share
    kept = ("regions", "image_size", "roi", "roi_scale", "clahe")
    preparation: dict[str, Any] = {name: getattr(description.preparation, name) for name in kept}
    return FundusDataModule(
        datasets,
        batch_size=min(budget.batch_size, counts.total()),
        source_weights=weights if len(datasets) > 1 else None,
        samples_per_epoch=max(budget.batch_size, min(MOST, 8 * counts[SITE])) if len(datasets) > 1 else None,
        split=str(work / "split.json"),
        drop_duplicates_from=[name for name in (REHEARSAL, SITE) if name in counts],
        seed=budget.seed,
        num_workers=budget.num_workers,
        cache_dir=str(work / "cache"),
        fusion="mean",  # nested masks of a soft outline
        **preparation,
    )


def training_split(past: Sequence[Earlier], lessons: Lessons) -> Split:
    """Corrections by their patients' parts; of public sources what the champion was trained on, nothing else.

    What it was chosen on goes on choosing, of each source `CHOOSING` pictures or as many as the site has; what it has
    not seen is set apart, so that it can tell champion and challenger apart. Sources nothing is learnt from are left
    out.
    """
    splits = [training.split for training in past if training.split is not None]
    identities = identify_all(lessons.public, {digest for split in splits for digest in split.files.values()})
    trained, chosen = (KnownPictures([(split, split.keys(name)) for split in splits]) for name in ("train", "val"))
    most = max(CHOOSING, sum(part == "val" for part in lessons.parts.values()))
    subsets: dict[str, list[str]] = {"train": [], "val": [], "test": [], "dropped": []}
    patients: dict[str, str] = {}
    for dataset in lessons.datasets:
        place = {}
        for record in dataset.records:
            if dataset.source in (SITE, REHEARSAL):
                place[record.key] = lessons.parts[record.name] if dataset.source == SITE else "train"
            else:
                place[record.key] = _place(record, identities[record.key], trained, chosen)
        if dataset.source != SITE:
            _thin(place, most)
        if "train" not in place.values():
            continue
        patients |= {record.key: record.patient_key for record in dataset.records}
        for key, name in _whole_patients(place, patients).items():
            subsets[name].append(key)
    train, val, test, dropped = (tuple(keys) for keys in subsets.values())
    return Split(train, val, test, dropped, patients=patients)


def _place(record: Record, identity: Identity, trained: KnownPictures, chosen: KnownPictures) -> str:
    if trained.hold(record.key, identity):
        return "train"
    return "val" if chosen.hold(record.key, identity) else "test"


def _thin(place: dict[str, str], most: int) -> None:
    """Keep some of what chooses, spread over all."""
    keys = [key for key, name in place.items() if name == "val"]
    held = {*keys[:: max(1, -(-len(keys) // most))]}
    place |= {key: "dropped" for key in keys if key not in held}


def _whole_patients(place: dict[str, str], patients: dict[str, str]) -> dict[str, str]:
    """Leave out the pictures whose patient has another one that was seen earlier in the order train, val, test."""
    order = ("train", "val", "dropped", "test")
    first: dict[str, str] = {}
    for key, name in place.items():
        first[patients[key]] = min(name, first.get(patients[key], name), key=order.index)
    return {key: name if name == first[patients[key]] else "dropped" for key, name in place.items()}
