"""Palettes: the colours that a picture's numbers stand for (PS3.3 C.7.9)."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

_CHANNELS = ("Red", "Green", "Blue")


def through_palette(indices: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.uint8]:
    """The colours of H x W indices, H x W x 3.

    Tables of 16 bits hold colours of 8, times 256 or 257; or, as some programs write them, the 8 bits as they are.

    Raises:
        ValueError: A table is not as its descriptor says.
    """
    entries, first, _ = (int(value) for value in dataset.RedPaletteColorLookupTableDescriptor)
    entries = entries or 2**16
    if "RedPaletteColorLookupTableData" in dataset:
        tables = np.stack([_table(dataset, channel, entries) for channel in _CHANNELS], axis=-1)
    else:  # in segments, which pydicom spreads out
        ramp = np.arange(first, first + entries).astype(np.uint16)
        tables = apply_color_lut(ramp, dataset)[..., :3]
    colours = (tables if tables.max() < 256 else tables >> 8).astype(np.uint8)
    places = np.clip(indices.astype(np.int32) - first, 0, entries - 1)
    return np.ascontiguousarray(colours[places])


def _table(dataset: Dataset, channel: str, entries: int) -> npt.NDArray[np.uint16]:
    data: bytes = dataset[f"{channel}PaletteColorLookupTableData"].value
    if len(data) >= 2 * entries:
        little = dataset.original_encoding[1] is not False
        return np.frombuffer(data, "<u2" if little else ">u2", entries).astype(np.uint16)
    if len(data) < entries:
        raise ValueError(f"a palette of {len(data)} bytes for {entries} colours")
    return np.frombuffer(data, np.uint8, entries).astype(np.uint16)
