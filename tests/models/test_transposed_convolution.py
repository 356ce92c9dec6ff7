import pytest
import torch
from torch import nn

from fundusseg.models import UNet
from fundusseg.models.transposed_convolution import DoublingConvolution, _ByPhases, doubled_by_phases


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return DoublingConvolution(5, 3)


@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (1, 5, 1, 1), (3, 5, 7, 2)])
def test_phases_are_the_transposed_convolution(layer, shape):
    x = torch.randn(shape)
    expected = nn.functional.conv_transpose2d(x, layer.weight, layer.bias, stride=2)[..., :-1, :-1]
    assert torch.equal(layer(x), expected)
    torch.testing.assert_close(doubled_by_phases(x, layer.weight, layer.bias), expected)


def test_gradients_are_those_of_the_transposed_convolution(layer):
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    given = [tensor.detach().double().requires_grad_() for tensor in (x, layer.weight, layer.bias)]
    assert torch.autograd.gradcheck(_ByPhases.apply, given)


@pytest.mark.parametrize("half", ["autocast", "weights"])
def test_bfloat16_goes_by_phases_and_comes_to_the_same(layer, half, monkeypatch):
    x = torch.randn(2, 5, 8, 8)
    exact = layer(x).detach()
    monkeypatch.setattr(nn.ConvTranspose2d, "forward", None)  # it is not asked
    if half == "weights":
        layer, x = layer.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=half == "autocast"):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, atol=0.02, rtol=0.02)
    found.float().square().mean().backward()
    assert layer.weight.grad.dtype == layer.weight.dtype and layer.weight.grad.abs().sum() > 0


def test_a_network_learns_in_bfloat16_as_by_the_transposed_convolution(monkeypatch):
    """The gradients of one step beside float32's: as near as those that PyTorch's own bfloat16 gives."""
    image, target = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8), torch.rand(2, 2, 16, 16)

    def gradients(bfloat16: bool) -> torch.Tensor:
        torch.manual_seed(1)
        network = UNet(start_channels=8, depth=2, up_conv=False)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = network(image)
        nn.functional.binary_cross_entropy_with_logits(logits.float(), target).backward()
        return torch.cat([p.grad.flatten() for p in network.decoder.ups.parameters()])

    exact, ours = gradients(False), gradients(True)
    own = nn.ConvTranspose2d.forward
    monkeypatch.setattr(DoublingConvolution, "forward", lambda layer, x: own(layer, x)[..., :-1, :-1])
    theirs = gradients(True)
    assert (ours - exact).norm() < 1.2 * (theirs - exact).norm()


@pytest.mark.slow
def test_it_can_be_compiled(layer):
    x = torch.randn(2, 5, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        expected, found = layer(x), torch.compile(layer, dynamic=False)(x)
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)
    found.float().sum().backward()
    assert layer.weight.grad.abs().sum() > 0
