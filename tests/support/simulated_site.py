"""Eyes of a site whose readers draw the cup where its logit exceeds a number that is not the network's."""

from pathlib import Path

import numpy as np

from fundusseg.data.identity import Identity
from fundusseg.evaluation.site_eyes import SiteEye
from fundusseg.imaging.roi import Box
from fundusseg.measures.cup_disc import measure
from fundusseg.sample import Record

S, SHAPE = 96, (240, 240)
DISC_RADIUS = 20.0  # pixels of S: the square is 2.4 diameters
SLOPE = 1.5  # logits that the cup's edge falls in a pixel of S


def eyes(
    count: int, shift: float, seed: int = 0, noise: float = 0.5, drawn: bool = True, start: int = 0
) -> list[SiteEye]:
    """Simulated eyes.

    Args:
        count: How many, each of a patient of its own.
        shift: Logit above which the readers see cup, where the network's threshold is at 0.
        seed: Of the chance.
        noise: Standard deviation of the readers' own logit.
        drawn: Whether outlines are known, or the ratio alone.
    """
    generator = np.random.default_rng(seed)
    return [_eye(f"eye{number}", shift, generator, noise, drawn) for number in range(count)]


def _eye(name: str, shift: float, generator: np.random.Generator, noise: float, drawn: bool) -> SiteEye:
    cup_radius = generator.uniform(6, 13)
    views = np.stack([_logits(S, 1.0, cup_radius + generator.normal(0, 0.3)) for _ in range(4)])  # 4 x 2 x S x S
    native = _logits(SHAPE[0], SHAPE[0] / S, cup_radius)
    reader = shift + generator.normal(0, noise)
    disc, cup = native[0] > 0, native[1] > reader
    outlines = disc.astype(np.uint8) + (disc & cup)
    probabilities = (1 / (1 + np.exp(-views))).astype(np.float32)
    record = Record("site", name, Path(f"{name}.png"), name, ("disc", "cup"))
    ratio = measure(outlines).vertical_cdr
    identity = Identity(f"{len(name):016}", name, "")
    whole = Box(0, 0, *SHAPE)
    return SiteEye(record, identity, ratio, whole, (probabilities,), SHAPE, outlines if drawn else None)


def _logits(side: int, scale: float, cup_radius: float) -> np.ndarray:
    """2 x side x side: disc and cup, falling from the centre."""
    rows, columns = np.indices((side, side))
    distance = np.hypot(rows - (side - 1) / 2, columns - (side - 1) / 2) / scale
    return np.stack([(DISC_RADIUS - distance) * 3, (cup_radius - distance) * SLOPE])
