"""A prepared subset in the device's memory: drawn and flipped there, while the host only says what to draw."""

import os
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fundusseg.data.augmentation import Augmentation
from fundusseg.data.sampling import Draw
from fundusseg.data.torch_datasets import Batch, PreparedDataset
from fundusseg.errors import ConfigurationError

HORIZONTAL, VERTICAL = 1, 2
"""Bits of a draw's seed that decide its flips."""


class ResidentDataset(Dataset[Tensor]):
    """What the host knows of a resident subset: each draw as four numbers.

    They are the picture's row, the sample's row, the bits of its flips, and 1, or 0 where it only pads a batch.

    Args:
        dataset: The subset; its augmentation must give a sample the same picture at every draw.
        flips: Whether a draw's seed flips it.
        multiple: The length is filled up to a multiple of this with samples of weight 0.
    """

    def __init__(self, dataset: PreparedDataset, flips: bool = False, multiple: int = 1) -> None:
        self.dataset, self.flips = dataset, flips
        self.length = -(-len(dataset) // multiple) * multiple
        _, first, self.pictures = _distinct(np.stack([dataset.indices, dataset.variants], axis=1))
        self.picture_positions = first
        _, self.sample_positions, self.samples = _distinct(dataset.indices[:, None])

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, draw: Draw | int) -> Tensor:
        position, seed = draw if isinstance(draw, tuple) else (draw, 0)
        # A position beyond the end only pads: it repeats the last sample with weight 0.
        place = min(position, len(self.dataset) - 1)
        # The lowest bits of the seed are as random as its others, and a draw is always flipped alike.
        bits = seed % 4 if self.flips else 0
        return torch.tensor([self.pictures[place], self.samples[place], bits, position == place])


class ResidentSet:
    """A subset's distinct pictures and samples on a device.

    Args:
        draws: Says which they are.
        device: Where they are put, whole, now.

    Raises:
        ConfigurationError: They do not fit its free memory.
    """

    def __init__(self, draws: ResidentDataset, device: torch.device) -> None:
        dataset = draws.dataset
        _check_memory(draws, device)
        self.images = _stacked([dataset[int(p)] for p in draws.picture_positions], "image").to(device)
        samples = [dataset[int(p)] for p in draws.sample_positions]
        self.rest = {key: _stacked(samples, key).to(device) for key in samples[0] if key not in ("image", "weight")}

    def batch(self, draws: Tensor) -> Batch:
        """The batch of these draws, on the device; nothing is read back.

        Args:
            draws: int64 (B, 4), as `ResidentDataset` gives them, on the device.
        """
        pictures, samples, bits, weight = draws.unbind(1)
        parts = {"image": self.images.index_select(0, pictures)}
        parts |= {key: part.index_select(0, samples) for key, part in self.rest.items()}
        # Pictures and their targets have planes, (B, C, S, S); valid and source have none.
        flipped = {key: _flip(part, bits) if part.ndim > 2 else part for key, part in parts.items()}
        return cast(Batch, {**flipped, "weight": weight.float()})


def _flip(planes: Tensor, bits: Tensor) -> Tensor:
    """Flip those of (B, ..., S, S) that their bits say."""
    for bit, axis in ((HORIZONTAL, -1), (VERTICAL, -2)):
        # (B,) to (B, 1, ..., 1). Both are computed and one is chosen: picking rows would make shapes depend on values.
        chosen = (bits & bit).bool().reshape(-1, *[1] * (planes.ndim - 1))
        planes = torch.where(chosen, planes.flip(axis), planes)
    return planes


def _distinct(rows: np.ndarray[Any, Any]) -> tuple[Any, Any, Any]:
    """Distinct rows, where each stands first, and which of them every row is."""
    distinct, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    # NumPy 2.0 gives the inverse as N x 1.
    return distinct, first, inverse.reshape(-1)


def _stacked(items: list[Batch], key: str) -> Tensor:
    return torch.stack([cast(dict[str, Tensor], item)[key] for item in items])


def _check_memory(draws: ResidentDataset, device: torch.device) -> None:
    item = cast(dict[str, Tensor], draws.dataset[0])
    picture = item["image"].nbytes
    sample = sum(part.nbytes for part in item.values()) - picture
    needed = len(draws.picture_positions) * picture + len(draws.sample_positions) * sample
    free = free_memory(device)
    if free is not None and needed > free:
        raise ConfigurationError(
            f"a device-resident subset of {needed:,} bytes for {free:,} free bytes on {device}",
            "a prepared set that fits the device's memory",
            "leave out --data.device_resident, or lower --data.image_size or the number of variants",
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a device; None where it does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def check_augmentation(augmentation: Augmentation | None) -> None:
    """Refuse what is computed on the host.

    Raises:
        ConfigurationError: There is a transform.
    """
    if augmentation is not None and augmentation.transforms:
        names = ", ".join(type(transform).__name__ for transform in augmentation.transforms)
        raise ConfigurationError(
            f"train_augmentation of {names} beside device_resident",
            "flips (no train_augmentation) or none (an empty one): what the device does",
            "use --data.variants, or leave out one of the two",
        )
