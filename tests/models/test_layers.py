"""The layers that replace those XLA cannot run, and how kernels are drawn."""

import pytest
import torch
from torch import nn

from fundusseg.errors import ConfigurationError
from fundusseg.models.layers import (
    ACTIVATIONS,
    PadBottomRight,
    crop_centre,
    initialise_by_he,
    make_activation,
    nearest_upsample,
)
from fundusseg.models.transposed_convolution import DoublingConvolution

torch.set_num_threads(1)


@pytest.mark.parametrize("large, small, first", [((6, 8), (2, 4), 18), ((5, 4), (2, 3), 4), ((3, 3), (3, 3), 0)])
def test_crop_centre(large: tuple[int, int], small: tuple[int, int], first: int) -> None:
    x = torch.arange(large[0] * large[1]).view(1, 1, *large)
    cut = crop_centre(x, torch.zeros(2, 7, *small))
    assert cut.shape == (1, 1, *small)
    assert cut[0, 0, 0, 0] == first


def test_initialisation_by_he_keeps_the_variance() -> None:
    """White noise through convolution and ReLU has the second moment that went in: so the rule is derived."""
    torch.manual_seed(0)
    x = torch.randn(1, 64, 64, 64)
    ups = (nn.ConvTranspose2d(64, 64, 2, stride=2), nn.ConvTranspose2d(64, 64, 3, stride=2))
    for layer in (nn.Conv2d(64, 64, 3), nn.Conv2d(64, 64, 3, groups=4), nn.Conv2d(64, 64, 1), *ups):
        initialise_by_he(layer)
        assert layer(x).relu().square().mean().item() == pytest.approx(1, rel=0.1)
        assert layer.bias is not None and not layer.bias.any()


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (1, 4, 8, 3)])
def test_nearest_upsample_is_interpolate_bit_for_bit(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    reference = x.detach().clone().requires_grad_()
    ours, theirs = nearest_upsample(x), nn.functional.interpolate(reference, scale_factor=2, mode="nearest")
    assert torch.equal(ours, theirs)
    weight = torch.randint(-4, 5, ours.shape).float()  # Whole numbers: their sum has no rounding.
    (ours * weight).sum().backward()
    (theirs * weight).sum().backward()
    assert torch.equal(x.grad, reference.grad)  # type: ignore[arg-type]


def test_even_kernel_looks_down_and_right() -> None:
    convolution = nn.Conv2d(1, 1, 2, bias=False)
    nn.init.ones_(convolution.weight)
    x = torch.arange(1.0, 5).view(1, 1, 2, 2)
    out = convolution(PadBottomRight()(x))
    assert out.flatten().tolist() == [10.0, 6.0, 7.0, 4.0]


def test_transposed_convolution_is_the_gradient_of_the_strided_one() -> None:
    """Keras defines 'same' transposed convolution so; it fixes where ours is cropped."""
    layer = DoublingConvolution(1, 1)
    nn.init.zeros_(layer.bias)
    x = torch.randn(1, 1, 8, 8, requires_grad=True)
    small = torch.randn(1, 1, 4, 4)
    (nn.functional.conv2d(PadBottomRight()(x), layer.weight, stride=2) * small).sum().backward()
    torch.testing.assert_close(layer(small), x.grad)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations(name: str) -> None:
    assert make_activation(name)(torch.zeros(1)).item() == 0


def test_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="try 'relu'"):
        make_activation("rellu")
