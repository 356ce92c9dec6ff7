"""Prepared samples on disk, decoded once: memory-mapped, so that workers share them and memory does not grow."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple
from functools import cache, cached_property
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fundusseg.atomic_file import make_folder
from fundusseg.data.border_weights import BorderWeights
from fundusseg.data.cache_folder import clear_partial, default_folder, full_disk, note_use, partial_folder, reserve
from fundusseg.data.duplicates import VIEW, VIEW_SCALE, perceptual_hashes
from fundusseg.data.fingerprint import code_of, fingerprint
from fundusseg.data.identity import Identity, identify
from fundusseg.data.plausibility import Doubt, find_doubts
from fundusseg.data.preparation import Preparation, labelled_box
from fundusseg.data.static_variants import Variants
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError, DatasetError, FundusSegError
from fundusseg.imaging.roi import crop
from fundusseg.sample import DISC, Image, Record, Sample

_MAKERS = (
    "datasets/*.py",
    "imaging/image_files.py",
    "imaging/pixel_codes.py",
    "imaging/roi.py",
    "imaging/equalise.py",
    "data/expert_fusion.py",
    "data/preparation.py",
    "data/plausibility.py",
    "data/mask_shape.py",
    "data/static_variants.py",
    "data/border_weights.py",
    "data/duplicates.py",
    "data/identity.py",
)
"""Our files that decide what a store holds: where one of them changes, stores are made anew."""

_MAPS = ("images", "views", "targets", "truths")
_BORDERS = "borders.npy"
_IDENTITIES, _DOUBTS = "identities.json", "doubts.json"


_T = TypeVar("_T")

Visitor = Callable[[Record, Sample | FundusSegError], None]
"""Is shown every sample that is decoded, or why it could not be used."""

Watch = Callable[[str, int], AbstractContextManager[Callable[[], None]]]
"""Opened with a source and its number of pictures; gives what is called after each."""


@contextmanager
def unwatched(source: str, total: int) -> Iterator[Callable[[], None]]:
    """Show nothing."""
    yield lambda: None


class PreparedStore:
    """The prepared samples of one dataset and one preparation, in the order of the dataset's records.

    Images, views, targets, truths and borders are mapped from disk, read-only: processes share one copy in memory.

    Args:
        folder: A finished store, as `build` returns it.

    Attributes:
        images: N x V x S x S x 3 uint8; the first of the V variants is the picture as it is.
        views: N x `VIEW` x `VIEW` x 3 uint8: the same squares at the size at which pictures are compared.
        targets: N x S x S x R uint8, 0..255 for 0..1: what is learnt.
        truths: N x S x S x R uint8: what is scored against.
        borders: N x S x S x R uint8: weights in multiples of `border_weights.STEP`; None where none are stored.
        valid: N x R bool, region labelled.
        hashes: N x H uint64, perceptual hashes of each picture's view.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.valid: npt.NDArray[np.bool_] = np.load(folder / "valid.npy")
            self.hashes: npt.NDArray[np.uint64] = np.load(folder / "hashes.npy")
            self.images, self.views, self.targets, self.truths = (_map(folder / f"{name}.npy") for name in _MAPS)
            self.borders = _map(folder / _BORDERS) if (folder / _BORDERS).exists() else None
            maps = (self.images, self.views, self.targets, self.truths, self.borders)
            parts = (*maps, self.valid, self.hashes)
            whole = len({len(part) for part in parts if part is not None}) == 1
        except (OSError, ValueError, TypeError, EOFError):
            whole = False
        if not whole:
            raise self._damaged()

    # Read when they are asked for: of 100,000 pictures they take a second, and a process that only feeds wants neither.

    @cached_property
    def identities(self) -> tuple[Identity, ...]:
        """What each picture is recognised by."""
        return self._listed(_IDENTITIES, lambda digests: Identity(*digests))

    @cached_property
    def doubts(self) -> tuple[tuple[Doubt, ...], ...]:
        """What is doubtful about each picture's masks."""
        return self._listed(_DOUBTS, lambda found: tuple(Doubt(*words) for words in found))

    def _listed(self, name: str, make: Callable[[Any], _T]) -> tuple[_T, ...]:
        """One thing for each picture, from a JSON file."""
        try:
            made = tuple(map(make, json.loads((self.folder / name).read_text())))
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged() from error
        if len(made) != len(self):
            raise self._damaged()
        return made

    def _damaged(self) -> DatasetError:
        return DatasetError(
            f"a damaged store of prepared samples: {self.folder}",
            "what was written there",
            "delete it; it is made again",
        )

    def __reduce__(self) -> tuple[type["PreparedStore"], tuple[Path]]:
        """Send a worker process the folder alone: it opens maps of its own."""
        return type(self), (self.folder,)

    @classmethod
    def build(
        cls,
        dataset: FundusDataset,
        preparation: Preparation,
        parent: Path | None = None,
        variants: Variants | None = None,
        visit: Visitor | None = None,
        borders: BorderWeights | None = None,
        watch: Watch = unwatched,
    ) -> "PreparedStore":
        """Open the store of this dataset and preparation, making it first where it does not exist.

        It appears whole or not at all: it is written beside its place and renamed.

        Args:
            dataset: To be prepared.
            preparation: How.
            parent: Folder of all stores; the user's cache folder where None.
            variants: Pictures that are stored beside each one as it is.
            visit: Called for every sample, in order; every file is then decoded, even where the store exists.
            borders: How each pixel weighs in the loss; None stores no weights.
            watch: Shows how far the making is.

        Raises:
            DatasetError: Files cannot be read or prepared; the first few are named, nothing is left behind.
        """
        variants, parent = variants or Variants(), parent or default_folder()
        folder = parent / f"{dataset.source}-{store_key(dataset, preparation, variants, borders)}"
        if folder.is_dir() and visit is not None:
            for _ in _loaded(dataset, visit):
                pass
        if not folder.is_dir():
            make_folder(parent, "prepared samples", "--data.cache_dir")
            clear_partial(parent)
            with partial_folder(folder) as partial, watch(dataset.source, len(dataset)) as advance:

                def seen(record: Record, outcome: Sample | FundusSegError) -> None:
                    if visit is not None:
                        visit(record, outcome)
                    advance()

                _write(partial, dataset, preparation, variants, seen, borders)
                _publish(partial, folder)
        note_use(folder, our_code())
        return cls(folder)

    def __len__(self) -> int:
        return len(self.valid)


def store_key(
    dataset: FundusDataset, preparation: Preparation, variants: Variants, borders: BorderWeights | None
) -> str:
    """A name that changes with the files (size, time), the reader's settings and code, and what is done.

    Raises:
        ConfigurationError: A setting of the reader cannot be compared.
    """
    (module, name, code), settings = reader_settings(dataset)
    stamps = hashlib.sha256(repr([_stamps(record) for record in dataset.records]).encode()).hexdigest()
    how = [asdict(preparation), variants.settings, borders and borders.settings]
    made_by = [module, name, our_code(), code]
    return fingerprint([made_by, settings, how, stamps])


def reader_settings(dataset: FundusDataset) -> tuple[list[Any], dict[str, Any]]:
    """A reader's module, name and code, and what it was told."""
    reader = type(dataset)
    # Cached properties are results, there or not yet: what was asked before must make no difference.
    derived = {name for name in dir(reader) if isinstance(getattr(reader, name, None), cached_property)}
    settings = {key: value for key, value in vars(dataset).items() if key not in derived}
    return [reader.__module__, reader.__qualname__, code_of(reader)], settings


@cache
def our_code() -> str:
    """Digest of our files that decide what a store holds."""
    files = sorted(file for pattern in _MAKERS for file in _matches(pattern))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _matches(pattern: str) -> list[Path]:
    """Files of the package; a pattern without any would silently leave the key, and stores would go stale."""
    files = list(Path(__file__).parents[1].glob(pattern))
    if not files:
        raise ConfigurationError(
            f"no file {pattern!r} in the package", "the code that prepared samples depend on", "install it again"
        )
    return files


def _map(path: Path) -> Image:
    # A plain array over the map: numpy's memmap makes another object of itself for each picture that is read.
    mapped: Image = np.lib.format.open_memmap(path, mode="r").view(np.ndarray)
    return mapped


def _stamps(record: Record) -> list[object]:
    return [record.key, *(_stamp(file) for file in (record.image, *record.files.values()))]


def _stamp(file: Path) -> tuple[int, ...]:
    """A file's size and time, in place of its content, which would be read whole at every start."""
    try:
        status = os.stat(file)  # noqa: PTH116  a third of Path.stat's time, which 100,000 pictures feel
    except (OSError, ValueError):
        return ()
    return (status.st_size, status.st_mtime_ns) if S_ISREG(status.st_mode) else ()


def _write(
    folder: Path,
    dataset: FundusDataset,
    preparation: Preparation,
    variants: Variants,
    visit: Visitor,
    borders: BorderWeights | None,
) -> None:
    """Prepare every sample into memory-mapped files, a few at a time."""
    count, size, regions = len(dataset), preparation.image_size, len(preparation.regions)
    shapes = {
        "images.npy": (count, len(variants), size, size, 3),
        "targets.npy": (count, size, size, regions),
        "truths.npy": (count, size, size, regions),
        "views.npy": (count, VIEW, VIEW, 3),
        **({_BORDERS: (count, size, size, regions)} if borders else {}),
    }
    maps = _new(folder, shapes)
    images, targets, truths, views = (maps[f"{name}.npy"] for name in ("images", "targets", "truths", "views"))
    weights = maps.get(_BORDERS)
    valid = np.zeros((count, regions), np.bool_)
    hashes: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)] * count
    identities = [Identity("")] * count
    # One empty list repeated, whose places are set anew and never added to.
    doubts: list[list[Doubt]] = [[]] * count
    failures: list[FundusSegError] = []

    def prepare(record: Record, sample: Sample) -> None:
        # Runs in threads: each sample writes to its own place, and nothing here grows or is shared.
        position = positions[record.key]
        doubts[position] = find_doubts(sample, {DISC, *preparation.regions})
        prepared = preparation(sample)
        # Whatever the network sees, pictures are compared around the disc: a crop, and the photograph it was cut from.
        discs = sample.of(DISC)
        around = labelled_box(discs, VIEW_SCALE) if discs else prepared.box
        views[position] = view = crop(sample.image, around, VIEW)
        images[position] = variants(prepared.image)
        targets[position], truths[position], valid[position] = prepared.target, prepared.truth, prepared.valid
        hashes[position] = perceptual_hashes(view)
        identities[position] = identify(record, sample.image)
        if borders is not None and weights is not None:
            weights[position] = borders(prepared.truth)

    positions = {record.key: position for position, record in enumerate(dataset.records)}
    for _, outcome in _loaded(dataset, visit, prepare):
        if isinstance(outcome, FundusSegError):
            failures.append(outcome)
    if failures:
        raise _cannot_be_prepared(dataset, failures)
    with full_disk(folder.parent, sum(mapped.nbytes for mapped in maps.values())):
        for mapped in maps.values():
            mapped.flush()
        np.save(folder / "valid.npy", valid)
        np.save(folder / "hashes.npy", np.stack(hashes))
        (folder / _IDENTITIES).write_text(json.dumps([astuple(identity) for identity in identities]))
        (folder / _DOUBTS).write_text(json.dumps([[astuple(doubt) for doubt in found] for found in doubts]))


def _new(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, "np.memmap[Any, np.dtype[np.uint8]]"]:
    """Mapped files of uint8 by name, of which each byte has its place on the disk."""
    needed = sum(math.prod(shape) for shape in shapes.values())
    with full_disk(folder.parent, needed):
        maps = {name: np.lib.format.open_memmap(folder / name, "w+", np.uint8, shape) for name, shape in shapes.items()}
    reserve([(folder / name, mapped.offset + mapped.nbytes) for name, mapped in maps.items()], folder.parent)
    return maps


def _loaded(
    dataset: FundusDataset, visit: Visitor, use: Callable[[Record, Sample], None] | None = None
) -> Iterator[tuple[Record, Sample | FundusSegError]]:
    """Decode and use every sample in threads (decoding and resizing release the interpreter), few at a time.

    A failure takes the sample's place: one bad file never hides another.
    """

    def outcome(record: Record) -> Sample | FundusSegError:
        try:
            sample = dataset.load(record)
            if use is not None:
                use(record, sample)
        except ConfigurationError:
            raise  # not the file's fault: the same for all
        except FundusSegError as error:
            return error
        return sample

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(dataset), 4 * threads):
            chunk = dataset.records[start : start + 4 * threads]
            for record, result in zip(chunk, pool.map(outcome, chunk), strict=True):
                visit(record, result)
                yield record, result


def _cannot_be_prepared(dataset: FundusDataset, failures: list[FundusSegError]) -> FundusSegError:
    if len(failures) == 1:
        return failures[0]
    cures = "".join(f"; {cure}" for cure in [*dict.fromkeys(failure.do for failure in failures)][:3])
    shown = "; ".join(failure.got for failure in failures[:5])
    more = f"; and {len(failures) - 5} more" if len(failures) > 5 else ""
    return DatasetError(
        f"{len(failures)} of {len(dataset)} pictures of {dataset.source} that cannot be used: {shown}{more}",
        "every listed file whole and as its publisher gives it",
        f"mend or remove these files (`python -m fundusseg.prepare` lists them all){cures}",
    )


def _publish(partial: Path, folder: Path) -> None:
    """Give the finished store its name; another process that was first has made the same one."""
    # mkdtemp's folders are their owner's alone, and a cache may be shared.
    partial.chmod(0o755)
    try:
        partial.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
