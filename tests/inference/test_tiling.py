"""Tiles put together give what the whole picture gives."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fundusseg.errors import ConfigurationError
from fundusseg.inference.tiling import predict_tiled
from fundusseg.models import OriginalUNet, UNet

torch.set_num_threads(1)


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def sharp(network: UNet) -> UNet:
    """An untrained network answers 0.5 everywhere, which proves nothing: its logits are spread to a deviation of 1."""
    network.eval()
    side = network._unpadded_side(64) if network.padding == "valid" else 64
    with torch.no_grad():
        logits = network(picture(side, side, seed=1)[None])
        head = network.segmentation_head
        head.bias -= logits.mean((0, 2, 3))
        spread = 1 / logits.std((0, 2, 3))
        head.weight *= spread[:, None, None, None]
        head.bias *= spread
    return network


def unpadded(depth: int) -> UNet:
    torch.manual_seed(depth)
    return sharp(UNet(start_channels=4, depth=depth, padding="valid", growth_rate=1.5))


def padded(depth: int) -> UNet:
    torch.manual_seed(depth)
    return sharp(UNet(start_channels=4, depth=depth))


@torch.inference_mode()
def whole(network: UNet, image: Tensor) -> Tensor:
    """The network on the whole picture, mirrored by numpy as far as it loses pixels, and beyond to a good size."""
    height, width = image.shape[1:]
    before = network.lost // 2
    pads = [(before, network._unpadded_side(side + network.lost) - side - before) for side in (height, width)]
    mirrored = torch.from_numpy(np.pad(image.numpy(), [(0, 0), *pads], "reflect"))
    probabilities = network(mirrored[None])[0, :, :height, :width].sigmoid()
    assert probabilities.std() > 0.1
    return probabilities


@pytest.mark.parametrize("depth, tile", [(1, 36), (2, 64), (3, 132)])
@pytest.mark.parametrize("height, width", [(96, 96), (75, 110), (31, 64)])
def test_without_padding_tiles_are_the_whole_everywhere(depth: int, tile: int, height: int, width: int) -> None:
    network, image = unpadded(depth), picture(height, width)
    tiled = predict_tiled(network, image, tile)
    assert tiled.shape == (2, height, width)
    torch.testing.assert_close(tiled, whole(network, image).float(), rtol=0, atol=1e-5)


def test_the_published_network_in_small() -> None:
    torch.manual_seed(0)
    network = sharp(OriginalUNet(start_channels=2)).double()  # Two channels of 18 layers: too few digits in float32.
    image = picture(70, 50)
    tiled = predict_tiled(network, image, tile=220)
    torch.testing.assert_close(tiled, whole(network, image).float(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("height, width", [(160, 160), (132, 200)])
def test_with_padding_tiles_are_the_whole_inside(height: int, width: int) -> None:
    """The network sees 30 pixels far; the margin is 32, and the picture's own border is another 32."""
    network, image = padded(2), picture(height, width)
    with torch.inference_mode():
        expected = network(image[None])[0].sigmoid()
    tiled = predict_tiled(network, image, tile=128, out=64)
    inside = (slice(None), slice(32, -32), slice(32, -32))
    torch.testing.assert_close(tiled[inside], expected[inside], rtol=0, atol=1e-5)
    seamy = predict_tiled(network, image, tile=64, out=64)
    assert (seamy[inside] - expected[inside]).abs().max() > 0.05, "without overlap there are seams"


def test_the_middle_half_is_kept_where_nothing_is_said() -> None:
    network, image = padded(2), picture(100, 90)
    assert torch.equal(predict_tiled(network, image, 64), predict_tiled(network, image, 64, out=32))


class Blur(nn.Module):
    """A foreign network: the mean of the 3 x 3 pixels around each, without padding."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.logit(nn.functional.avg_pool2d(image.float() / 255, 3, stride=1), eps=1e-6)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 5), (2, 40), (33, 7)])
def test_known_answer_at_mirrored_borders(height: int, width: int) -> None:
    image = picture(height, width)
    tiled = predict_tiled(Blur(), image, tile=34)
    around = image.numpy() / 255.0
    for axis, size in ((1, height), (2, width)):
        pad = [(1, 1) if other == axis else (0, 0) for other in range(3)]
        around = np.pad(around, pad, "reflect" if size > 1 else "edge")
    expected = sum(around[:, i : i + height, j : j + width] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(tiled.numpy(), expected, atol=1e-5)


def test_a_tile_far_larger_than_the_picture() -> None:
    """It is mirrored as often as it takes: a constant picture stays constant."""
    probabilities = predict_tiled(Blur(), torch.full((3, 3, 5), 51, dtype=torch.uint8), tile=66)
    torch.testing.assert_close(probabilities, torch.full((3, 3, 5), 0.2))


def test_every_tile_has_one_shape_and_no_gradient() -> None:
    network, shapes = unpadded(1), []
    network.register_forward_pre_hook(lambda layer, inputs: shapes.append(tuple(inputs[0].shape)))
    assert not predict_tiled(network, picture(50, 41), tile=36).requires_grad
    assert set(shapes) == {(1, 3, 36, 36)} and len(shapes) == 3 * 3


@pytest.mark.parametrize(
    "network, tile, out, sentence",
    [
        (UNet(start_channels=2, depth=2), 62, None, "resize or pad to height 64"),
        (unpadded(2), 60, 24, "24 pixels to keep of tiles of 60, of which 20 are predicted"),
        (unpadded(2), 60, 18, "a multiple of 4"),
        (unpadded(2), 62, None, "mirror to height 64"),
        (UNet(start_channels=2, depth=2), 64, 60, "on either side"),
        (UNet(start_channels=2, depth=2), 8, None, "0 pixels to keep of tiles of 8"),
        (Blur(), 33, None, "at least 32"),
    ],
)
def test_tiles_that_do_not_fit(network: nn.Module, tile: int, out: int | None, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        predict_tiled(network, picture(20, 20), tile, out)


def test_one_picture_at_a_time() -> None:
    with pytest.raises(ConfigurationError, match="one picture"):
        predict_tiled(unpadded(1), torch.zeros(1, 3, 20, 20, dtype=torch.uint8), 36)
