"""Prepared samples on disk, decoded once: memory-mapped, so that workers share them and memory does not grow."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fundusseg.datasets.base import FundusDataset
from fundusseg.preparation import Preparation, Prepared
from fundusseg.roi import Box
from fundusseg.sample import Image, Record

VERSION = 1
"""Raise it when prepared pixels change for the same files and settings: older stores are then left aside."""

DEFAULT_FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fundusseg"


class Cache:
    """The prepared samples of one dataset and one preparation, in the order of the dataset's records.

    Args:
        folder: A finished store, as `build` returns it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._images: Image | None = None
        self._targets: Image | None = None
        self.valid: npt.NDArray[np.bool_] = np.load(folder / "valid.npy")
        self.boxes: tuple[Box, ...] = tuple(Box(*row) for row in np.load(folder / "boxes.npy").tolist())

    @classmethod
    def build(cls, dataset: FundusDataset, preparation: Preparation, parent: Path = DEFAULT_FOLDER) -> "Cache":
        """Open the store of this dataset and preparation, making it first where it does not exist.

        It appears whole or not at all: it is written beside its place and renamed.

        Raises:
            FundusSegError: A file of the dataset cannot be read or prepared; nothing is left behind.
        """
        folder = parent / f"{dataset.source}-{fingerprint(dataset, preparation)}"
        if not folder.is_dir():
            parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
            try:
                _write(partial, dataset, preparation)
                _publish(partial, folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return cls(folder)

    @property
    def images(self) -> Image:
        """N x S x S x 3 uint8, mapped from disk; opened in the process that reads it."""
        if self._images is None:
            self._images = np.load(self.folder / "images.npy", mmap_mode="r")
        return self._images

    @property
    def targets(self) -> Image:
        """N x S x S x R uint8, mapped from disk."""
        if self._targets is None:
            self._targets = np.load(self.folder / "targets.npy", mmap_mode="r")
        return self._targets

    def __getstate__(self) -> dict[str, object]:
        """Leave the maps behind when a worker process is started: it opens its own."""
        return {**self.__dict__, "_images": None, "_targets": None}

    def __len__(self) -> int:
        return len(self.valid)

    def __getitem__(self, position: int) -> Prepared:
        image, target = self.images[position], self.targets[position]
        return Prepared(image, target, self.valid[position], self.boxes[position])


def fingerprint(dataset: FundusDataset, preparation: Preparation) -> str:
    """A name that changes with the files (path, size, time), the dataset's settings, the preparation, our version."""
    settings = {key: str(value) for key, value in vars(dataset).items() if key not in ("files", "records")}
    stamps = [_stamps(record) for record in dataset.records]
    content = [VERSION, type(dataset).__qualname__, settings, asdict(preparation), stamps]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _stamps(record: Record) -> list[object]:
    files = [record.image, *record.files.values()]
    status = [file.stat() if file.is_file() else None for file in files]
    return [record.key, *([s.st_size, s.st_mtime_ns] if s else [] for s in status)]


def _write(folder: Path, dataset: FundusDataset, preparation: Preparation) -> None:
    """Prepare every sample into memory-mapped files, a few at a time."""
    count, size, regions = len(dataset), preparation.image_size, len(preparation.regions)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, (count, size, size, 3))
    targets = np.lib.format.open_memmap(folder / "targets.npy", "w+", np.uint8, (count, size, size, regions))
    valid = np.zeros((count, regions), np.bool_)
    boxes = np.zeros((count, 4), np.int64)
    for position, prepared in enumerate(_prepared(dataset, preparation, dataset.records)):
        images[position], targets[position] = prepared.image, prepared.target
        valid[position] = prepared.valid
        boxes[position] = (prepared.box.top, prepared.box.left, prepared.box.height, prepared.box.width)
    images.flush()
    targets.flush()
    np.save(folder / "valid.npy", valid)
    np.save(folder / "boxes.npy", boxes)


def _prepared(dataset: FundusDataset, preparation: Preparation, records: Sequence[Record]) -> Iterable[Prepared]:
    """Prepare in threads (decoding and resizing release the interpreter), in order, with few pictures in memory."""
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(records), 4 * threads):
            chunk = records[start : start + 4 * threads]
            yield from pool.map(lambda record: preparation(dataset.load(record)), chunk)


def _publish(partial: Path, folder: Path) -> None:
    """Give the finished store its name; another process that was first has made the same one."""
    partial.chmod(0o755)
    try:
        partial.replace(folder)
    except OSError:
        if not folder.is_dir():
            raise
