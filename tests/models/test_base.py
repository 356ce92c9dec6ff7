"""Normalisation, and the way back from a checkpoint."""

import copy
import io
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fundusseg.errors import CheckpointError, ConfigurationError
from fundusseg.models import LightUNet, Network, UNet, count_parameters
from fundusseg.models.base import plain
from fundusseg.models.checkpoint import from_spec

torch.set_num_threads(1)


class Keyworded(Network):
    """A third party's network, with arguments of every kind."""

    def __init__(self, width: int, *, mean: tuple[float, ...] = (0.5,), **extra: object) -> None:
        super().__init__(mean=mean, std=(0.25,))
        self.encoder, self.decoder = nn.Conv2d(3, width, 1), nn.Identity()
        self.segmentation_head = nn.Conv2d(width, 2, 1)
        self.divisor = 1


class Wider(Keyworded):
    """A constructor that calls another one that remembers."""

    def __init__(self, factor: int = 2) -> None:
        super().__init__(width=4 * factor)


@pytest.fixture
def pixels() -> Tensor:
    return torch.randint(0, 256, (2, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_normalise_matches_numpy(pixels: Tensor) -> None:
    mean, std = (0.5, 0.3, 0.2), (0.2, 0.15, 0.1)
    network = UNet(start_channels=2, depth=1, mean=mean, std=std)
    expected = (pixels.numpy() / 255.0 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(network.normalise(pixels).numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(network.normalise(pixels), network.normalise(pixels.float()))


def test_normalise_of_known_pixels() -> None:
    network = UNet(start_channels=2, depth=1, mean=(0.0, 0.5, 1.0), std=(1.0, 0.5, 0.25))
    image = torch.tensor([255, 255, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert network.normalise(image).flatten().tolist() == [1.0, 1.0, -4.0]


def test_normalise_keeps_memory_format_and_precision(pixels: Tensor) -> None:
    network = UNet(start_channels=2, depth=1)
    last = pixels.to(memory_format=torch.channels_last)
    assert network.normalise(last).is_contiguous(memory_format=torch.channels_last)
    assert network.normalise(pixels).dtype == torch.float32
    low = network.bfloat16()
    assert low.normalise(pixels).dtype == torch.bfloat16
    assert low(pixels).dtype == torch.bfloat16


def test_one_value_serves_all_channels() -> None:
    network = UNet(in_channels=4, start_channels=2, depth=1, mean=(0.1,), std=(0.2,))
    torch.testing.assert_close(network.mean, torch.full((4,), 0.1))
    torch.testing.assert_close(network.std, torch.full((4,), 0.2))


@pytest.mark.parametrize("network", [UNet(1, start_channels=2, depth=1), LightUNet(in_channels=1)])
def test_a_network_of_one_channel_takes_grey_pictures_of_three(network: Network) -> None:
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(network.normalise(grey.expand(-1, 3, -1, -1)), network.normalise(grey))
    assert torch.equal(network.eval()(grey.expand(-1, 3, -1, -1)), network(grey))


def test_a_network_of_one_channel_takes_the_mean_of_colours() -> None:
    network = UNet(1, start_channels=2, depth=1, mean=(0.0,), std=(1.0,))
    colour = torch.tensor([255, 0, 51], dtype=torch.uint8).view(1, 3, 1, 1)
    assert network.normalise(colour).shape == (1, 1, 1, 1)
    assert network.normalise(colour).item() == pytest.approx(0.4)


@pytest.mark.parametrize(
    "wrong", [{"mean": (0.1, 0.2)}, {"std": (0.1, 0.2)}, {"std": (0.1, 0.0, 0.1)}, {"mean": ()}, {"in_channels": 0}]
)
def test_wrong_statistics(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        UNet(start_channels=2, depth=1, **wrong)  # type: ignore[arg-type]


def test_checkpoint_carries_the_normalisation() -> None:
    assert {"mean", "std"} <= set(UNet(start_channels=2, depth=1).state_dict())


@pytest.mark.parametrize("height, width, padded", [(100, 96, "104 and width 96"), (8, 1, "8 and width 8"), (0, 8, "8")])
def test_check_size_names_the_padded_size(height: int, width: int, padded: str) -> None:
    with pytest.raises(ConfigurationError, match="multiples of 8") as raised:
        UNet(start_channels=2, depth=3).check_size(height, width)
    assert f"height {height} and width {width}" in raised.value.got
    assert f"pad to height {padded}" in raised.value.do


def test_check_size_passes_multiples() -> None:
    UNet(start_channels=2, depth=3).check_size(96, 8)


def test_logits_are_as_large_as_the_picture_where_nothing_is_said() -> None:
    assert Keyworded(4).output_size(40, 24) == (40, 24)


def test_spec_rebuilds_the_network(pixels: Tensor) -> None:
    torch.manual_seed(0)
    network = UNet(3, 1, start_channels=3, depth=2, growth_rate=1.5, residual=True, mean=(0.3, 0.2, 0.1)).eval()
    stored = io.BytesIO()
    torch.save({"spec": network.spec, "state": network.state_dict()}, stored)
    stored.seek(0)
    checkpoint = torch.load(stored, weights_only=True)
    again = from_spec(checkpoint["spec"]).eval()
    assert again.state_dict().keys() == network.state_dict().keys()
    again.load_state_dict(checkpoint["state"])
    torch.testing.assert_close(again(pixels), network(pixels), rtol=0, atol=0)
    assert again.spec == network.spec


def test_spec_is_plain_and_complete() -> None:
    spec = UNet(3, 1, depth=2, mean=(0.3, 0.2, 0.1)).spec
    assert spec["class_path"] == "fundusseg.models.UNet"
    assert spec["init_args"]["in_channels"] == 3
    assert spec["init_args"]["mean"] == [0.3, 0.2, 0.1]
    assert spec["init_args"]["start_channels"] == 16, "a default is written out"


def test_spec_cannot_be_changed_from_outside() -> None:
    network = UNet(start_channels=2, depth=1)
    network.spec["init_args"]["mean"].append(1.0)
    assert network.spec["init_args"]["mean"] == [0.5]


def test_spec_of_a_third_party() -> None:
    network = Keyworded(4, mean=(0.1, 0.2, 0.3), name="retina")
    assert network.spec["class_path"] == f"{__name__}.Keyworded"
    assert network.spec["init_args"] == {"width": 4, "mean": [0.1, 0.2, 0.3], "name": "retina"}
    assert from_spec(network.spec).spec == network.spec


def test_spec_of_a_subclass_is_the_outer_call() -> None:
    network = Wider(3)
    assert network.spec["init_args"] == {"factor": 3}
    assert from_spec(network.spec).encoder.out_channels == 12


def test_spec_survives_a_copy() -> None:
    network = UNet(start_channels=2, depth=1)
    assert copy.deepcopy(network).spec == network.spec


def test_spec_refuses_what_a_checkpoint_cannot_hold() -> None:
    with pytest.raises(ConfigurationError, match="extra of type Identity"):
        Keyworded(4, layer=nn.Identity())
    assert plain({"path": Path("weights.pth"), "sizes": (1, 2)}, "options") == {
        "path": "weights.pth",
        "sizes": [1, 2],
    }


@pytest.mark.parametrize(
    "spec, sentence",
    [
        ({"class_path": "no.such.Module"}, "no.such.Module"),
        ({"class_path": "fundusseg.models.Missing"}, "Missing"),
        ({"class_path": "subprocess.Popen"}, "--trust subprocess"),
        ({"class_path": "fundusseg.sample.Record"}, "subclass of torch.nn.Module"),
        ({}, "''"),
        ({"class_path": "fundusseg.models.UNet", "init_args": {"deep": 3}}, "deep"),
    ],
)
def test_wrong_spec(spec: dict[str, object], sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        from_spec(spec)


def test_a_class_is_named_by_the_package_that_exports_it(monkeypatch) -> None:
    package = ModuleType("retinas")
    package.Outer = type("Outer", (Keyworded,), {"__module__": "retinas.networks.outer"})
    monkeypatch.setitem(sys.modules, "retinas", package)
    assert package.Outer(width=4).spec["class_path"] == "retinas.Outer"


def test_counting_like_keras() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.BatchNorm1d(2, track_running_stats=False))
    assert count_parameters(layers) == (140 + 20 + 4, 140 + 10 + 4)
    layers[0].requires_grad_(False)
    assert count_parameters(layers) == (164, 14)
