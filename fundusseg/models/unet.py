"""The generalized U-Net: depth, width and every kind of layer are parameters."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError
from fundusseg.models.layers import (
    CropBottomRight,
    NearestUpsample,
    Network,
    PadBottomRight,
    initialise_like_keras,
    make_activation,
    require_at_least_one,
)


class UNet(Network):
    """Generalized U-Net, as used for optic disc and cup on TPUs.

    Architecture: Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597. The parameters and their meaning:
    Civit-Masot et al., IEEE Access 2019, doi 10.1109/ACCESS.2019.2944692. Convolutions keep the size ('same'
    padding, placed as Keras places it); kernels are drawn by Glorot's uniform rule and biases are zero, as in
    Keras.

    Batch norm has Keras' epsilon (0.001) but PyTorch's momentum (0.1, which Keras would call 0.9): with
    Keras' own 0.99 the running statistics of a short run lag behind the weights.

    Args:
        in_channels: Channels of the picture.
        out_channels: Regions; each is a logit, the sigmoid is the loss's.
        start_channels: Width of the first level.
        depth: Number of poolings; the picture's size must be a multiple of ``2**depth``.
        growth_rate: Each level is this many times wider than the one above, cut to an integer at every level.
        activation: A name in ``fundusseg.models.layers.ACTIVATIONS``.
        dropout: Probability, 0..1, between the two convolutions of the bottom block only.
        batch_norm: Batch norm after each block's activations.
        max_pool: Go down by 2 x 2 max pooling; otherwise by a 3 x 3 convolution of stride 2, without
            activation.
        up_conv: Go up by nearest upsampling and a 2 x 2 convolution; otherwise by a transposed 3 x 3
            convolution of stride 2. Activation follows either.
        residual: Concatenate each block's input to its output (it is not added).
        mean: Mean of the pixels scaled to 0..1, for each channel; one value serves all channels.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 2,
        start_channels: int = 16,
        depth: int = 3,
        growth_rate: float = 2.0,
        activation: str = "relu",
        dropout: float = 0.0,
        batch_norm: bool = True,
        max_pool: bool = True,
        up_conv: bool = True,
        residual: bool = False,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
    ) -> None:
        super().__init__(in_channels, out_channels, mean=mean, std=std)
        require_at_least_one(start_channels=start_channels, depth=depth)
        if not 0 <= dropout < 1:
            raise ConfigurationError(
                f"dropout {dropout}", "0 or more, below 1", "set dropout to a probability such as 0.3"
            )
        widths = level_widths(start_channels, depth, growth_rate)
        blocks = BlockMaker(activation, batch_norm, residual)
        self.divisor = 2**depth
        self.encoder = UNetEncoder(in_channels, widths, blocks, max_pool, dropout)
        self.decoder = UNetDecoder(self.encoder.out_channels, widths, blocks, up_conv)
        self.segmentation_head = nn.Conv2d(self.decoder.out_channels, out_channels, kernel_size=1)
        initialise_like_keras(self)


def level_widths(start_channels: int, depth: int, growth_rate: float) -> list[int]:
    """Widths of the ``depth + 1`` levels, from the picture down.

    Raises:
        ConfigurationError: The growth rate shrinks a level to nothing.
    """
    widths = [start_channels]
    for _ in range(depth):
        widths.append(int(growth_rate * widths[-1]))
    if min(widths) < 1:
        raise ConfigurationError(
            f"growth_rate {growth_rate}, which gives the widths {widths}",
            "at least one channel at each level",
            "raise growth_rate or start_channels",
        )
    return widths


class UNetBlock(nn.Module):
    """Two 3 x 3 convolutions, each with activation and optional batch norm; dropout between them.

    Attributes:
        out_channels: ``width``, and ``in_channels`` more where the input is concatenated.
    """

    def __init__(self, in_channels: int, width: int, maker: "BlockMaker", dropout: float) -> None:
        super().__init__()
        self.residual = maker.residual
        self.out_channels = width + in_channels * maker.residual
        layers = maker.convolution(in_channels, width)
        if dropout:
            layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, *maker.convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width."""
        out: Tensor = self.layers(x)
        return torch.cat([x, out], dim=1) if self.residual else out


@dataclass(frozen=True)
class BlockMaker:
    """What all blocks of one U-Net have in common; see ``UNet`` for the meaning."""

    activation: str
    batch_norm: bool
    residual: bool

    def block(self, in_channels: int, width: int, dropout: float = 0.0) -> UNetBlock:
        """Make one block."""
        return UNetBlock(in_channels, width, self, dropout)

    def convolution(self, in_channels: int, width: int) -> list[nn.Module]:
        """A 3 x 3 convolution, its activation, and batch norm after it."""
        layers = [nn.Conv2d(in_channels, width, kernel_size=3, padding=1), make_activation(self.activation)]
        return [*layers, nn.BatchNorm2d(width, eps=1e-3)] if self.batch_norm else layers


class UNetEncoder(nn.Module):
    """The way down.

    Attributes:
        out_channels: Channels of each level's feature map, from the picture down.
    """

    def __init__(
        self, in_channels: int, widths: Sequence[int], blocks: BlockMaker, max_pool: bool, dropout: float
    ) -> None:
        super().__init__()
        self.out_channels: list[int] = []
        self.blocks, self.downs = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            bottom = level == len(widths) - 1
            block = blocks.block(in_channels, width, dropout if bottom else 0.0)
            self.blocks.append(block)
            self.out_channels.append(block.out_channels)
            in_channels = block.out_channels if max_pool else width
            if not bottom:
                self.downs.append(nn.MaxPool2d(2) if max_pool else _strided(block.out_channels, width))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of all levels, each half as large as the one before."""
        features = [self.blocks[0](x)]
        for down, block in zip(self.downs, self.blocks[1:], strict=True):
            features.append(block(down(features[-1])))
        return features


class UNetDecoder(nn.Module):
    """The way up, with the encoder's feature maps of the same size concatenated as [skip, up].

    Attributes:
        out_channels: Channels of the last feature map.
    """

    def __init__(
        self, encoder_channels: Sequence[int], widths: Sequence[int], blocks: BlockMaker, up_conv: bool
    ) -> None:
        super().__init__()
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        *skips, channels = encoder_channels
        for skip, width in zip(reversed(skips), reversed(widths[:-1]), strict=True):
            self.ups.append(_up(channels, width, up_conv, blocks.activation))
            block = blocks.block(skip + width, width)
            self.blocks.append(block)
            channels = block.out_channels
        self.out_channels = channels

    def forward(self, features: list[Tensor]) -> Tensor:
        """Rise from the smallest feature map to the picture's size."""
        *skips, x = features
        for up, block, skip in zip(self.ups, self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([skip, up(x)], dim=1))
        return x


def _strided(in_channels: int, width: int) -> nn.Module:
    """Halve height and width by a 3 x 3 convolution without activation."""
    return nn.Sequential(PadBottomRight(), nn.Conv2d(in_channels, width, kernel_size=3, stride=2))


def _up(in_channels: int, width: int, up_conv: bool, activation: str) -> nn.Module:
    """Double height and width, with activation."""
    if up_conv:
        return nn.Sequential(
            NearestUpsample(),
            PadBottomRight(),
            nn.Conv2d(in_channels, width, kernel_size=2),
            make_activation(activation),
        )
    transposed = nn.ConvTranspose2d(in_channels, width, kernel_size=3, stride=2)
    return nn.Sequential(transposed, CropBottomRight(), make_activation(activation))
