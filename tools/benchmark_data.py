"""How fast samples reach the network, and how much memory that takes.

    python tools/benchmark_data.py
    python tools/benchmark_data.py --root PATH/TO/DRISHTI-GS --profile

Ways to feed training take turns in one run (A B C A B C ...), so that whatever else the machine does meets all of them.
Each is a torch DataLoader with collation, in one process on one thread:

- raw files: every draw decodes its files (``load`` and ``Preparation``), then goes through our augmentation.
- MONAI: prepared samples in a ``CacheDataset``, then MONAI's own random transforms; once as MONAI comes, once with
  ``set_track_meta(False)``, which its users set for speed. It is optional: ``pip install --no-deps monai``.
- our stores: and Albumentations, through ``FundusDataModule.train_dataloader``.

Equal are the pictures, the prepared pixels, the batch size and the random transforms, each with probability 0.5:
horizontal flip, vertical flip, an affine map (rotation up to 30 degrees, scale 0.8 to 1.25, shift up to 5 %,
bilinear for picture and targets, black outside), brightness (up to 20 % of white more or less), gamma 0.8 to 1.2.
All give image (B, 3, S, S), target (B, R, S, S) and valid (B, R). Each library goes its natural way: MONAI computes and
gives float32 in 0..1, ours uint8 in 0..255. Raw and ours also give weight, source and index, and seed every sample:
their batches are the same, pixel by pixel.

Memory: a fresh process feeds the same number of draws from a store of N samples and from one of 10 N. What counts is
its anonymous memory, its own alone. Pages of the mapped store are the system's, which shares them between processes
and takes them back when memory runs short; they are shown beside it.
"""

import argparse
import importlib.util
import itertools
import math
import multiprocessing
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from functools import cached_property, wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

import albumentations
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from fundusseg.data.augmentation import Affine, Augmentation
from fundusseg.data.datamodule import FundusDataModule
from fundusseg.data.sampling import Draw, SourceSampler
from fundusseg.data.torch_datasets import Batch, MergedStore, PreparedDataset
from fundusseg.datasets import DrishtiGS, Folder, FundusDataset, Phantom
from fundusseg.imaging.image_files import as_pillow, write_png
from fundusseg.sample import CUP, DISC, Annotation, Record

PROBABILITY = 0.5
ROTATION = 30.0  # degrees to either side
SCALE = (0.8, 1.25)
SHIFT, BRIGHTNESS = 0.05, 0.2  # of the side; of white
GAMMA = (0.8, 1.2)
AIM_RAW, AIM_MONAI, FLAT = 40.0, 8.0, 1.1
RAW, MONAI, MONAI_TUNED, OURS = "raw files", "MONAI CacheDataset", "MONAI, no metadata", "our stores"
TIMES = 10  # how much larger the larger data set of the memory test is

MEMORY = ("store on disk", "anonymous at start", "anonymous peak", "mapped peak")

Way = Callable[[int], Iterator[Any]]  # gives the batches of an epoch


@dataclass(frozen=True)
class Settings:
    """What one run measures."""

    image_size: int = 256  # side of the prepared pictures
    samples: int = 48  # photographs to draw
    photo_size: int = 1600  # side of the drawn photographs
    batch_size: int = 16
    rounds: int = 5  # turns of each way
    seconds: float = 3.0  # length of a turn


QUICK = Settings(image_size=64, samples=8, photo_size=256, batch_size=4, rounds=2, seconds=0.2)


class Repeated(FundusDataset):
    """The pictures of another dataset several times, each under a name of its own."""

    licence = citation = layout = "those of the dataset that is repeated"

    def __init__(self, dataset: FundusDataset, times: int) -> None:
        super().__init__(dataset.root)
        self.kind, self.times = type(dataset), times
        self.source, self.regions = f"{dataset.source}_{times}", dataset.regions

    @cached_property
    def original(self) -> FundusDataset:
        """The dataset that is repeated."""
        return self.kind(self.root)

    def index(self) -> list[Record]:
        """List every picture as often as it is repeated."""
        turns = itertools.product(range(self.times), self.original.records)
        return [replace(record, source=self.source, name=f"{record.name}-{turn}") for turn, record in turns]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """As the original does."""
        return self.original.annotate(record, shape)


class RawDataset(Dataset[Batch]):
    """The samples of a prepared subset, decoded and prepared anew at every draw."""

    def __init__(self, prepared: PreparedDataset, module: FundusDataModule) -> None:
        self.prepared, self.module = prepared, module

    def __len__(self) -> int:
        return len(self.prepared)

    def __getitem__(self, draw: Draw) -> Batch:
        position, seed = draw
        index = int(self.prepared.indices[position])
        sample = self.module.preparation(self.module.datasets[0].load(self.module.records[index]))
        image, target = self.prepared.augmentation(sample.image, sample.target, seed)
        valid, weight, source = torch.from_numpy(sample.valid), torch.tensor(1.0), torch.tensor(0)
        return Batch(image=image, target=target, valid=valid, weight=weight, source=source, index=torch.tensor(index))


class Stopwatch:
    """Time spent in watched functions, each without what other watched functions that it calls take."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, function: Callable[..., Any], label: str | None) -> Callable[..., Any]:
        """The function with a stopwatch on it; without a label it is named after its object's class."""

        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            self._inner.append(0.0)
            result = function(*args, **options)
            taken = time.perf_counter() - start
            self.seconds[label or type(args[0]).__name__] += taken - self._inner.pop()
            self._inner[-1] += taken
            return result

        return timed


def draw_photographs(root: Path, settings: Settings) -> Folder:
    """Draw phantoms as JPEG photographs and PNG masks in the layout of `Folder`."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    for sample in Phantom(count=settings.samples, size=settings.photo_size):
        name = sample.record.name
        as_pillow(sample.image).save(root / "images" / f"{name}.jpg", quality=92)
        (disc,), (cup,) = sample.of(DISC), sample.of(CUP)
        write_png(root / "masks" / f"{name}.png", disc.mask.astype(np.uint8) + cup.mask)
    return Folder(root)


def our_augmentation() -> Augmentation:
    """The random transforms in Albumentations."""
    p, linear = PROBABILITY, {"interpolation": cv2.INTER_LINEAR, "mask_interpolation": cv2.INTER_LINEAR}
    turn, shift = (-ROTATION, ROTATION), (-SHIFT, SHIFT)
    return Augmentation(
        [
            albumentations.HorizontalFlip(p=p),
            albumentations.VerticalFlip(p=p),
            Affine(rotate=turn, scale=SCALE, translate_percent=shift, **linear, p=p),
            albumentations.RandomBrightnessContrast(brightness_limit=BRIGHTNESS, contrast_limit=0, p=p),
            albumentations.RandomGamma(gamma_limit=tuple(100 * gamma for gamma in GAMMA), p=p),
        ]
    )


def open_module(dataset: FundusDataset, settings: Settings, cache: Path) -> FundusDataModule:
    """Our data module with every picture that its publisher does not test on in the training set."""
    module = FundusDataModule(
        [dataset],
        image_size=settings.image_size,
        batch_size=settings.batch_size,
        train_augmentation=our_augmentation(),
        val_share=0,
        test_share=0,
        drop_duplicates_from=[dataset.source],
        num_workers=0,
        cache_dir=str(cache),
    )
    module.setup()
    return module


def seeded(loader: DataLoader[Any]) -> Way:
    """A loader with our sampler, told the epoch as Lightning tells it."""

    def epoch(number: int) -> Iterator[Any]:
        loader.sampler.set_epoch(number)
        return iter(loader)

    return epoch


def raw_way(module: FundusDataModule) -> Way:
    """Decode at every draw, in the order and with the seeds of our own way."""
    prepared = module.subsets["train"]
    sampler = SourceSampler(prepared.sample_sources, None, module.seed)
    return seeded(DataLoader(RawDataset(prepared, module), module.batch_size, sampler=sampler, drop_last=True))


def monai_way(module: FundusDataModule, metadata: bool) -> Way:
    """MONAI's cache and random transforms over the same prepared samples."""
    import monai.transforms as mt
    from monai.data import CacheDataset, set_track_meta

    prepared, both, prob = module.subsets["train"], ["image", "target"], PROBABILITY
    shift = SHIFT * module.preparation.image_size
    ranges = {"scale_range": [(SCALE[0] - 1, SCALE[1] - 1)] * 2, "translate_range": [(-shift, shift)] * 2}
    ranges["rotate_range"] = math.radians(ROTATION)

    def load(index: int) -> dict[str, Any]:
        image, target = prepared.store.image(index), prepared.store.target(index, prepared.scored)
        planes = {"image": image.transpose(2, 0, 1), "target": target.transpose(2, 0, 1)}
        scaled = {name: plane / np.float32(255) for name, plane in planes.items()}
        return {**scaled, "valid": torch.from_numpy(prepared.store.valid(index))}

    transforms = mt.Compose(
        [
            mt.Lambda(load),
            mt.EnsureTyped(both),
            mt.RandFlipd(both, prob, spatial_axis=1),
            mt.RandFlipd(both, prob, spatial_axis=0),
            mt.RandAffined(both, prob=prob, **ranges, mode="bilinear", padding_mode="zeros"),
            mt.RandShiftIntensityd("image", offsets=BRIGHTNESS, prob=prob),
            mt.RandAdjustContrastd("image", prob, gamma=GAMMA),
        ]
    )
    transforms.set_random_state(seed=0)
    set_track_meta(metadata)
    dataset = CacheDataset(prepared.indices.tolist(), transforms, progress=False)
    loader = DataLoader(dataset, module.batch_size, shuffle=True, drop_last=True)

    def epoch(number: int) -> Iterator[Any]:
        set_track_meta(metadata)  # it holds for the whole process
        return iter(loader)

    return epoch


def rate(way: Way, seconds: float, first_epoch: int) -> float:
    """Samples per second of one turn: whole batches until the time is up."""
    start, count, taken = time.perf_counter(), 0, 0.0
    for batch in itertools.chain.from_iterable(way(epoch) for epoch in itertools.count(first_epoch)):
        count += len(batch["image"])
        if (taken := time.perf_counter() - start) >= seconds:
            break
    return count / taken


def take_turns(ways: dict[str, Way], settings: Settings) -> dict[str, list[float]]:
    """Samples per second of each way in each round."""
    for way in ways.values():
        rate(way, 0.0, 0)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(settings.rounds):
        for name, way in ways.items():
            rates[name].append(rate(way, settings.seconds, 1 + 100_000 * turn))
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """Print the rates, and round by round how many times faster ours is."""
    print(f"\n{'samples/s':24}{'min':>9}{'median':>9}{'max':>9}")
    for name, values in rates.items():
        print(_row(name, values, ",.0f"))
    print(f"\n{'ours is faster by':24}{'min':>9}{'median':>9}{'max':>9}   in each round")
    for name in [name for name in rates if name != OURS]:
        ratios = [ours / other for ours, other in zip(rates[OURS], rates[name], strict=True)]
        aim = {RAW: AIM_RAW, MONAI: AIM_MONAI}.get(name)
        verdict = f"   aim {aim:g}: {'reached' if statistics.median(ratios) >= aim else 'missed'}" if aim else ""
        print(_row(name, ratios, ".1f") + "   " + " ".join(f"{ratio:.1f}" for ratio in ratios) + verdict)


def _row(name: str, values: list[float], form: str) -> str:
    spread = (min(values), statistics.median(values), max(values))
    return f"{name:24}" + "".join(f"{value:>9{form}}" for value in spread)


def profile(module: FundusDataModule, seconds: float) -> None:
    """Print what one of our samples costs, part by part."""
    watch, loader = Stopwatch(), module.train_dataloader()
    epochs = map(seeded(loader), itertools.count())
    parts: list[tuple[Any, str, str | None]] = [
        (MergedStore, "image", "store read: picture"),
        (MergedStore, "target", "store read: target"),
        (PreparedDataset, "__getitem__", "labels"),
        (Augmentation, "__call__", "to tensors"),
        (albumentations.BaseCompose, "set_random_seed", "random state"),
        (albumentations.BaseCompose, "set_random_state", "random state"),
        (albumentations.Compose, "__call__", "Compose"),
        (albumentations.BasicTransform, "__call__", None),
        (loader, "collate_fn", "collation"),
    ]
    with ExitStack() as stack:
        for owner, name, label in parts:
            stack.enter_context(patch.object(owner, name, watch.watch(getattr(owner, name), label)))
        start, count = time.perf_counter(), 0
        while (taken := time.perf_counter() - start) < seconds:
            count += sum(len(batch["image"]) for batch in next(epochs))
    watch.seconds["sampler and loader"] = taken - sum(watch.seconds.values())
    print(f"\n{'one sample of ours':28}{'us':>8}{'share':>8}")
    for label, spent in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        print(f"{label:28}{1e6 * spent / count:>8.1f}{spent / taken:>8.0%}")
    print(f"{'in all':28}{1e6 * taken / count:>8.1f}{f'{count / taken:,.0f} samples/s':>18}")


def build_store(dataset: FundusDataset, settings: Settings, cache: Path) -> int:
    """Build what `epoch_memory` opens; size of its pictures and targets in bytes."""
    (opened,) = open_module(dataset, settings, cache).open_stores()
    return int(opened.images.nbytes + opened.targets.nbytes)


def epoch_memory(dataset: FundusDataset, settings: Settings, cache: Path, draws: int) -> tuple[int, int, int]:
    """Feed that many draws: anonymous bytes before the first batch, at most, and mapped bytes at most."""
    torch.set_num_threads(1)
    loader = open_module(dataset, settings, cache).train_dataloader()
    (before, _), epochs, way = _resident(), -(-draws // len(loader.sampler)), seeded(loader)
    own, mapped = zip(*(_resident() for epoch in range(epochs) for _ in way(epoch)), strict=True)
    return before, max(own), max(mapped)


def _resident() -> tuple[int, int]:
    """Bytes of this process in memory: its own, and those mapped from files."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    sizes = {key: 1024 * int(value.split()[0]) for key, value in (line.split(":") for line in lines)}
    return sizes["Anonymous"], sizes["Rss"] - sizes["Anonymous"]


def compare_memory(dataset: FundusDataset, settings: Settings, cache: Path) -> None:
    """Print the memory of processes that feed from a data set and from one ten times larger."""
    if not Path("/proc/self/smaps_rollup").exists():
        print("\nmemory is not measured: this system has no /proc/self/smaps_rollup")
        return
    both = [Repeated(dataset, times) for times in (1, TIMES)]
    spawn, draws = multiprocessing.get_context("spawn"), TIMES * len(dataset)
    sizes = [build_store(repeated, settings, cache) for repeated in both]
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as fresh:  # a new process for each
        fed = [fresh.submit(epoch_memory, repeated, settings, cache, draws).result() for repeated in both]
    rows = [(size, *memory) for size, memory in zip(sizes, fed, strict=True)]
    print(f"\n{'memory, MiB':24}{f'N = {len(dataset)}':>12}{f'{TIMES} N = {TIMES * len(dataset)}':>14}")
    for label, small, large in zip(MEMORY, *rows, strict=True):
        print(f"{label:24}{small / 2**20:>12.1f}{large / 2**20:>14.1f}")
    (store, _, small, _), (larger_store, _, large, _) = rows
    grown, share, ratio = large - small, (large - small) / (larger_store - store), large / small
    print(f"anonymous peak grew by {grown / 2**20:.1f} MiB ({share:.0%} of what the store grew by)")
    print(f"flat within 10 %: {'yes' if ratio <= FLAT else 'NO'} (ratio {ratio:.3f})")


def find_ways(module: FundusDataModule) -> dict[str, Way]:
    """The ways that can be measured here."""
    ways = {RAW: raw_way(module)}
    if importlib.util.find_spec("monai") is None:
        print("MONAI is skipped: it is not installed; `pip install --no-deps monai` adds it and changes nothing else.")
    else:
        ways |= {MONAI: monai_way(module, metadata=True), MONAI_TUNED: monai_way(module, metadata=False)}
    return {**ways, OURS: seeded(module.train_dataloader())}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Samples/s of three ways to feed training, and their memory.")
    parser.add_argument("--root", type=Path, help="DRISHTI-GS as unpacked; without it photographs are drawn")
    for field in fields(Settings):
        name = field.name.replace("_", "-")
        parser.add_argument(f"--{name}", type=type(field.default), default=field.default, help="default: %(default)s")
    parser.add_argument("--profile", action="store_true", help="also split the cost of one of our samples")
    parser.add_argument("--quick", action="store_true", help="few small samples, to see that everything runs")
    options = parser.parse_args()
    chosen = {field.name: getattr(options, field.name) for field in fields(Settings)}
    settings = QUICK if options.quick else Settings(**chosen)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cache, photographs = Path(folder) / "stores", Path(folder) / "photographs"
        dataset = DrishtiGS(options.root) if options.root else draw_photographs(photographs, settings)
        module = open_module(dataset, settings, cache)
        count, (height, width) = len(module.subsets["train"]), dataset[0].image.shape[:2]
        print(f"{count} photographs of {width} x {height} as {settings.image_size} x {settings.image_size}", end="; ")
        print(f"batches of {settings.batch_size}, one process, one thread, {settings.rounds} rounds")
        report(take_turns(find_ways(module), settings))
        if options.profile:
            profile(module, settings.seconds)
        compare_memory(dataset, settings, cache)


if __name__ == "__main__":
    main()
