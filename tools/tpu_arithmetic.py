"""What the shipped recipes should reach on TPUs, by arithmetic: nothing here was timed on one.

    python tools/tpu_arithmetic.py [RECIPE ...] [--utilisation 0.4]

Of each recipe's network: multiplications and additions of one picture's training step (three times those of its
convolutions forward, as each is computed again for the gradients of pixels and of weights), the bytes that a training
must at least move through the chip's memory for it, and the pictures a second of one chip at the utilisation given, or
as its memory allows. The bytes are those of each layer's output in bfloat16: written and read on the way forward, read
on the way back, its gradient written and read then; weights are shared by the batch. The host must feed uint8 squares
and targets at that rate: beside it stand the processes of one core each that our loader would take for that, if a
core gives `FEED` squares a second, which is assumed.

Peaks are Google's, TFLOP/s in bfloat16 and GB/s of one chip: of v5e and v6e from cloud.google.com/tpu/docs/v5e and v6e;
of v2 a quarter of the 180 TFLOP/s announced for a board of four, and a bandwidth that was not looked up. The published
system that the first recipe follows reports 427 pictures a second on a v2-8, four chips (Civit-Masot et al. 2019, doi
10.1109/ACCESS.2019.2944692).
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fundusseg.models import checkpoint

CONFIGS = Path(__file__).parents[1] / "configs"
RECIPES = (
    *("tpu", "merged", "localiser", "bundle/segmenter"),
    *("seeds/isbi_membrane", "seeds/mu_net_sclera", "seeds/original_unet", "seeds/unet_light_cup"),
)
CHIPS = {"v2": (45e12, 700e9), "v5e": (197e12, 819e9), "v6e": (918e12, 1600e9)}
"""FLOP/s in bfloat16, and bytes a second of the memory."""

SLICES = (1, 4, 8, 64, 256)
"""Chips, for the rates of slices; 256 are a whole pod of either kind."""

PUBLISHED, PUBLISHED_CHIPS = 427.0, 4
PASSES = 5
"""Times that a layer's output, or its gradient, goes through memory."""

FEED = 1000.0
"""Augmented squares of 128 pixels a second that one core gives: assumed; tools/benchmark_data.py measures it."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one picture.

    Attributes:
        side: Of the square, in pixels.
        train: FLOPs of a training step.
        predict: FLOPs of a prediction.
        moved: Least bytes through the chip's memory in a training step.
        fed: Bytes that the host sends.
    """

    side: int
    train: float
    predict: float
    moved: float
    fed: float

    def rate(self, chip: str, utilisation: float) -> tuple[float, float]:
        """Pictures a second of one chip by its multiplications, and at most by its memory."""
        flops, bandwidth = CHIPS[chip]
        return utilisation * flops / self.train, bandwidth / self.moved


def cost(recipe: Path) -> Cost:
    """Count on tensors without values: a network of any size takes no memory."""
    settings = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    side, regions = settings["data"]["image_size"], settings["data"].get("regions", ["disc", "cup"])
    spec = settings["model"]["model"]
    arguments = {"out_channels": len(regions), **spec.get("init_args", {})}
    with torch.device("meta"):
        network = checkpoint.from_spec({**spec, "init_args": arguments})
        pixels = torch.empty(1, 3, side, side, dtype=torch.uint8)
    moved = 0

    def note(_: nn.Module, __: Any, output: Tensor) -> None:
        nonlocal moved
        moved += 2 * PASSES * output.numel()

    for layer in network.modules():
        if not [*layer.children()]:
            layer.register_forward_hook(note)
    # In evaluation: batch norm over one picture of one pixel has no variance; its cost is none of a convolution's.
    with FlopCounterMode(display=False) as forward:
        network.eval()(pixels)
    predict = forward.get_total_flops()
    return Cost(side, 3 * predict, predict, moved, side * side * (3 + len(regions)))


def lines(recipes: list[Path], utilisation: float) -> list[str]:
    """The page."""
    costs = {recipe.relative_to(CONFIGS).with_suffix("").as_posix(): cost(recipe) for recipe in recipes}
    said = [f"{'recipe':24}{'side':>6}{'GFLOP train':>13}{'predict':>9}{'MB moved':>10}{'kB fed':>8}"]
    for name, one in costs.items():
        counts = f"{one.train / 1e9:>13.2f}{one.predict / 1e9:>9.2f}{one.moved / 1e6:>10.1f}{one.fed / 1e3:>8.1f}"
        said.append(f"{name:24}{one.side:>6}{counts}")
    for chip in CHIPS:
        said += ["", f"{chip}: pictures a second in training at {utilisation:.0%}, or as memory allows; MB/s and cores"]
        said.append(
            f"{'chips':24}" + "".join(f"{chips:>12,}" for chips in SLICES) + f"{'bound by':>12}{'MB/s':>8}{'cores':>7}"
        )
        for name, one in costs.items():
            by_flops, by_memory = one.rate(chip, utilisation)
            rate, bound = min((by_flops, "arithmetic"), (by_memory, "memory"))
            rates = "".join(f"{chips * rate:>12,.0f}" for chips in SLICES)
            cores = rate * (one.side / 128) ** 2 / FEED
            said.append(f"{name:24}{rates}{bound:>12}{rate * one.fed / 1e6:>8.0f}{cores:>7.1f}")
    one = costs.get("tpu")
    if one is not None:
        share = PUBLISHED * one.train / (PUBLISHED_CHIPS * CHIPS["v2"][0])
        by_memory = PUBLISHED * one.moved / (PUBLISHED_CHIPS * CHIPS["v2"][1])
        said += [
            "",
            f"Published, {PUBLISHED:.0f} pictures a second on {PUBLISHED_CHIPS} chips of v2 with the network of "
            f"`tpu`: {share:.1%} of their arithmetic, {by_memory:.1%} of their memory's bandwidth.",
        ]
    return said


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help=f"below configs, without .yaml [{', '.join(RECIPES)}]")
    parser.add_argument("--utilisation", type=float, default=0.4, help="share of the peak that is reached")
    given = parser.parse_args()
    paths = [CONFIGS / f"{name}.yaml" for name in given.recipes or RECIPES]
    print("\n".join(lines(paths, given.utilisation)))


if __name__ == "__main__":
    main()
