"""Merges datasets, splits them by patient, and gives batches of one fixed shape.

A sample's way to a batch, and the file of each step::

    dataset       datasets/<name>.py        finds files, decodes picture and experts' masks  -> Sample, native size
    preparation   data/preparation.py       fuses experts, cuts the square, resizes          -> Prepared, S x S
                  data/static_variants.py, border_weights.py   what is stored beside it
    store         data/store.py             memory-mapped uint8, made once                   -> PreparedStore
    split         data/splits.py            train, val and test by patient
                  data/split_checks.py     refuses, or leaves out, a photograph in two sources or subsets
    sample index  data/sampling.py          what comes when, decided by seed and epoch (ratio_balance.py: how often)
    augmentation  data/augmentation.py      random, of image and target together             -> uint8 tensors
    batch         data/torch_datasets.py    one fixed shape (device_resident.py: drawn on the device) -> Batch
"""

import math
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from fundusseg.data.augmentation import Augmentation
from fundusseg.data.border_weights import BorderWeights
from fundusseg.data.device_resident import ResidentDataset, ResidentSet, check_augmentation
from fundusseg.data.earlier_training import EarlierTraining, refuse_seen
from fundusseg.data.identity import Identity
from fundusseg.data.plausibility import Doubt, summary
from fundusseg.data.preparation import Preparation
from fundusseg.data.ratio_balance import check_balance, ratio_odds
from fundusseg.data.sampling import SourceSampler, position
from fundusseg.data.split_checks import refuse_same_eyes, shared_photographs
from fundusseg.data.splits import SUBSETS, Split, SplitBy, draw_split
from fundusseg.data.static_variants import Variants
from fundusseg.data.store import PreparedStore, Visitor, Watch, unwatched
from fundusseg.data.torch_datasets import AS_IT_IS, MergedStore, PaddedDataset, PreparedDataset
from fundusseg.datasets import Phantom
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError, DatasetError
from fundusseg.sample import Record, Subset


class FundusDataModule(LightningDataModule):
    """Any datasets as one, split by patient.

    Args:
        datasets: The readers to merge; each by ``class_path``. Two of one source are refused.
        root: Folder below which the readers' relative roots are taken.
        border_weights: Weight of each pixel, stored, for a loss that takes it; None for none.
        batch_size: Samples in every batch, of all processes together: each takes an equal share.
        source_weights: Share of each source in an epoch, by name; a source that is not named has weight 1. None takes
            each by the number of its samples.
        balance_ratios: Within each source, draw eyes of rare vertical cup/disc ratios more often; needs disc and cup.
        samples_per_epoch: Draws in an epoch; None takes as many as there are training samples.
        variants: Static augmentation: stored variants of each training picture, and their turns in an epoch.
        train_augmentation: None takes flips, rotation, scale, shift and colour.
        eval_augmentation: For validation and test; None leaves the pictures as they are.
        split: JSON file of a former run, which says itself what it was split by; None draws a split.
        split_by: What is never in two subsets: a patient; or only an image, as in many published tables, so that
            images of one patient may be in several. Every table says which.
        val_share: Share of the patients that are not tested, for choosing the model.
        test_share: Share of all patients to test on, where the publisher set none apart.
        folds: Number of cross-validation folds; the publishers' division is then put aside.
        fold: Which fold is tested.
        test_sources: Sources that are tested whole, and nobody of the others (leave one source out).
        drop_duplicates_from: Near-identical pictures in two sources or two subsets are refused, unless one of them is
            of a source named here: that one is left out, and of two subsets, all pictures of its patient.
        seed: Of the split and of every random choice in the data.
        num_workers: Worker processes; None takes none on a CPU, where they would take the network's cores.
        cache_dir: Where prepared samples are kept; None takes the user's cache folder.
        device_resident: Put the prepared set into the device's memory once; the host then only says what to draw.
            Training pictures are flipped there, unless ``train_augmentation`` is an empty one.
        preparation: Arguments of `Preparation`, as they are; the command line lists them beside these.
    """

    def __init__(
        self,
        datasets: list[FundusDataset] | None = None,
        root: str = ".",
        border_weights: BorderWeights | None = None,
        batch_size: int = 16,
        source_weights: dict[str, float] | None = None,
        balance_ratios: bool = False,
        samples_per_epoch: int | None = None,
        variants: Variants | None = None,
        train_augmentation: Augmentation | None = None,
        eval_augmentation: Augmentation | None = None,
        split: str | None = None,
        split_by: SplitBy = "patient",
        val_share: float = 0.15,
        test_share: float = 0.2,
        folds: int | None = None,
        fold: int = 0,
        test_sources: Sequence[str] = (),
        drop_duplicates_from: Sequence[str] = (),
        seed: int = 0,
        num_workers: int | None = None,
        cache_dir: str | None = None,
        device_resident: bool = False,
        **preparation: Any,
    ) -> None:
        super().__init__()
        self.datasets = [d.under(root) for d in ([Phantom()] if datasets is None else datasets)]
        self.preparation = Preparation(**preparation)
        self.border_weights = border_weights
        self.batch_size = batch_size
        self.balance_ratios = balance_ratios
        self.samples_per_epoch = samples_per_epoch
        self.variants = variants or Variants()
        self.flips = train_augmentation is None
        self.device_resident = device_resident
        if device_resident:
            check_augmentation(train_augmentation)
            train_augmentation = Augmentation()
        self.train_augmentation = train_augmentation or Augmentation.standard()
        self.eval_augmentation = eval_augmentation or Augmentation()
        self.seed = seed
        self.num_workers = num_workers
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.weights = _weights(self.sources, source_weights)
        self.drop_duplicates_from = tuple(drop_duplicates_from)
        shares = {"val": val_share, "test": test_share, "folds": folds, "fold": fold, "test_sources": test_sources}
        self.split = self._split(split, {**shares, "by": split_by})
        self.earlier: EarlierTraining | None = None
        """What the network was trained on before, where it does not start from nothing; set before `setup`."""
        self.doubts: list[tuple[Doubt, ...]] = []
        self.subsets: dict[Subset, PreparedDataset] = {}
        self.watch: Watch = unwatched
        """Shows how far the making of a store is."""
        self._identities: dict[str, Identity] = {}
        self._resident: dict[Subset, ResidentSet] = {}
        self._position = (0, 0)
        self._check()

    @cached_property
    def sources(self) -> dict[str, str]:
        """Licence of every source, in the order that ``batch["source"]`` counts in."""
        sources: dict[str, str] = {}
        for dataset in self.datasets:
            if dataset.source in sources:
                raise ConfigurationError(
                    f"two datasets of source {dataset.source!r}",
                    "each source once",
                    "give one of them another name",
                )
            sources[dataset.source] = dataset.licence
        return sources

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Of all datasets, in their order."""
        return tuple(record for dataset in self.datasets for record in dataset.records)

    def _check(self) -> None:
        refuse_same_eyes(self.datasets)
        if self.balance_ratios:
            check_balance(self.preparation.regions, self.records)
        for name, value, least, most in (
            ("batch_size", self.batch_size, 1, math.inf),
            # All draws of an epoch are made at once.
            ("samples_per_epoch", self.samples_per_epoch, 1, 100_000_000),
            ("num_workers", self.num_workers, 0, math.inf),
            ("seed", self.seed, 0, math.inf),
        ):
            if value is not None and not least <= value <= most:
                limits = f"at least {least}" if most == math.inf else f"{least} to {most:,}"
                raise ConfigurationError(f"{name} {value}", limits, f"change --data.{name}")
        if unknown := sorted(set(self.drop_duplicates_from) - set(self.sources)):
            raise ConfigurationError(
                f"drop_duplicates_from {unknown}", f"some of {list(self.sources)}", "change --data.drop_duplicates_from"
            )
        labelled = {region for record in self.records for region in record.regions}
        if nowhere := [region for region in self.preparation.regions if region not in labelled]:
            raise ConfigurationError(
                f"regions {nowhere} that no dataset labels", f"some of {sorted(labelled)}", "change --data.regions"
            )

    def _split(self, path: str | None, shares: dict[str, Any]) -> Split:
        if path is None:
            return draw_split(self.records, seed=self.seed, **shares)
        split = Split.load(path)
        split.check(self.records)
        return split

    def prepare_data(self) -> None:
        """Make the stores of prepared samples, in one process."""
        self.open_stores()

    def open_stores(self, visit: Visitor | None = None) -> list[PreparedStore]:
        """Open every dataset's store, making it where it does not exist.

        Args:
            visit: Shown every sample; see `PreparedStore.build`.
        """
        settings = (self.preparation, self.cache_dir, self.variants, visit, self.border_weights, self.watch)
        return [PreparedStore.build(dataset, *settings) for dataset in self.datasets]

    def setup(self, stage: str | None = None) -> None:
        """Open the stores, refuse what is there twice, and divide the samples.

        Raises:
            DatasetError: A split's files have changed, or near-identical pictures stand in two sources or subsets.
        """
        if self.subsets:  # a stage before this one has done it
            return
        store = MergedStore(self.open_stores())
        self.doubts = store.doubts
        self._identities = identities = self.identities(store)
        self.split.check_files({key: identity.files for key, identity in identities.items()})
        if self.earlier is not None:
            self.split = self.earlier.apply(self.split, self.records, identities)
            self.split.check(self.records)
        self.split = self.split.identified(identities)
        # Last: which pair of photographs matters follows from the subsets, which an earlier training may have moved.
        self.split = self.split.without(shared_photographs(store, self.records, self.split, self.drop_duplicates_from))
        positions = {record.key: index for index, record in enumerate(self.records)}
        self.subsets = {
            subset: PreparedDataset(
                store,
                [positions[key] for key in self.split.keys(subset)],
                self.train_augmentation if subset == "train" else self.eval_augmentation,
                self.variants.repeats if subset == "train" else AS_IT_IS,
                scored=subset != "train",
            )
            for subset in SUBSETS
        }

    def refuse_seen(self, earlier: Sequence[Split], subsets: Sequence[Subset]) -> None:
        """Refuse to score a network on what it has seen; after `setup`.

        Args:
            earlier: What it was trained and chosen on.
            subsets: What it is validated or tested on.

        Raises:
            DatasetError: As `fundusseg.data.earlier_training.refuse_seen`.
        """
        mine = self.split.anonymous()
        for split in earlier:
            if split.anonymous() != mine:
                refuse_seen(self.split, split, self.records, self._identities, subsets)

    def doubtful(self) -> list[str]:
        """One line for each source whose labels are doubtful in part; known after `setup`."""
        found = list(zip(self.records, self.doubts, strict=bool(self.doubts)))
        of_source = {source: [doubts for record, doubts in found if record.source == source] for source in self.sources}
        return [line for source, doubts in of_source.items() if (line := summary(source, doubts))]

    def identities(self, store: MergedStore) -> dict[str, Identity]:
        """What each picture is recognised by, by key."""
        return {record.key: identity for record, identity in zip(self.records, store.identities, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """Where in the data a training stands, for its checkpoints."""
        return {"position": position(self.trainer)} if self.trainer is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let a training that resumes go on with the data it has not seen in its epoch."""
        if self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            self._position = state_dict["position"]

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled and augmented batches; an incomplete last one is dropped."""
        dataset = self._subset("train")
        rank, processes, batch = self._process()
        odds = ratio_odds(dataset, self.preparation.regions) if self.balance_ratios else None
        drawn = (self.seed, self.samples_per_epoch, processes, rank, odds)
        sampler = SourceSampler(dataset.sample_sources, self.weights, *drawn)
        # Taken once: the loader of the next epoch begins at its start.
        (epoch, batches), self._position = self._position, (0, 0)
        sampler.resume(epoch, batches * batch)
        if len(sampler) < batch:
            raise ConfigurationError(
                f"{len(sampler)} training samples for batches of {self.batch_size}",
                "at least one whole batch in an epoch",
                "lower --data.batch_size or raise --data.samples_per_epoch",
            )
        if self.device_resident:
            return self._resident_loader("train", ResidentDataset(dataset, self.flips), sampler=sampler, drop_last=True)
        return self._loader(dataset, sampler=sampler, drop_last=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Every validation sample once, the last batch padded with samples of weight 0."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Every test sample once, the last batch padded with samples of weight 0."""
        return self._evaluation_loader("test")

    def _evaluation_loader(self, subset: Subset) -> DataLoader[Any]:
        # Padded to whole batches for every process: all must make as many steps, of one shape.
        rank, processes, batch = self._process()
        if self.device_resident:
            draws = ResidentDataset(self._subset(subset), multiple=batch * processes)
            return self._resident_loader(
                subset, draws, sampler=DistributedSampler(draws, processes, rank, shuffle=False)
            )
        dataset = PaddedDataset(self._subset(subset), batch * processes)
        return self._loader(dataset, sampler=DistributedSampler(dataset, processes, rank, shuffle=False))

    def _resident_loader(self, subset: Subset, draws: ResidentDataset, **options: Any) -> DataLoader[Any]:
        """Batches of one entry, ``{subset: draws}``, that `on_after_batch_transfer` makes whole."""
        if subset not in self._resident:
            device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
            self._resident[subset] = ResidentSet(draws, device)
        return self._loader(draws, workers=0, collate_fn=lambda rows: {subset: torch.stack(rows)}, **options)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Draw from what lies on the device, where the batch only says what."""
        # A batch of several entries is whole already: its subset is not resident.
        (name, draws), *more = batch.items()
        return batch if more else self._resident[name].batch(draws)

    def _subset(self, subset: Subset) -> "PreparedDataset":
        dataset = self.subsets[subset]
        if not len(dataset):
            raise DatasetError(
                f"no {subset} sample among {len(self.records)} pictures",
                "at least one patient in each of train, val and test",
                "add data, or change --data.val_share and --data.test_share",
            )
        return dataset

    def _process(self) -> tuple[int, int, int]:
        """Which process this is, of how many, and the samples that it reads for each batch."""
        if self.trainer is None:
            return 0, 1, self.batch_size
        if share := getattr(self.trainer.strategy, "share", None):
            # One program over several hosts: each reads its share of the one global batch.
            return share[0], share[1], self.batch_size // share[1]
        processes = self.trainer.world_size
        if self.batch_size % processes:
            raise ConfigurationError(
                f"a batch of {self.batch_size} for {processes} processes",
                "one that they can share equally: batch_size is that of all of them",
                f"set --data.batch_size to a multiple of {processes}",
            )
        return self.trainer.global_rank, processes, self.batch_size // processes

    def _loader(self, dataset: Dataset[Any], workers: int | None = None, **options: Any) -> DataLoader[Any]:
        workers = self.num_workers if workers is None else workers
        device = self.trainer.strategy.root_device.type if self.trainer is not None else "cpu"
        if workers is None:
            on_host = device == "cpu" or (device == "xla" and os.environ.get("PJRT_DEVICE") == "CPU")
            workers = 0 if on_host else min(8, max(1, (os.cpu_count() or 2) - 1))
        return DataLoader(
            dataset,
            batch_size=self._process()[2],
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device == "cuda",
            worker_init_fn=_start_worker,
            generator=torch.Generator().manual_seed(self.seed),  # the loader's own: no draw from the network's chance
            **options,
        )


def _weights(sources: Mapping[str, str], weights: Mapping[str, float] | None) -> list[float] | None:
    if weights is None:
        return None
    unknown = sorted(set(weights) - set(sources))
    if (
        unknown
        or any(weight < 0 for weight in weights.values())
        or not any(weights.get(source, 1.0) for source in sources)
    ):
        raise ConfigurationError(
            f"source_weights {dict(weights)}",
            f"numbers from 0 up, not all 0, for any of {list(sources)}",
            "change --data.source_weights",
        )
    return [weights.get(source, 1.0) for source in sources]


def _start_worker(worker: int) -> None:
    """A worker's arithmetic stays on its own core; signals to all processes of a job are the main one's to act on."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_heed_parent, daemon=True).start()


def _heed_parent() -> None:
    """Leave only when the main process says so."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
