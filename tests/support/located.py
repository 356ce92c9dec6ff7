"""A whole photograph, and a localiser and a segmenter that read disc and cup off it."""

import time

import numpy as np
import torch
from torch import nn

from fundusseg.data.preparation import Preparation
from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.inference.segmenter import Segmenter
from fundusseg.models.checkpoint import Description

DISC = Ellipse(x=300.0, y=220.0, a=40.0, b=45.0, angle=0.0)
CUP = Ellipse(x=304.0, y=222.0, a=20.0, b=25.0, angle=0.0)


class Reader(nn.Module):
    """Region r is where the channels of its number are bright; it may take its time."""

    def __init__(self, channels: tuple[int, ...], seconds: float = 0.0) -> None:
        super().__init__()
        self.channels, self.seconds = list(channels), seconds

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        time.sleep(self.seconds)
        return (image[:, self.channels].float() - 160) / 10


def photograph(height: int = 600, width: int = 700, disc: Ellipse = DISC, cup: Ellipse = CUP) -> np.ndarray:
    """A reddish field on black; green rises in the disc, blue in the cup."""
    field = Ellipse(x=width / 2, y=height / 2, a=280.0, b=280.0, angle=0.0).mask((height, width))
    image = np.zeros((height, width, 3), np.uint8)
    image[field] = (180, 60, 20)
    image[..., 1] += (disc.mask((height, width)) * 150).astype(np.uint8)
    image[..., 2] += (cup.mask((height, width)) * 200).astype(np.uint8)
    return image


def segmenter(channels: tuple[int, ...], regions: tuple[str, ...], **settings) -> Segmenter:
    preparation = Preparation(regions=regions, **settings)
    thresholds = dict.fromkeys(regions, 0.5)
    return Segmenter(Reader(channels), Description("0", {}, preparation, thresholds, {}, "", None))


LOCALISER = segmenter((1,), ("disc",), image_size=128, roi="field_of_view")
BOTH = segmenter((1, 2), ("disc", "cup"), image_size=192, roi="disc")
