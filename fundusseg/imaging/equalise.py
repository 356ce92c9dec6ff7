"""Adaptive histogram equalisation (CLAHE) of a photograph."""

import numpy as np
from skimage import exposure

from fundusseg.sample import Image


def equalise(image: Image, clip_limit: float) -> Image:
    """Contrast-limited adaptive histogram equalisation of the value in hue, saturation, value.

    Args:
        image: H x W x 3 uint8.
        clip_limit: Share of a tile's pixels that one grey level may hold, 0..1.
    """
    equalised = exposure.equalize_adapthist(image, clip_limit=clip_limit)
    return np.asarray((equalised * 255).round(), dtype=np.uint8)
