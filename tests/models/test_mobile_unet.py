"""The MobileNetV2 U-Net against its published size and torchvision's encoder."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from fundusseg.errors import ConfigurationError
from fundusseg.models import MobileUNet, count_parameters
from fundusseg.models.checkpoint import from_spec
from fundusseg.models.mobile_unet import divisible

torch.set_num_threads(1)


@pytest.mark.parametrize("convention", ["torchvision", "keras"])
def test_published_parameter_counts(convention: str) -> None:
    network = MobileUNet(out_channels=1, convention=convention)  # type: ignore[arg-type]
    assert count_parameters(network) == (416_209, 409_025)


def test_conventions_differ_in_padding_and_epsilon_only() -> None:
    torch.manual_seed(0)
    ours, keras = MobileUNet().eval(), MobileUNet(convention="keras").eval()
    keras.load_state_dict(ours.state_dict())
    for network, epsilon in ((ours, 1e-5), (keras, 1e-3)):
        assert {layer.eps for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)} == {epsilon}
    image = torch.zeros(1, 3, 8, 8)
    image[..., 0, 0] = 1
    seen = [network.encoder.features[0][0](image).abs().sum(1) > 0 for network in (ours, keras)]
    assert [int(pixels.sum()) for pixels in seen] == [1, 1]
    # Strided windows begin one pixel outside the picture, or at its first pixel: one weight sees different pixels.
    torch.testing.assert_close(
        keras.encoder.features[0][0](image.roll((1, 1), (2, 3))), ours.encoder.features[0][0](image)
    )
    assert from_spec(keras.spec).spec == keras.spec


def test_wrong_conventions(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="try 'keras'"):
        MobileUNet(convention="kreas")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="torchvision with convention 'keras'"):
        MobileUNet(convention="keras", encoder_weights=str(tmp_path / "encoder.pth"))


def test_published_skips() -> None:
    assert MobileUNet().encoder.out_channels == [3, 48, 48, 96, 192]


@pytest.mark.parametrize("height, width", [(32, 32), (48, 80)])
def test_logits_have_the_size_of_the_picture(height: int, width: int) -> None:
    network = MobileUNet(out_channels=3)
    network.check_size(height, width)
    assert network(torch.zeros(2, 3, height, width, dtype=torch.uint8)).shape == (2, 3, height, width)


@pytest.mark.parametrize("channels, expected", [(11.2, 16), (5.6, 8), (22.4, 24), (33.6, 32), (32, 32), (1, 8)])
def test_divisible(channels: float, expected: int) -> None:
    assert divisible(channels) == expected


@pytest.mark.parametrize("width", [0.35, 1.0])
def test_encoder_is_torchvisions(tmp_path: Path, width: float) -> None:
    """Weights load from torchvision's names, and give its feature maps."""
    torch.manual_seed(0)
    reference = mobilenet_v2(width_mult=width).eval()
    torch.save(reference.state_dict(), tmp_path / "encoder.pth")
    network = MobileUNet(width=width, encoder_weights=str(tmp_path / "encoder.pth")).eval()
    expansions: list[Tensor] = []
    for number in (2, 4, 7, 14):
        expansion = reference.features[number].conv[0]
        expansion.register_forward_hook(lambda layer, inputs, output: expansions.append(output))
    image = network.normalise(torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8))
    with torch.no_grad():
        reference(image)
        _, *features = network.encoder(image)
    for ours, theirs in zip(features, expansions, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_weights_of_another_width_are_refused(tmp_path: Path) -> None:
    torch.save(mobilenet_v2(width_mult=0.5).state_dict(), tmp_path / "encoder.pth")
    with pytest.raises(ConfigurationError, match="another shape of"):
        MobileUNet(encoder_weights=str(tmp_path / "encoder.pth"))


def test_spec_rebuilds_without_the_weights_file(tmp_path: Path) -> None:
    path = tmp_path / "encoder.pth"
    torch.save(mobilenet_v2(width_mult=0.35).state_dict(), path)
    network = MobileUNet(encoder_weights=str(path)).eval()
    path.unlink()
    again = from_spec(network.spec).eval()
    again.load_state_dict(network.state_dict())
    image = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(again(image), network(image))


class Fixed(MobileUNet):
    """A subclass whose constructor has other arguments than the one that forgets the weights file."""

    def __init__(self, regions: int = 3) -> None:
        super().__init__(out_channels=regions, width=0.1)


def test_spec_of_a_subclass_has_its_own_arguments_only() -> None:
    assert Fixed().spec["init_args"] == {"regions": 3}
    assert from_spec(Fixed(1).spec).spec == Fixed(1).spec


def test_no_parameter_is_left_out_of_the_gradient() -> None:
    network = MobileUNet()
    network(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_wrong_width() -> None:
    with pytest.raises(ConfigurationError, match="width 0"):
        MobileUNet(width=0)


@pytest.mark.realdata
def test_published_weights_load_whole(realdata: Path) -> None:
    path = realdata.parent / "weights" / "mobilenet_v2_imagenet.pth"
    if not path.is_file():
        pytest.skip("no mobilenet_v2_imagenet.pth in the folder weights beside the real photographs")
    own = MobileUNet(width=1.0, encoder_weights=str(path)).encoder.state_dict()
    stored = torch.load(path, weights_only=True)
    assert all(torch.equal(tensor, stored[key]) for key, tensor in own.items())
