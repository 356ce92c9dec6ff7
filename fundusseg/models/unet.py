"""The generalized U-Net: depth, width and every kind of layer are parameters; and three published ones."""

from collections.abc import Sequence

from torch import nn

from fundusseg.errors import ConfigurationError
from fundusseg.models.base import Network, require_at_least_one, require_choice
from fundusseg.models.layers import initialise_by_he, initialise_like_keras
from fundusseg.models.unet_blocks import BlockMaker, Padding, UNetDecoder, UNetEncoder, Up, UpFirstDecoder

DEEPEST = 12
"""Poolings of a picture of 4,096 pixels a side down to one; a loop over very many would not come to its end."""


class UNet(Network):
    """Generalized U-Net, as used for optic disc and cup on TPUs.

    Architecture: Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597. The parameters and their meaning:
    Civit-Masot et al., IEEE Access 2019, doi 10.1109/ACCESS.2019.2944692. 'same' padding is placed as Keras places
    it; kernels are drawn by Glorot's uniform rule and biases are zero, as in Keras.

    Batch norm has Keras' epsilon (0.001) but PyTorch's momentum (0.1, which Keras would call 0.9): with
    Keras' own 0.99 the running statistics of a short run lag behind the weights.

    Args:
        in_channels: Channels of the picture; 1 takes the mean of three.
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
        padding: ``same``: logits as large as the picture; ``valid``: nothing is padded, skips are cut to their middle,
            the up-convolution is a transposed 2 x 2 one, and the logits are those of the picture's middle, each
            computed from true pixels only (see ``output_size``).
        mean: Mean of the pixels scaled to 0..1, for each channel; one value serves all channels.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A value is out of its range, or ``valid`` meets layers that cannot do without padding.
    """

    encoder: UNetEncoder
    decoder: UNetDecoder

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
        padding: Padding = "same",
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
    ) -> None:
        super().__init__(in_channels, out_channels, mean=mean, std=std)
        require_at_least_one(start_channels=start_channels, depth=depth)
        if depth > DEEPEST:
            raise ConfigurationError(f"depth {depth}", f"1 to {DEEPEST}", "lower depth")
        require_probability(dropout)
        require_choice("padding", padding, Padding)
        if padding == "valid" and not (max_pool and up_conv):
            raise ConfigurationError(
                f"padding 'valid' with max_pool {max_pool} and up_conv {up_conv}",
                "pooling and up-convolutions, which need no padding",
                "set max_pool and up_conv to true, or padding to same",
            )
        widths = level_widths(start_channels, depth, growth_rate)  # depth + 1, e.g. 16, 32, 64, 128
        blocks = BlockMaker(activation, batch_norm, residual, padding)
        self.divisor, self.padding = 2**depth, padding
        # B x 3 x S x S -> maps of B x widths[l] x S/2^l x S/2^l -> B x widths[0] x S x S -> B x R x S x S
        self.encoder = UNetEncoder(in_channels, widths, blocks, max_pool, [*[0.0] * depth, dropout])
        up: Up = "unpadded" if padding == "valid" else "up_conv" if up_conv else "transposed"
        self.decoder = UNetDecoder(self.encoder.out_channels, widths[:-1], blocks, up)
        self.segmentation_head = nn.Conv2d(self.decoder.out_channels, out_channels, kernel_size=1)
        initialise_like_keras(self)

    @property
    def lost(self) -> int:
        """Rows, and columns, that the logits have fewer than the picture: ``12 * 2**depth - 8`` without padding.

        Each of the two blocks on level l takes 4 pixels of the size of ``2**l``, and there is one at the bottom.
        """
        return 12 * self.divisor - 8 if self.padding == "valid" else 0

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the logits: the picture's, less ``lost``."""
        return height - self.lost, width - self.lost

    def check_size(self, height: int, width: int) -> None:
        """Check that a picture's size suits the network's poolings and leaves something.

        Raises:
            ConfigurationError: It does not; the next larger size that does is named.
        """
        if self.padding == "same":
            return super().check_size(height, width)
        good = self._unpadded_side(height), self._unpadded_side(width)
        if good == (height, width):
            return None
        rows, columns = self.output_size(*good)
        raise ConfigurationError(
            f"pictures of height {height} and width {width} for {type(self).__name__} without padding",
            f"sides of {self._unpadded_side(1)}, or a multiple of {self.divisor} more",
            f"resize or mirror to height {good[0]} and width {good[1]}, of which {rows} x {columns} are predicted",
        )

    def _unpadded_side(self, side: int) -> int:
        """Next side with an even number before every pooling and something left behind the last block."""
        # Every level takes 4 pixels and halves the rest: a side of s * 2**depth - 4 is even at each of them.
        return -(-(max(side, self.lost + 1) + 4) // self.divisor) * self.divisor - 4


class OriginalUNet(UNet):
    """The U-Net as published: 23 convolutions without padding, 388 x 388 logits of 572 x 572 pixels.

    Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597. Dropout follows the last two blocks of the contracting
    path and thins out the skip between them too, and the up-convolution is a transposed 2 x 2 one with ReLU, both as in
    the authors' own network file. Kernels are drawn by He's rule. The soft-max over the paper's two classes is, for
    one region, the sigmoid.

    Args:
        in_channels: Channels of the picture; 1 takes the mean of three.
        out_channels: Regions, or the paper's classes; each is a logit.
        start_channels: Width of the first level; each level doubles it.
        depth: Number of poolings.
        dropout: Probability, 0..1.
        mean: Mean of the pixels scaled to 0..1, for each channel; one value serves all channels.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 2,
        start_channels: int = 64,
        depth: int = 4,
        dropout: float = 0.5,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
    ) -> None:
        require_probability(dropout)
        super().__init__(
            in_channels, out_channels, start_channels, depth, batch_norm=False, padding="valid", mean=mean, std=std
        )
        self.encoder.append_dropout(dropout, levels=2)
        initialise_by_he(self)


class IsbiUNet(UNet):
    """The U-Net in Keras that is widely used on the membranes of ISBI 2012; 31,031,685 parameters.

    Padded convolutions, dropout behind the last two blocks of the contracting path (the skip between them included),
    nearest upsampling with a 2 x 2 convolution, and a 3 x 3 convolution to two channels with ReLU before the head.
    Kernels are drawn by He's rule; pixels are fed as 0..1.

    Args:
        in_channels: Channels of the picture; 1 takes the mean of three.
        out_channels: Regions; each is a logit.
        start_channels: Width of the first level; each level doubles it.
        depth: Number of poolings.
        dropout: Probability, 0..1.
        mean: Mean of the pixels scaled to 0..1, for each channel; one value serves all channels.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        start_channels: int = 64,
        depth: int = 4,
        dropout: float = 0.5,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
    ) -> None:
        require_probability(dropout)
        super().__init__(in_channels, out_channels, start_channels, depth, batch_norm=False, mean=mean, std=std)
        self.encoder.append_dropout(dropout, levels=2)
        # B x 64 x S x S -> B x 2 x S x S -> B x R x S x S
        narrow = nn.Conv2d(self.decoder.out_channels, 2, kernel_size=3, padding=1)
        self.segmentation_head = nn.Sequential(narrow, nn.ReLU(), nn.Conv2d(2, out_channels, kernel_size=1))
        initialise_by_he(self)


class LightUNet(Network):
    """The light U-Net for optic disc and cup; 656,257 parameters.

    Sevastopolsky, Pattern Recognition and Image Analysis 2017, arXiv 1704.00979. Widths 32, 64, 64, 64, 64 down and
    64, 64, 64, 32 up, dropout between the two convolutions of every block, nearest upsampling without a convolution,
    concatenated as [up, skip]. Kernels are drawn by Glorot's uniform rule, as in Keras; pixels are fed as 0..1.

    Args:
        in_channels: Channels of the picture; 1 takes the mean of three.
        out_channels: Regions; each is a logit.
        dropout: Probability, 0..1.
        mean: Mean of the pixels scaled to 0..1, for each channel; one value serves all channels.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        dropout: float = 0.3,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
    ) -> None:
        super().__init__(in_channels, out_channels, mean=mean, std=std)
        require_probability(dropout)
        widths, blocks = [32, 64, 64, 64, 64], BlockMaker()
        self.divisor = 16
        # B x 3 x S x S -> 32 at S, 64 at S/2, S/4, S/8 and S/16 -> B x 32 x S x S -> B x R x S x S
        self.encoder = UNetEncoder(in_channels, widths, blocks, dropouts=[dropout] * len(widths))
        self.decoder = UpFirstDecoder(self.encoder.out_channels, widths[:-1], blocks, "nearest", dropout)
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


def require_probability(dropout: float) -> None:
    """Check a dropout that a user set.

    Raises:
        ConfigurationError: It is no probability, or drops everything.
    """
    if not 0 <= dropout < 1:
        raise ConfigurationError(f"dropout {dropout}", "0 or more, below 1", "set dropout to a probability such as 0.3")
