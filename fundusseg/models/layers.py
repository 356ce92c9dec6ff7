"""Layers that networks are put together from, with static shapes, and how their kernels are drawn."""

import math
from collections.abc import Callable

from torch import Tensor, nn

from fundusseg.errors import ConfigurationError, nearest

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""Activations by the name that a configuration gives."""


def make_activation(name: str) -> nn.Module:
    """Make an activation by name.

    Raises:
        ConfigurationError: The name is unknown; the nearest are named.
    """
    if name not in ACTIVATIONS:
        raise ConfigurationError(
            f"activation {name!r}", f"one of {sorted(ACTIVATIONS)}", f"try {nearest(name, ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]()


def crop_centre(x: Tensor, like: Tensor) -> Tensor:
    """Cut ... x H x W to the middle that has another map's height and width.

    Where the difference is odd, the row or column more is cut at the bottom or right.
    """
    height, width = like.shape[-2:]
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def nearest_upsample(x: Tensor) -> Tensor:
    """Repeat each pixel of B x C x H x W twice in both directions.

    The same bits as ``interpolate(scale_factor=2)``, whose backward pass leaves the device on XLA.
    """
    batch, channels, height, width = x.shape
    repeated = x[:, :, :, None, :, None].expand(batch, channels, height, 2, width, 2)  # each pixel is 2 x 2 now
    return repeated.reshape(batch, channels, 2 * height, 2 * width)


class NearestUpsample(nn.Module):
    """``nearest_upsample`` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Double height and width."""
        return nearest_upsample(x)


class PadBottomRight(nn.Module):
    """Pad one row of zeros at the bottom and one column at the right.

    So Keras pads for 'same' output where the padding is odd: 2 x 2 kernels, and 3 x 3 kernels of stride 2 on
    even sizes.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Grow height and width by one."""
        return nn.functional.pad(x, (0, 1, 0, 1))


def initialise_like_keras(module: nn.Module) -> None:
    """Draw convolution kernels by Glorot's uniform rule and set biases to zero, as Keras does by default.

    Glorot and Bengio, AISTATS 2010: ``U(-a, a)`` with ``a = sqrt(6 / (fan_in + fan_out))``.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialise_by_he(module: nn.Module) -> None:
    """Draw convolution kernels from a normal distribution of variance ``2 / n`` and set biases to zero.

    n counts the values that one output adds up: input channels times the kernel's area, over the stride's area where
    the convolution is transposed. He et al., ICCV 2015, arXiv 1502.01852.
    """
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            summed: float = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                summed /= math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / summed))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
