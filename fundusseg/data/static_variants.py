"""Static augmentation: fixed variants of each picture, made once and stored, so that no accelerator waits for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fundusseg.errors import ConfigurationError
from fundusseg.imaging.equalise import equalise
from fundusseg.sample import Image


class Variants:
    """Which variants of a prepared picture are stored, and how often each is taken.

    The TPU U-Net of Civit-Masot et al. 2019 (doi 10.1109/ACCESS.2019.2944692) takes ``copies=16``,
    ``clahe=(0.04, 0.02)`` and ``brightness=(0.9, 1.1)``: 20 repeats of each picture.

    Args:
        copies: Repeats of the picture as it is, at least 1.
        clahe: Clip limits, 0..1, of contrast-limited adaptive histogram equalisation (Zuiderveld 1994), a repeat each.
        brightness: Factors of the value in hue, saturation, value; a repeat each.
    """

    def __init__(self, copies: int = 1, clahe: Sequence[float] = (), brightness: Sequence[float] = ()) -> None:
        self.copies, self.clahe, self.brightness = copies, tuple(clahe), tuple(brightness)
        if copies < 1 or any(not 0 < limit <= 1 for limit in clahe) or any(factor <= 0 for factor in brightness):
            raise ConfigurationError(
                f"variants of {copies} copies, clip limits {list(clahe)}, brightness factors {list(brightness)}",
                "at least 1 copy, clip limits above 0 and up to 1, factors above 0",
                "change --data.variants",
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the stored pixels."""
        return {"clahe": list(self.clahe), "brightness": list(self.brightness)}

    def __len__(self) -> int:
        """Stored pictures for each sample."""
        return 1 + len(self.clahe) + len(self.brightness)

    @property
    def repeats(self) -> npt.NDArray[np.int64]:
        """The stored variant that each repeat of a sample in an epoch shows."""
        return np.array([0] * self.copies + list(range(1, len(self))), dtype=np.int64)

    def __call__(self, image: Image) -> Image:
        """Make them.

        Args:
            image: S x S x 3 uint8.

        Returns:
            V x S x S x 3 uint8, the first as it is.
        """
        equalised = [equalise(image, limit) for limit in self.clahe]
        return np.stack([image, *equalised, *(brighten(image, factor) for factor in self.brightness)])


def brighten(image: Image, factor: float) -> Image:
    """Scale the value in hue, saturation, value; hue and saturation stay, the value ends at 255."""
    value = image.max(axis=2, keepdims=True).astype(np.float32)
    scale = np.minimum(factor, 255 / np.maximum(value, 1))
    return np.asarray((image * scale).round(), dtype=np.uint8)
