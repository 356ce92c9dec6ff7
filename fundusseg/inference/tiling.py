"""Overlap-tile inference: pictures of any size, seamless, by a network that takes squares of one size."""

from collections.abc import Callable

import torch
from torch import Tensor

from fundusseg.errors import ConfigurationError
from fundusseg.models import Network

DIVISOR = 32
"""Taken where a network does not tell its own: five poolings, as most networks have."""


@torch.inference_mode()
def predict_tiled(
    network: Callable[[Tensor], Tensor],
    image: Tensor,
    tile: int,
    out: int | None = None,
    divisor: int | None = None,
) -> Tensor:
    """Predict a picture tile by tile, with mirrored pixels around it.

    Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597, figure 2. Tiles stand multiples of the divisor apart, so
    that pooling meets the same pixels in each. A network without padding then gives what it would give for the whole
    mirrored picture at once. One with padding does so where ``(tile - out) / 2`` reaches as far as the network sees,
    except near the picture's own border, which is mirrored here and zero there.

    Args:
        network: uint8 1 x C x ``tile`` x ``tile`` to logits 1 x R x L x L of its middle; in evaluation mode.
        image: C x H x W uint8, of any size.
        tile: Side of what the network is given, in pixels.
        out: Side of what is kept of it, a multiple of the divisor; with padding there must be one on either side too.
            None takes all that a network without padding gives, and the middle half of what one with padding gives, or
            as nearly so as multiples allow.
        divisor: Product of the network's poolings; None takes the network's own, or `DIVISOR`.

    Returns:
        R x H x W float32 probabilities, the logits' sigmoid.

    Raises:
        ConfigurationError: The tile does not suit the network, or leaves less than is to be kept.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise ConfigurationError(
            f"a picture of shape {tuple(image.shape)}", "channels x height x width", "give one picture at a time"
        )
    divisor = divisor or int(getattr(network, "divisor", DIVISOR))
    side = _logits_side(network, image, tile)
    out, margin = _kept(side, tile, out, divisor)
    # What the network is given beyond what is kept of it, on either side: lost to missing padding, and cut off.
    border = (tile - side) // 2 + margin
    middle = slice(margin, margin + out)

    def predict(top: int, left: int) -> Tensor:
        logits = network(_window(image, top - border, left - border, tile))
        # 1 x R x L x L to R x out x out.
        return logits[0, :, middle, middle].float().sigmoid()

    height, width = image.shape[1:]
    rows = [torch.cat([predict(top, left) for left in range(0, width, out)], 2) for top in range(0, height, out)]
    # The last tiles reach beyond the picture.
    return torch.cat(rows, 1)[:, :height, :width]


def _logits_side(network: Callable[[Tensor], Tensor], image: Tensor, tile: int) -> int:
    """Side of the logits of one tile; a foreign network is tried."""
    if isinstance(network, Network):
        network.check_size(tile, tile)
        return network.output_size(tile, tile)[0]
    return int(network(_window(image, 0, 0, tile)).shape[-1])


def _kept(side: int, tile: int, out: int | None, divisor: int) -> tuple[int, int]:
    """How much of the logits is kept, and how much before it is not.

    Raises:
        ConfigurationError: Nothing can be kept, or not so much.
    """
    padded = side == tile
    if out is None:
        out = tile - 2 * max(divisor, tile // 4 // divisor * divisor) if padded else side // divisor * divisor
    margin = (tile - out) // 2 if padded else 0
    if not 0 < out <= side <= tile or out % divisor or margin % divisor or (tile - side) % 2:
        beside = f", with a multiple of {divisor} on either side of it" if padded else ""
        raise ConfigurationError(
            f"{max(out, 0)} pixels to keep of tiles of {tile}, of which {side} are predicted",
            f"a multiple of {divisor}, at least {divisor}{beside}",
            "give a larger tile, or keep another part of it",
        )
    return out, margin


def _window(image: Tensor, top: int, left: int, side: int) -> Tensor:
    """1 x C x side x side pixels from any place, the picture mirrored at its borders."""
    rows, columns = _mirrored(top, side, image.shape[1]), _mirrored(left, side, image.shape[2])
    return image[:, rows.to(image.device)[:, None], columns.to(image.device)][None]


def _mirrored(start: int, count: int, size: int) -> Tensor:
    """Positions from ``start`` on, folded back into 0 .. size - 1; the border itself is not repeated."""
    # 0 1 2 3 2 1 | 0 1 2 3 2 1 for a size of 4; of a single pixel the period is 1.
    period = max(2 * (size - 1), 1)
    folded = torch.arange(start, start + count) % period
    return torch.minimum(folded, period - folded)
