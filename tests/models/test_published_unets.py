"""The U-Nets of the literature, and what leaving out the padding means."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError
from fundusseg.models import IsbiUNet, LightUNet, Network, OriginalUNet, UNet, count_parameters
from fundusseg.models.checkpoint import from_spec

torch.set_num_threads(1)

ORIGINAL_DOWN = [[570, 568], [282, 280], [138, 136], [66, 64], [30, 28]]
ORIGINAL_UP = [[56, 54, 52], [104, 102, 100], [200, 198, 196], [392, 390, 388]]
"""Sides of the feature maps in figure 1 of the paper: behind each 3 x 3 convolution, and each up-convolution."""

SMALL: list[Network] = [OriginalUNet(start_channels=2, depth=2), IsbiUNet(start_channels=2, depth=2), LightUNet()]


def convolutions(network: Network, side: int) -> list[tuple[int, ...]]:
    """Channels and side of what each convolution gives, in the order of computation; nothing is computed."""
    shapes: list[tuple[int, ...]] = []
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            layer.register_forward_hook(lambda layer, inputs, output: shapes.append(tuple(output.shape[1:])))
    network(torch.empty(1, 3, side, side, dtype=torch.uint8, device="meta"))
    return shapes


def test_the_original_layer_by_layer() -> None:
    with torch.device("meta"):
        network = OriginalUNet()
    network.check_size(572, 572)
    assert network.output_size(572, 572) == (388, 388)
    expected = [(64 * 2**level, side, side) for level, sides in enumerate(ORIGINAL_DOWN) for side in sides]
    expected += [(512 // 2**level, side, side) for level, sides in enumerate(ORIGINAL_UP) for side in sides]
    expected.append((2, 388, 388))
    shapes = convolutions(network, 572)
    assert shapes == expected
    assert len(shapes) == 23
    ups = [layer for layer in network.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(up.kernel_size, up.stride, up.in_channels // up.out_channels) for up in ups] == [((2, 2), (2, 2), 2)] * 4


def test_published_parameter_counts() -> None:
    with torch.device("meta"):
        assert count_parameters(IsbiUNet()) == (31_031_685, 31_031_685)
        assert count_parameters(LightUNet()) == (656_257, 656_257)
        # By hand: 18 convolutions 3 x 3, 4 transposed 2 x 2, and 130 of the head.
        assert count_parameters(OriginalUNet()) == (31_030_658, 31_030_658)


def test_light_layer_by_layer() -> None:
    with torch.device("meta"):
        network = LightUNet()
    widths = [32, 64, 64, 64, 64, 64, 64, 64, 32]
    sides = [256, 128, 64, 32, 16, 32, 64, 128, 256]
    expected = [(width, side, side) for width, side in zip(widths, sides, strict=True) for _ in range(2)]
    assert convolutions(network, 256) == [*expected, (1, 256, 256)]


def dropouts(network: nn.Module) -> dict[str, float]:
    return {name: layer.p for name, layer in network.named_modules() if isinstance(layer, nn.Dropout)}


def test_dropout_ends_the_contracting_path() -> None:
    for network in (OriginalUNet(start_channels=2), IsbiUNet(start_channels=2)):
        assert dropouts(network) == {"encoder.blocks.3.layers.4": 0.5, "encoder.blocks.4.layers.4": 0.5}


def test_the_skip_of_the_fourth_block_is_thinned_out() -> None:
    torch.manual_seed(0)
    network = IsbiUNet(start_channels=8).train()
    *others, fourth, fifth = network.encoder(torch.rand(1, 1, 64, 64))
    lost = [float((features == 0).all(dim=(2, 3)).float().mean()) for features in (fourth, fifth)]
    zeros = [float((features == 0).float().mean()) for features in (fourth, fifth)]
    assert all(share > 0.6 for share in zeros), "half by ReLU, and half of the rest by dropout"
    assert all(share < 0.5 for share in lost), "single pixels are dropped, not channels"
    assert all((features == 0).float().mean() < 0.6 for features in others)


def test_dropout_of_light_is_in_every_block() -> None:
    found = dropouts(LightUNet())
    assert set(found.values()) == {0.3}
    places = [f"encoder.blocks.{level}.layers.2" for level in range(5)]
    assert [*found] == places + [f"decoder.blocks.{level}.layers.2" for level in range(4)]
    assert not dropouts(LightUNet(dropout=0))


def test_light_concatenates_up_before_skip() -> None:
    network = LightUNet().eval()
    seen: list[Tensor] = []
    network.decoder.blocks[-1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    features = network.encoder(torch.rand(1, 3, 16, 16))
    network.decoder(features)
    assert torch.equal(seen[0][:, 64:], features[0])


def test_the_head_of_isbi() -> None:
    head = IsbiUNet(start_channels=4, depth=1).segmentation_head
    assert [type(layer) for layer in head] == [nn.Conv2d, nn.ReLU, nn.Conv2d]
    assert (head[0].in_channels, head[0].out_channels, head[0].kernel_size, head[2].kernel_size) == (
        4,
        2,
        (3, 3),
        (1, 1),
    )


def test_isbi_and_original_are_initialised_by_he() -> None:
    torch.manual_seed(0)
    for network in (OriginalUNet(start_channels=16, depth=2), IsbiUNet(start_channels=16, depth=2)):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.numel() > 1000:
                inputs = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
                assert layer.weight.std().item() == pytest.approx((2 / inputs) ** 0.5, rel=0.05)
                assert layer.bias is not None and not layer.bias.any()


@pytest.mark.parametrize("network", SMALL, ids=lambda network: type(network).__name__)
def test_spec_rebuilds_the_network(network: Network) -> None:
    again = from_spec(network.spec)
    assert type(again) is type(network)
    assert again.spec == network.spec
    again.load_state_dict(network.state_dict())
    image = torch.randint(0, 256, (1, 3, 76, 76) if isinstance(network, OriginalUNet) else (1, 3, 48, 32)).byte()
    assert torch.equal(again.eval()(image), network.eval()(image))
    assert again(image).shape == (1, network.out_channels, *network.output_size(*image.shape[2:]))


@pytest.mark.parametrize("network", SMALL, ids=lambda network: type(network).__name__)
def test_every_parameter_learns(network: Network) -> None:
    torch.manual_seed(0)
    network.train()
    image = torch.randint(0, 256, (2, 3, 76, 76) if isinstance(network, OriginalUNet) else (2, 3, 48, 32)).byte()
    network(image).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("residual", [False, True])
def test_output_size_is_what_comes_out(depth: int, residual: bool) -> None:
    """All sides up to a few tiles: accepted ones work and give what is promised, and the first is the smallest."""
    with torch.device("meta"):
        network = UNet(start_channels=2, depth=depth, growth_rate=1.2, padding="valid", residual=residual)
    good = []
    for side in range(1, network.lost + 4 * network.divisor):
        try:
            network.check_size(side, side)
        except ConfigurationError:
            continue
        good.append(side)
    assert len(good) >= 3 and {b - a for a, b in pairwise(good)} == {network.divisor}
    for side in good[:2]:
        logits = network(torch.empty(1, 3, side, good[2], dtype=torch.uint8, device="meta"))
        assert tuple(logits.shape[2:]) == network.output_size(side, good[2])
    assert 0 < network.output_size(good[0], good[0])[0] <= network.divisor


@pytest.mark.parametrize(
    "height, width, sentence",
    [
        (572, 570, "resize or mirror to height 572 and width 572, of which 388 x 388 are predicted"),
        (100, 572, "resize or mirror to height 188 and width 572, of which 4 x 388 are predicted"),
        (573, 574, "resize or mirror to height 588 and width 588"),
        (0, 1, "sides of 188, or a multiple of 16 more"),
    ],
)
def test_sizes_that_leave_nothing_or_do_not_divide(height: int, width: int, sentence: str) -> None:
    with torch.device("meta"):
        network = OriginalUNet()
    with pytest.raises(ConfigurationError, match=sentence):
        network.check_size(height, width)


def test_without_padding_only_true_pixels_count() -> None:
    """What is predicted does not change when the picture goes on beyond what it was computed from."""
    torch.manual_seed(0)
    network = UNet(start_channels=4, depth=2, padding="valid").eval()
    image = torch.randint(0, 256, (1, 3, 92, 92), dtype=torch.uint8)
    part = network(image[..., 8:72, 16:80])
    assert part.shape[-1] == 24
    torch.testing.assert_close(part, network(image)[..., 8:32, 16:40])


@pytest.mark.parametrize("network", [OriginalUNet, IsbiUNet, LightUNet])
def test_wrong_settings(network: type[Network]) -> None:
    with pytest.raises(ConfigurationError, match="dropout 1"):
        network(dropout=1.0)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="out_channels 0"):
        network(out_channels=0)  # type: ignore[call-arg]
