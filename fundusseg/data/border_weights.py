"""The weight of each pixel in the loss after the original U-Net: rare classes, and narrow gaps between objects."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from fundusseg.errors import ConfigurationError
from fundusseg.sample import Image

STEP = 1 / 16
"""Weights are stored as uint8 multiples of this, so that they are augmented and travel like a mask; 15.9 at most."""

Objects = Literal["region", "background"]


class BorderWeights:
    """Weight map ``w(x) = w_c(x) + w0 exp(-(d1(x) + d2(x))^2 / (2 sigma^2))``.

    Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597, equation 2. ``d1`` and ``d2`` are the distances to the
    borders of the nearest and of the second nearest object, in pixels of the prepared picture; a picture of one
    object has no gap. ``w_c`` balances the classes: half of the picture's pixels over those of the pixel's class.

    Args:
        w0: Weight of a gap of no width, 0 or more.
        sigma: How far it reaches, in pixels; above 0.
        objects: Whose connected parts are the objects: the region's, or the background's, as where the region is the
            membrane between cells.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, w0: float = 10.0, sigma: float = 5.0, objects: Objects = "region") -> None:
        self.w0, self.sigma, self.objects = w0, sigma, objects
        if not (w0 >= 0 and sigma > 0 and objects in get_args(Objects)):
            raise ConfigurationError(
                f"border weights of w0 {w0}, sigma {sigma}, objects {objects!r}",
                f"w0 from 0 up, sigma above 0, objects one of {list(get_args(Objects))}",
                "change --data.border_weights",
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the stored weights."""
        return vars(self)

    def __call__(self, target: Image) -> Image:
        """Weights of one sample.

        Args:
            target: S x S x R uint8; above 127 is the region.

        Returns:
            S x S x R uint8, in multiples of `STEP`.
        """
        weights = [self._weigh(target[..., channel] > 127) for channel in range(target.shape[2])]
        return np.asarray((np.stack(weights, 2) / STEP).round().clip(0, 255), dtype=np.uint8)

    def _weigh(self, region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        nearest, second = self._distances(region if self.objects == "region" else ~region)
        gap = self.w0 * np.exp(-((nearest + second) ** 2) / (2 * self.sigma**2))
        return np.asarray(balance(region) + gap)

    def _distances(self, objects: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Distances to the borders of the nearest and the second nearest object; infinite where they do not matter."""
        # Where the two distances come to 4 sigma a gap has exp(-8) of its weight left.
        reach = int(np.ceil(4 * self.sigma))
        labels, count = ndimage.label(objects)
        nearest, second = np.full((2, *objects.shape), np.inf)
        for number, box in enumerate(ndimage.find_objects(labels, count), start=1):
            window = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
            inside = labels[window] == number
            # Of the two transforms one is 0 at every pixel; the border runs half a pixel outside either.
            distance = ndimage.distance_transform_edt(inside) + ndimage.distance_transform_edt(~inside) - 0.5
            # The second before the nearest: it is made from the nearest of the objects so far.
            second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
            nearest[window] = np.minimum(nearest[window], distance)
        return nearest, second


def balance(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Half of all pixels over those of each pixel's class: 1 in the mean, and 1 everywhere in a picture of one class.

    Args:
        region: H x W.
    """
    share = float(region.mean())
    if share in (0, 1):
        return np.ones(region.shape)
    weights: npt.NDArray[np.float64] = np.where(region, 0.5 / share, 0.5 / (1 - share))
    return weights
