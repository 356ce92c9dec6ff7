"""Prepared samples as torch datasets: the batch's one form, for any subset and any stored variant."""

from collections.abc import Sequence
from typing import NotRequired, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fundusseg.data.augmentation import Augmentation
from fundusseg.data.sampling import Draw
from fundusseg.data.store import PreparedStore
from fundusseg.sample import Image

AS_IT_IS = np.zeros(1, dtype=np.int64)
"""One repeat, of the picture as it is."""


class Batch(TypedDict):
    """What the network is fed; shapes never change within a run."""

    image: Tensor
    """uint8 (B, 3, S, S), RGB."""
    target: Tensor
    """uint8 (B, R, S, S), 0..255 for 0..1."""
    valid: Tensor
    """bool (B, R): region labelled in this sample."""
    weight: Tensor
    """float32 (B,): 0 for a sample that only pads the last evaluation batch."""
    source: Tensor
    """int64 (B,): index into the data module's sources."""
    index: Tensor
    """int64 (B,): index into the data module's records."""
    pixel_weight: NotRequired[Tensor]
    """uint8 (B, R, S, S), in multiples of `border_weights.STEP`; where the data module was asked for border weights."""


class MergedStore:
    """The stores of all datasets as one, in the order of the data module's records."""

    def __init__(self, stores: Sequence[PreparedStore]) -> None:
        self.stores = list(stores)
        self.sources = np.repeat(np.arange(len(stores)), [len(store) for store in stores])
        self.within = np.concatenate([np.arange(len(store)) for store in stores])
        self.hashes = np.concatenate([store.hashes for store in stores])
        self.identities = [identity for store in stores for identity in store.identities]
        self.doubts = [found for store in stores for found in store.doubts]

    def image(self, index: int, variant: int = 0) -> Image:
        """S x S x 3 uint8, of its own memory."""
        return np.array(self.stores[self.sources[index]].images[self.within[index], variant])

    def view(self, index: int) -> Image:
        """The picture at the size at which pictures are compared, uint8 RGB, of its own memory."""
        return np.array(self.stores[self.sources[index]].views[self.within[index]])

    def target(self, index: int, scored: bool) -> Image:
        """S x S x R uint8, of its own memory: what is scored against, or what is learnt."""
        store = self.stores[self.sources[index]]
        return np.array((store.truths if scored else store.targets)[self.within[index]])

    def borders(self, index: int) -> Image | None:
        """S x S x R uint8, of its own memory: pixel weights, where they are stored."""
        stored = self.stores[self.sources[index]].borders
        return None if stored is None else np.array(stored[self.within[index]])

    def valid(self, index: int) -> npt.NDArray[np.bool_]:
        """R bool."""
        return np.array(self.stores[self.sources[index]].valid[self.within[index]])


class PreparedDataset(Dataset[Batch]):
    """One subset, every sample in each of its repeats.

    Args:
        store: Of all datasets.
        indices: The records of this subset.
        augmentation: What each sample goes through.
        repeats: The stored variant that each repeat of a sample shows.
        scored: Whether the target is what is scored against, not what is learnt.
    """

    def __init__(
        self,
        store: MergedStore,
        indices: Sequence[int],
        augmentation: Augmentation,
        repeats: npt.NDArray[np.int64],
        scored: bool,
    ) -> None:
        self.store, self.augmentation, self.scored = store, augmentation, scored
        # Indices a a b b beside variants 0 1 0 1: a sample's repeats follow each other.
        self.indices = np.repeat(np.asarray(indices, dtype=np.int64), len(repeats))
        self.variants = np.tile(repeats, len(indices))
        self.sample_sources = store.sources[self.indices]
        # Made once: three tensors of a number each took 9 us a picture.
        self._labels = torch.from_numpy(np.stack([self.sample_sources, self.indices]).astype(np.int64))
        self._weight = torch.tensor(1.0)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, draw: Draw | int) -> Batch:
        position, seed = draw if isinstance(draw, tuple) else (draw, 0)
        index = int(self.indices[position])
        picture = self.store.image(index, int(self.variants[position]))
        target, borders = self.store.target(index, self.scored), self.store.borders(index)
        # Weights go as further channels of the target: augmented as it is, and 0 beyond the picture's edge.
        maps = target if borders is None else np.concatenate([target, borders], 2)
        image, planes = self.augmentation(picture, maps, seed)
        batch = Batch(
            image=image,
            target=planes[: target.shape[2]],
            valid=torch.from_numpy(self.store.valid(index)),
            weight=self._weight,
            source=self._labels[0, position],
            index=self._labels[1, position],
        )
        if borders is not None:
            batch["pixel_weight"] = planes[target.shape[2] :]
        return batch


class PaddedDataset(Dataset[Batch]):
    """A dataset whose length is a multiple of the batch; what was added weighs nothing."""

    def __init__(self, dataset: PreparedDataset, multiple: int) -> None:
        self.dataset = dataset
        self.length = -(-len(dataset) // multiple) * multiple

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> Batch:
        if position < len(self.dataset):
            return self.dataset[position]
        return {**self.dataset[len(self.dataset) - 1], "weight": torch.tensor(0.0)}
