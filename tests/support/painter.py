"""A network of known answer, as a checkpoint too, and a photograph for it: region r is where channel r is bright."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from fundusseg.data.preparation import Preparation
from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.models.checkpoint import KEY, Description

DISC = Ellipse(x=210.0, y=160.0, a=70.0, b=90.0, angle=0.0)
CUP = Ellipse(x=214.0, y=158.0, a=38.0, b=45.0, angle=0.0)


class Painter(nn.Module):
    """Reads its answer off the picture."""

    def __init__(self, regions: int) -> None:
        super().__init__()
        self.regions = regions
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(image.shape))
        return (image[:, : self.regions].float() - 127.5) / 10


def photograph(height: int = 400, width: int = 430) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = DISC.mask((height, width)) * np.uint8(255)
    image[..., 1] = CUP.mask((height, width)) * np.uint8(255)
    return image


def write_checkpoint(path: Path, threshold: float = 0.5, network: str = "tests.support.painter.Painter") -> str:
    """A network that reads its answer off the picture: red is disc, green is cup."""
    spec = {"class_path": network, "init_args": {"regions": 2}}
    preparation = Preparation(image_size=256, roi="picture")
    thresholds = dict.fromkeys(preparation.regions, threshold)
    description = Description("0.1", spec, preparation, thresholds, {"made": "free"}, "", None)
    torch.save({KEY: description.as_dict(), "state_dict": {}}, path)
    return str(path)
