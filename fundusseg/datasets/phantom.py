"""Synthetic colour fundus photographs with known discs and cups."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from fundusseg.datasets._phantom_ellipse import Ellipse
from fundusseg.datasets._phantom_painting import paint
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record, Region, Sample

GLAUCOMA_RATIO = 0.65
"""Vertical cup/disc ratio from which a phantom counts as glaucoma."""

SMALLEST = 32
"""Smallest phantom in pixels: below it a cup is too small to have a shape."""


@dataclass(frozen=True, slots=True)
class PhantomTruth:
    """The disc and cup of a phantom, and the ratios in closed form.

    Attributes:
        disc: The whole disc.
        cup: The cup, always inside the disc.
        eye: The eye that has its disc on this side.
    """

    disc: Ellipse
    cup: Ellipse
    eye: Eye

    @property
    def temporal(self) -> float:
        """Towards the temporal side along x: -1 in a right eye's photograph, 1 in a left eye's."""
        return 1.0 if self.eye == "OS" else -1.0

    @property
    def vertical_cdr(self) -> float:
        """Vertical cup/disc ratio."""
        return self.cup.half_height / self.disc.half_height

    @property
    def horizontal_cdr(self) -> float:
        """Horizontal cup/disc ratio."""
        return self.cup.half_width / self.disc.half_width

    @property
    def area_cdr(self) -> float:
        """Area cup/disc ratio."""
        return self.cup.area / self.disc.area


class Phantom(FundusDataset):
    """Synthetic colour fundus photographs, made when they are asked for, the same ones for the same seed.

    - Images: any number, square, any size from 32 px; four looks of field of view, colour and contrast.
    - Masks: disc and cup are rotated ellipses with known axes, the cup inside the disc; a pixel belongs to
      one when its centre lies inside. ``truth`` gives the ellipses and the ratios in closed form.
    - Experts: one draws the truth itself; several draw ellipses that differ from it by a few per cent.
    - Eye: as in photographs, the disc of a right eye (OD) lies right of the middle.
    - Diagnosis: glaucoma from a vertical cup/disc ratio of 0.65, else healthy.
    - Split: none. Licence: made by this program, free of any.

    They are for tests, tutorials and timing. A network trained on them knows nothing of eyes.

    Args:
        count: Number of photographs.
        size: Width and height in pixels.
        seed: Another seed makes other photographs.
        experts: Experts who drew each region.
        regions: Regions that are labelled, of disc and cup.
        name: Name of the source; give each of several phantoms its own.
    """

    source: str = "phantom"
    licence = "none: made by fundusseg"
    citation = "none: made by fundusseg"
    layout = "no files"

    def __init__(
        self,
        count: int = 200,
        size: int = 256,
        seed: int = 0,
        experts: int = 1,
        regions: Sequence[Region] = (DISC, CUP),
        name: str = "phantom",
    ) -> None:
        super().__init__(Path())
        for what, value, least, most in (
            ("count", count, 1, 1_000_000),
            ("size", size, SMALLEST, 16_384),
            ("experts", experts, 1, 100),
        ):
            if not least <= value <= most:  # more would keep a machine busy until its memory is full
                raise ConfigurationError(f"{what}={value} for Phantom", f"{least} to {most:,}", f"change {what}")
        if seed < 0:
            raise ConfigurationError(f"seed={seed} for Phantom", "0 or more", "choose another seed")
        if not regions or not set(regions) <= {DISC, CUP} or len(set(regions)) < len(regions):
            raise ConfigurationError(
                f"regions={list(regions)} for Phantom", f"{DISC}, {CUP} or both", "choose of these regions"
            )
        self.count, self.size, self.seed, self.experts = count, size, seed, experts
        self.regions = tuple(regions)
        self.source = name

    def under(self, parent: str | Path) -> Self:
        """The phantom itself: it has no files."""
        return self

    @cached_property
    def _listing(self) -> dict[str, list[Path]]:
        """No files."""
        return {"": []}

    def index(self) -> list[Record]:
        """List the phantoms; none is made yet."""
        return [self._record(number) for number in range(self.count)]

    def truth(self, record: Record) -> PhantomTruth:
        """The ellipses of one phantom."""
        return _truth(self._generator(record), self.size)

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Fill each expert's ellipses."""
        truth = self.truth(record)
        drawn = [truth] * self.experts
        if self.experts > 1:
            drawn = [_redrawn(truth, self._generator(record, 2, k)) for k in range(self.experts)]
        return [
            Annotation(region, f"expert{number}", (one.disc if region == DISC else one.cup).mask(shape))
            for region in self.regions
            for number, one in enumerate(drawn, start=1)
        ]

    def load(self, record: Record) -> Sample:
        """Make one phantom and its annotations."""
        truth = self.truth(record)
        image = paint(truth.disc, truth.cup, truth.temporal, self.size, self._generator(record, 1))
        return Sample(record, image, tuple(self.annotate(record, image.shape[:2])))

    def _record(self, number: int) -> Record:
        name = f"{number:05d}"
        # The same draws as of `truth(record)`: eye and diagnosis are known without painting a pixel.
        truth = _truth(np.random.default_rng((self.seed, number)), self.size)
        diagnosis: Diagnosis = "glaucoma" if truth.vertical_cdr >= GLAUCOMA_RATIO else "healthy"
        image = Path(self.source) / name
        return Record(self.source, name, image, name, self.regions, eye=truth.eye, diagnosis=diagnosis)

    def _generator(self, record: Record, *use: int) -> np.random.Generator:
        """Random numbers of one phantom, apart for each use, so that one never shifts another."""
        # Uses: none is the truth, 1 the painting, 2 and a number one expert's hand.
        return np.random.default_rng((self.seed, int(record.name), *use))


def _truth(rng: np.random.Generator, size: int) -> PhantomTruth:
    """Draw a disc and, in the frame where the disc is a unit circle, a cup that stays inside it."""
    side = rng.choice([-1.0, 1.0])
    # Semi-axis in pixels: a disc is 0.19 to 0.29 of the picture wide, and about upright, as most discs are.
    a = size * rng.uniform(0.095, 0.145)
    disc = Ellipse(
        x=size * (0.5 + side * rng.uniform(0.10, 0.22)),
        y=size * rng.uniform(0.44, 0.56),
        a=float(a),
        b=float(a * rng.uniform(0.84, 0.97)),
        angle=float(np.pi / 2 + rng.uniform(-0.4, 0.4)),
    )
    along = rng.uniform(0.30, 0.86)
    across = float(np.clip(along * rng.uniform(0.88, 1.12), 0.28, 0.88))
    # 0.95, not 1: some rim is left all around, so that every angle has a ratio.
    shift = rng.uniform(0.0, min(0.95 - max(along, across), 0.12))
    cup = _inside(disc, float(along), across, float(shift), rng.uniform(0, 2 * np.pi))
    return PhantomTruth(disc, cup, eye="OD" if side > 0 else "OS")


def _inside(disc: Ellipse, along: float, across: float, shift: float, towards: float) -> Ellipse:
    """A cup with the disc's angle; inside it as long as shift + max(along, across) <= 1."""
    # The shift along the disc's own axes, then turned into x and y of the picture.
    u, v = disc.a * shift * np.cos(towards), disc.b * shift * np.sin(towards)
    cos, sin = np.cos(disc.angle), np.sin(disc.angle)
    x, y = disc.x + u * cos - v * sin, disc.y + u * sin + v * cos
    return Ellipse(float(x), float(y), disc.a * along, disc.b * across, disc.angle)


def _redrawn(truth: PhantomTruth, rng: np.random.Generator) -> PhantomTruth:
    """The same disc and cup by another hand: the disc 2% off, the cup, harder to see, 5%."""
    disc, cup = truth.disc, truth.cup
    hand = rng.normal(0.0, 0.02, 4)
    drawn = Ellipse(
        x=disc.x + disc.b * hand[0],
        y=disc.y + disc.b * hand[1],
        a=disc.a * (1 + hand[2]),
        b=disc.b * (1 + hand[3]),
        angle=disc.angle + rng.normal(0.0, 0.05),
    )
    # The bounds keep the cup inside the disc that this hand drew, as `_inside` asks.
    along, across = (min(r, 0.9) for r in (cup.a, cup.b) / np.array([disc.a, disc.b]) * rng.normal(1, 0.05, 2))
    shift = min(np.hypot(cup.x - disc.x, cup.y - disc.y) / disc.a, 0.95 - max(along, across))
    towards = np.arctan2(cup.y - disc.y, cup.x - disc.x) - disc.angle + rng.normal(0.0, 0.1)
    return PhantomTruth(drawn, _inside(drawn, float(along), float(across), float(max(shift, 0.0)), towards), truth.eye)
