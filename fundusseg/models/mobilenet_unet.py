"""segmentation_models_pytorch's U-Net on MobileNetV2, for inference, without that library.

It and timm, which it imports, take longer to load than a photograph takes to measure. The layers, their names and their
order are the library's, so that weights and numbers are the same to the bit.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from fundusseg.models.base import Network
from fundusseg.models.checkpoint import from_spec
from fundusseg.models.mobile_unet import STAGES, InvertedResidual, convolution
from fundusseg.plain_types import is_of

_LATER_STAGES = ((6, 160, 3, 2), (6, 320, 1, 1))
"""Those of stride 32."""

_KEPT = (1, 3, 6, 13, 18)
"""Positions whose maps the decoder takes."""

_CHANNELS = (1280, 96, 32, 24, 16, 0)
"""Of those maps from the smallest up; the picture itself is no skip."""


def network_for_inference(spec: Mapping[str, Any]) -> nn.Module:
    """The network of a checkpoint's ``class_path`` and ``init_args``, or an equal one that is quicker to load.

    Raises:
        CheckpointError: As `fundusseg.models.checkpoint.from_spec`.
    """
    match spec:
        case {
            "class_path": "fundusseg.models.SMPModel",
            "init_args": {
                "architecture": "Unet",
                "encoder": "mobilenet_v2",
                "in_channels": 3,
                "out_channels": int(regions),
                "options": {"decoder_channels": [int(), int(), int(), int(), int()] as channels, **others},
                "mean": [*mean],
                "std": [*std],
            },
        } if not others and is_of([*mean, *std], list[float]) and all(width > 0 for width in channels):
            return MobileNetUNet(regions, channels, mean, std)
        case _:
            return from_spec(spec)


class MobileNetUNet(Network):
    """U-Net (arXiv 1505.04597) on MobileNetV2 (arXiv 1801.04381), laid out as by Iakubovskii 2019.

    Args:
        out_channels: Regions; each is a logit.
        decoder_channels: Of the decoder's five steps, from the smallest map up.
        mean: Mean of the pixels scaled to 0..1, for each channel.
        std: Standard deviation of the same.
    """

    def __init__(
        self, out_channels: int, decoder_channels: Sequence[int], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__(3, out_channels, mean=mean, std=std)
        self.divisor = 32
        self.encoder = _Encoder()
        self.decoder = _Decoder(decoder_channels)
        self.segmentation_head = nn.Sequential(nn.Conv2d(decoder_channels[-1], out_channels, kernel_size=3, padding=1))


class _Encoder(nn.Module):
    """All of MobileNetV2 but its classifier."""

    def __init__(self) -> None:
        super().__init__()
        channels = 32
        self.features = nn.ModuleList([convolution(3, channels, 3, "torchvision", stride=2)])
        for expansion, width, repeats, first_stride in (*STAGES, *_LATER_STAGES):
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                self.features.append(InvertedResidual(channels, width, expansion, stride, "torchvision"))
                channels = width
        self.features.append(convolution(channels, _CHANNELS[0], 1, "torchvision"))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Maps at 1/2, 1/4, 1/8, 1/16 and 1/32 of B x 3 x S x S."""
        kept = []
        for position, layer in enumerate(self.features):
            x = layer(x)[1] if isinstance(layer, InvertedResidual) else layer(x)
            if position in _KEPT:
                kept.append(x)
        return kept


class _Decoder(nn.Module):
    """The way up to the picture's size."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        widths = pairwise((_CHANNELS[0], *channels))
        self.blocks = nn.ModuleList(
            _Block(below + skip, width) for (below, width), skip in zip(widths, _CHANNELS[1:], strict=True)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Rise from the smallest map to B x C x S x S."""
        *skips, x = features
        for block, skip in zip(self.blocks, [*reversed(skips), None], strict=True):
            x = nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(x if skip is None else torch.cat([x, skip], dim=1))  # B x (C + skip) x 2h x 2w
        return x


class _Block(nn.Module):
    """Two 3 x 3 convolutions with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _convolution(in_channels, out_channels), _convolution(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width."""
        out: Tensor = self.conv2(self.conv1(x))
        return out


def _convolution(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
