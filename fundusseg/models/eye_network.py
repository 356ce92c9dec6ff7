"""Which eye a square around the disc shows: a small network that sees the square and its mirror image."""

from typing import Any

import torch
from torch import Tensor, nn

LIT = 20 / 255
"""Brightest channel, of 1, above which a pixel belongs to the field; see `fundusseg.imaging.quality`."""

_STRIDE = 16


class EyeNetwork(nn.Module):
    """Logit that a photograph shows a right eye (OD), for squares around its disc.

    Vessel arcades and the fovea lie temporal of the disc, the vessels' trunk leaves it on its nasal side. A mirrored
    right eye is a left eye: the logit is ``f(x) - f(mirror(x))``, so that the mirror image has the same logit with the
    other sign, exactly, whatever the weights are. Depthwise separable convolutions (MobileNet, arXiv 1704.04861),
    34,000 parameters; a linear layer over all places reads where in the square something was seen.

    Light and colour of the whole field are taken out before: each channel's mean over the lit pixels is 0, and what is
    not lit, outside the field or the picture, is 0 too.

    Args:
        image_size: S, side of the squares in pixels; a multiple of 16.
        width: Channels after the first convolution.
    """

    def __init__(self, image_size: int = 128, width: int = 16) -> None:
        super().__init__()
        self.image_size, self.width = image_size, width
        places = (image_size // _STRIDE) ** 2
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=5, stride=2, padding=2, bias=False),  # S/2
            nn.BatchNorm2d(width),
            nn.ReLU(),
            _separable(width, 2 * width, stride=2),  # S/4
            _separable(2 * width, 3 * width),
            _separable(3 * width, 4 * width, stride=2),  # S/8
            _separable(4 * width, 4 * width),
            _separable(4 * width, 6 * width, stride=2),  # S/16
            _separable(6 * width, 6 * width),
        )
        self.classification_head = nn.Sequential(
            nn.Conv2d(6 * width, 24, kernel_size=1),
            nn.ReLU(),
            nn.Dropout2d(0.15),
            nn.Flatten(),
            nn.Linear(24 * places, 1),
        )

    @property
    def spec(self) -> dict[str, Any]:
        """How a checkpoint builds it again."""
        arguments = {"image_size": self.image_size, "width": self.width}
        return {"class_path": "fundusseg.models.EyeNetwork", "init_args": arguments}

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, S, S) to the logits (B, 1, 1, 1) of a right eye: a map of one place, as it is of the whole."""
        pixels = image.float() / 255
        lit = (pixels.amax(dim=1, keepdim=True) > LIT).float()
        mean = (pixels * lit).sum((2, 3), keepdim=True) / lit.sum((2, 3), keepdim=True).clamp(min=1)
        pixels = 4 * (pixels - mean) * lit
        # One batch of both sides: batch norm then has the same statistics for a picture and its mirror image.
        # Not chunk: an exported program would be bound to the example's batch.
        scores, count = self._score(torch.cat([pixels, pixels.flip(-1)])), image.shape[0]
        return (scores[:count] - scores[count:])[..., None, None]

    def _score(self, pixels: Tensor) -> Tensor:
        score: Tensor = self.classification_head(self.encoder(pixels))  # (2 B, 3, S, S) to (2 B, 1)
        return score


def _separable(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3 x 3 convolution, and a pointwise one that mixes the channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )
