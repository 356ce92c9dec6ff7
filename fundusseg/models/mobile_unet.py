"""MobileNetV2 U-Net: small enough for a phone, with ImageNet weights where its width has any."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError
from fundusseg.models.base import Network, require_choice
from fundusseg.models.encoder_weights import load_encoder
from fundusseg.models.layers import NearestUpsample, initialise_like_keras

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""Expansion, width, repeats and stride of MobileNetV2's stages down to stride 16 (its table 2)."""

DECODER_CHANNELS = (64, 48, 32, 16)

Convention = Literal["torchvision", "keras"]

EPSILON: dict[Convention, float] = {"torchvision": 1e-5, "keras": 1e-3}
"""Batch norm's epsilon."""


class MobileUNet(Network):
    """U-Net on MobileNetV2, after the MU-Net of the sclera segmentation competition SSBC 2020.

    MobileNetV2: Sandler et al., CVPR 2018, arXiv 1801.04381. The encoder ends with the expansion of block 13
    (stride 16); the skips are the expansions of blocks 6, 3 and 1, and the normalised picture. The decoder goes up
    by nearest upsampling, concatenation, and two 3 x 3 convolutions with batch norm and ReLU. With width 0.35 and
    one region it has 416,209 parameters, batch norm's statistics included. Kernels are drawn by Glorot's uniform
    rule.

    torchvision and Keras differ in where they pad a strided convolution (on all sides; at the bottom and right) and in
    batch norm's epsilon (1e-5; 1e-3), and weights trained in one are worth little in the other.

    Args:
        in_channels: Channels of the picture.
        out_channels: Regions; each is a logit.
        width: Multiplier of the encoder's channels, above 0.
        encoder_weights: A file of torchvision's MobileNetV2 weights of the same width; None for random ones.
        convention: Whose padding and epsilon to follow.
        mean: Mean of the pixels scaled to 0..1, for each channel; by default what ImageNet weights expect.
        std: Standard deviation of the same.

    Raises:
        ConfigurationError: A value is out of its range, or the weights do not fit.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 2,
        width: float = 0.35,
        encoder_weights: str | None = None,
        convention: Convention = "torchvision",
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
    ) -> None:
        super().__init__(in_channels, out_channels, mean=mean, std=std)
        if not width > 0:
            raise ConfigurationError(f"width {width}", "a multiplier above 0", "set width to 0.35 or 1.0")
        require_choice("convention", convention, Convention)
        if encoder_weights and convention != "torchvision":
            raise ConfigurationError(
                f"encoder_weights of torchvision with convention {convention!r}",
                "the convention that the weights were trained in",
                "set convention to torchvision, or encoder_weights to null",
            )
        self.divisor = 16
        self.encoder = MobileEncoder(in_channels, width, convention)
        self.decoder = MobileDecoder(self.encoder.out_channels, EPSILON[convention])
        self.segmentation_head = nn.Conv2d(DECODER_CHANNELS[-1], out_channels, kernel_size=1)
        initialise_like_keras(self)
        if encoder_weights:
            # The file goes on behind the expansion of block 13, where this encoder ends.
            behind = ("features.14.conv.1", "features.14.conv.2", "features.14.conv.3")
            later = tuple(f"features.{number}." for number in range(15, 19))
            load_encoder(self.encoder, f"MobileUNet of width {width}", Path(encoder_weights), behind + later)
        # A checkpoint brings the weights itself: to rebuild needs no file.
        self._amend_spec(encoder_weights=None)


class MobileEncoder(nn.Module):
    """MobileNetV2 to the expansion of block 13, with torchvision's names.

    Attributes:
        out_channels: Channels of each feature map, from the picture down to stride 16.
    """

    def __init__(self, in_channels: int, width: float, convention: Convention) -> None:
        super().__init__()
        channels = divisible(32 * width)
        self.features = nn.ModuleList([convolution(in_channels, channels, 3, convention, stride=2)])
        self.out_channels = [in_channels]
        for expansion, base, repeats, first_stride in STAGES:
            for repeat in range(repeats):
                stride = first_stride if repeat == 0 else 1
                if stride == 2:
                    self.out_channels.append(expansion * channels)
                out_channels = divisible(base * width)
                self.features.append(InvertedResidual(channels, out_channels, expansion, stride, convention))
                channels = out_channels
        self.features.append(ExpansionOnly(channels, convention))
        self.out_channels.append(6 * channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The picture, and the expansions of blocks 1, 3, 6 and 13."""
        features = [x]  # B x 3 x S x S
        for layer in self.features:
            if isinstance(layer, InvertedResidual):
                expanded, x = layer(x)
                # The expansion before the depthwise convolution halves it: the last and widest map of its size.
                if layer.stride == 2:
                    features.append(expanded)  # at S/2, S/4 and S/8
            else:
                x = layer(x)
        return [*features, x]  # the last at S/16


class InvertedResidual(nn.Module):
    """Expansion, depthwise 3 x 3 convolution and linear projection; added to the input where the shapes agree."""

    def __init__(
        self, in_channels: int, out_channels: int, expansion: int, stride: int, convention: Convention
    ) -> None:
        super().__init__()
        inner = in_channels * expansion
        self.stride, self.added = stride, stride == 1 and in_channels == out_channels
        self.expanded = expansion > 1
        self.conv = nn.Sequential(
            *([convolution(in_channels, inner, 1, convention)] if self.expanded else []),
            convolution(inner, inner, 3, convention, stride, groups=inner),
            nn.Conv2d(inner, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm2d(out_channels, eps=EPSILON[convention]),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The expansion, which the decoder takes, and the block's output."""
        expanded: Tensor = self.conv[0](x) if self.expanded else x  # B x C x h x w -> B x 6C x h x w
        out: Tensor = self.conv[1 if self.expanded else 0 :](expanded)  # -> B x out x h/stride x w/stride
        return expanded, x + out if self.added else out


class ExpansionOnly(nn.Module):
    """The expansion of block 13, without the rest of the block."""

    def __init__(self, in_channels: int, convention: Convention) -> None:
        super().__init__()
        self.conv = nn.Sequential(convolution(in_channels, 6 * in_channels, 1, convention))

    def forward(self, x: Tensor) -> Tensor:
        """Keep height and width, six times the channels."""
        out: Tensor = self.conv(x)
        return out


class MobileDecoder(nn.Module):
    """The way up to the picture's size."""

    def __init__(self, encoder_channels: Sequence[int], epsilon: float) -> None:
        super().__init__()
        *skips, channels = encoder_channels
        self.up, self.blocks = NearestUpsample(), nn.ModuleList()
        for skip, width in zip(reversed(skips), DECODER_CHANNELS, strict=True):
            layers: list[nn.Module] = []
            for inputs in (channels + skip, width):
                convolution = nn.Conv2d(inputs, width, kernel_size=3, padding=1)
                layers += [convolution, nn.BatchNorm2d(width, eps=epsilon), nn.ReLU()]
            self.blocks.append(nn.Sequential(*layers))
            channels = width

    def forward(self, features: list[Tensor]) -> Tensor:
        """Rise from the smallest feature map to the picture's size."""
        *skips, x = features
        for block, skip in zip(self.blocks, reversed(skips), strict=True):
            x = block(torch.cat([self.up(x), skip], dim=1))  # B x (C + skip) x 2h x 2w -> B x width x 2h x 2w
        return x


def convolution(
    in_channels: int, out_channels: int, kernel: int, convention: Convention, stride: int = 1, groups: int = 1
) -> nn.Module:
    """Convolution without bias, batch norm and ReLU6."""
    kind = BottomRightConv2d if stride == 2 and convention == "keras" else nn.Conv2d
    padding = 0 if kind is BottomRightConv2d else kernel // 2
    return nn.Sequential(
        kind(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels, eps=EPSILON[convention]),
        nn.ReLU6(),
    )


class BottomRightConv2d(nn.Conv2d):
    """A convolution behind ``PadBottomRight``; one layer, so that its weights keep torchvision's names."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve the padded map."""
        return super().forward(nn.functional.pad(input, (0, 1, 0, 1)))


def divisible(channels: float) -> int:
    """Round to a multiple of 8, at least 8 and never more than a tenth below (MobileNet's rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
