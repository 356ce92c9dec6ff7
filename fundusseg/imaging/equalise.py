"""Adaptive histogram equalisation (CLAHE) of a photograph."""

import numpy as np

from fundusseg.sample import Image


def equalise(image: Image, clip_limit: float) -> Image:
    """Contrast-limited adaptive histogram equalisation (CLAHE) of the value in hue, saturation, value.

    Zuiderveld 1994, Graphics Gems IV, 474-485; the tiles are an eighth of the picture's sides, scikit-image's default.

    Args:
        image: H x W x 3 uint8.
        clip_limit: Share of a tile's pixels that one grey level may hold, 0..1.

    Returns:
        H x W x 3 uint8.
    """
    from skimage import exposure  # a quarter of a second, which only networks that ask for it pay

    equalised = exposure.equalize_adapthist(image, clip_limit=clip_limit)
    return np.asarray((equalised * 255).round(), dtype=np.uint8)
