"""What U-Nets are put together from: blocks, the way down, the way up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from fundusseg.models.layers import NearestUpsample, PadBottomRight, crop_centre, make_activation
from fundusseg.models.transposed_convolution import DoublingConvolution

Padding = Literal["same", "valid"]
"""``same``: convolutions keep the size; ``valid``: each 3 x 3 convolution takes one pixel off every side."""

Up = Literal["up_conv", "transposed", "unpadded", "nearest"]
"""How a decoder doubles height and width; see ``make_up``."""


@dataclass(frozen=True)
class BlockMaker:
    """What all blocks of one U-Net have in common; see ``UNet`` for the meaning."""

    activation: str = "relu"
    batch_norm: bool = False
    residual: bool = False
    padding: Padding = "same"

    def block(self, in_channels: int, width: int, dropout: float = 0.0) -> "UNetBlock":
        """Make one block."""
        return UNetBlock(in_channels, width, self, dropout)

    def convolution(self, in_channels: int, width: int) -> list[nn.Module]:
        """A 3 x 3 convolution, its activation, and batch norm after it."""
        padding = 1 if self.padding == "same" else 0
        layers = [nn.Conv2d(in_channels, width, kernel_size=3, padding=padding), make_activation(self.activation)]
        return [*layers, nn.BatchNorm2d(width, eps=1e-3)] if self.batch_norm else layers


class UNetBlock(nn.Module):
    """Two 3 x 3 convolutions, each with activation and optional batch norm; dropout between them.

    Attributes:
        out_channels: ``width``, and ``in_channels`` more where the input is concatenated.
    """

    def __init__(self, in_channels: int, width: int, maker: BlockMaker, dropout: float) -> None:
        super().__init__()
        self.residual = maker.residual
        self.out_channels = width + in_channels * maker.residual
        layers = maker.convolution(in_channels, width)
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, *maker.convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width; without padding, lose two pixels on every side."""
        out: Tensor = self.layers(x)  # B x C x H x W -> B x width x H x W, or H - 4 x W - 4 without padding
        return torch.cat([crop_centre(x, out), out], dim=1) if self.residual else out  # B x (C + width) x ...


class UNetEncoder(nn.Module):
    """The way down.

    Args:
        in_channels: Channels of the picture.
        widths: Of the levels, from the picture down.
        blocks: Makes their blocks.
        max_pool: Pool; otherwise a strided convolution.
        dropouts: Between the two convolutions of each level's block; None for no dropout.

    Attributes:
        out_channels: Channels of each level's feature map, from the picture down.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        blocks: BlockMaker,
        max_pool: bool = True,
        dropouts: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.out_channels: list[int] = []
        self.blocks, self.downs = nn.ModuleList(), nn.ModuleList()
        for level, (width, dropout) in enumerate(zip(widths, dropouts or [0.0] * len(widths), strict=True)):
            block = blocks.block(in_channels, width, dropout)
            self.blocks.append(block)
            self.out_channels.append(block.out_channels)
            in_channels = block.out_channels if max_pool else width  # of the next level: a pooling keeps them
            if level < len(widths) - 1:
                self.downs.append(nn.MaxPool2d(2) if max_pool else _strided(block.out_channels, width))

    def append_dropout(self, probability: float, levels: int) -> None:
        """Add dropout behind the blocks of the deepest levels, so that their skips are thinned out too."""
        for block in self.blocks[-levels:]:
            cast(UNetBlock, block).layers.append(nn.Dropout(probability))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of all levels, each half as large as the one before."""
        features = [self.blocks[0](x)]  # B x C_0 x H x W
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            features.append(block(down(features[-1])))  # B x C_l x H/2^l x W/2^l
        return features


class UNetDecoder(nn.Module):
    """The way up, with the middle of the encoder's feature maps concatenated as [skip, up].

    Args:
        encoder_channels: Channels of the encoder's feature maps, from the picture down.
        widths: Of the decoder's levels, from the picture down: one fewer.
        blocks: Makes their blocks.
        up: How to double height and width.
        dropout: Between the two convolutions of every block.

    Attributes:
        out_channels: Channels of the last feature map.
    """

    def __init__(
        self,
        encoder_channels: Sequence[int],
        widths: Sequence[int],
        blocks: BlockMaker,
        up: Up = "up_conv",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        *skips, channels = encoder_channels  # the smallest map is no skip: the way up begins with it
        for skip, width in zip(reversed(skips), reversed(widths), strict=True):
            self.ups.append(make_up(channels, width, up, blocks.activation))
            # Nearest upsampling alone keeps the channels of the map below.
            block = blocks.block(skip + (channels if up == "nearest" else width), width, dropout)
            self.blocks.append(block)
            channels = block.out_channels
        self.out_channels = channels

    def forward(self, features: list[Tensor]) -> Tensor:
        """Rise from the smallest feature map to the picture's size."""
        *skips, x = features
        for up, block, skip in zip(self.ups, self.blocks, reversed(skips), strict=True):
            x = up(x)  # B x C_l+1 x h x w -> B x width x 2h x 2w
            x = block(self.join(crop_centre(skip, x), x))  # B x (skip + width) x 2h x 2w -> B x C x 2h x 2w
        return x

    def join(self, skip: Tensor, up: Tensor) -> Tensor:
        """Concatenate two maps of one size."""
        return torch.cat([skip, up], dim=1)


class UpFirstDecoder(UNetDecoder):
    """The same, concatenated as [up, skip]: weights trained so cannot be read in the other order."""

    def join(self, skip: Tensor, up: Tensor) -> Tensor:
        """Concatenate two maps of one size."""
        return torch.cat([up, skip], dim=1)


def _strided(in_channels: int, width: int) -> nn.Module:
    """Halve height and width by a 3 x 3 convolution without activation."""
    # B x C x h x w -> B x C x (h + 1) x (w + 1) -> B x width x h/2 x w/2
    return nn.Sequential(PadBottomRight(), nn.Conv2d(in_channels, width, kernel_size=3, stride=2))


def make_up(in_channels: int, width: int, up: Up, activation: str) -> nn.Module:
    """Double height and width.

    ``up_conv`` is nearest upsampling and a 2 x 2 convolution, ``transposed`` a 3 x 3 transposed convolution, both
    padded as Keras pads them; ``unpadded`` is a 2 x 2 transposed convolution, which needs no padding. Activation
    follows all three. ``nearest`` is nearest upsampling alone, and keeps the channels.
    """
    if up == "nearest":
        return NearestUpsample()
    layers: list[nn.Module]
    if up == "up_conv":
        layers = [NearestUpsample(), PadBottomRight(), nn.Conv2d(in_channels, width, kernel_size=2)]  # 2h + 1 - 1
    elif up == "transposed":
        layers = [DoublingConvolution(in_channels, width)]
    else:
        layers = [nn.ConvTranspose2d(in_channels, width, kernel_size=2, stride=2)]
    return nn.Sequential(*layers, make_activation(activation))
