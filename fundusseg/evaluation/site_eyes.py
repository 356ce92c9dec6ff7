"""The eyes that a site gives to calibrate with: each segmented once, beside what its reader says of it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fundusseg.data.expert_fusion import fuse
from fundusseg.data.identity import Identity, identify
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import ConfigurationError, FundusSegError
from fundusseg.imaging.csv_files import PATH_COLUMNS, read_rows
from fundusseg.imaging.image_files import read_photograph
from fundusseg.imaging.roi import Box, bounds, crop
from fundusseg.inference.photograph_list import listed_file
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.square import SegmentedSquare, Views, combine, segmented_square
from fundusseg.measures.cup_disc import measure
from fundusseg.measures.label_map import label_map, label_map_of_masks, region_mask
from fundusseg.measures.region_metrics import Mask
from fundusseg.sample import CUP, DISC, Image, Record, Region

SIDE = 320
"""Pixels of the square on which thresholds are compared: a ratio is then known to 0.01, as in most photographs."""

RATIO_COLUMNS = ("vertical_cdr", "vcdr", "cdr", "ratio")
"""Columns that may hold a reader's vertical ratio, the first that is there."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One photograph and what a reader says of it.

    Attributes:
        record: The photograph; it need not be readable.
        image: H x W x 3 uint8 RGB.
        ratio: The reader's vertical cup/disc ratio, 0..1.
        outlines: H x W label map as the reader drew it; None where the ratio alone is known.
    """

    record: Record
    image: Image
    ratio: float
    outlines: Image | None = None


class Readings(Protocol):
    """A site's photographs with what its readers say of them."""

    @property
    def records(self) -> Sequence[Record]:
        """The photographs."""

    def read(self, record: Record) -> Reading:
        """Decode one; raises a FundusSegError where it cannot be."""


class OutlineReadings:
    """Eyes of a dataset whose disc and cup are both drawn.

    Args:
        datasets: Of the site; pictures without a cup are left out.
    """

    def __init__(self, datasets: Sequence[FundusDataset]) -> None:
        self.of = {
            record.key: dataset
            for dataset in datasets
            for record in dataset.records
            if {DISC, CUP} <= set(record.regions)
        }
        self.records = [record for dataset in datasets for record in dataset.records if record.key in self.of]

    def read(self, record: Record) -> Reading:
        """Decode one picture; of several experts the majority counts."""
        sample = self.of[record.key].load(record)
        truth = {region: fuse(sample.of(region), "majority") > 127 for region in (DISC, CUP)}
        outlines = label_map_of_masks(truth, (DISC, CUP))
        return Reading(record, sample.image, measure(outlines).vertical_cdr, outlines)


class RatioReadings:
    """A table of vertical ratios, without outlines: a column that names the photograph, one of `RATIO_COLUMNS`.

    Args:
        path: CSV file; a column ``patient`` says which photographs are of one person.
        source: Name of the site.

    Raises:
        ConfigurationError: The table cannot be read, a column is missing, or a ratio is none.
    """

    def __init__(self, path: Path, source: str = "site") -> None:
        try:
            (_, heading), *rows = read_rows(path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"a table of ratios that cannot be read: {path} ({type(error).__name__})",
                "a CSV file with a heading",
                "check --ratios",
            ) from error
        columns = [cell.lower() for cell in heading]
        where, ratio = (_column(columns, names, path) for names in (PATH_COLUMNS, RATIO_COLUMNS))
        patient = columns.index("patient") if "patient" in columns else where
        self.ratios: dict[str, float] = {}
        records = []
        for line, row in rows:
            cells = row + [""] * (len(columns) - len(row))
            record = Record(source, cells[where], listed_file(cells[where], path.parent), cells[patient], (DISC, CUP))
            if record.key in self.ratios:
                raise ConfigurationError(f"{cells[where]} twice in {path}", "each photograph once", f"mend line {line}")
            self.ratios[record.key] = _ratio(cells[ratio], path, line)
            records.append(record)
        self.records = records

    def read(self, record: Record) -> Reading:
        """Decode one photograph."""
        return Reading(record, read_photograph(record.image), self.ratios[record.key])


def _column(columns: Sequence[str], names: Sequence[str], path: Path) -> int:
    for name in names:
        if name in columns:
            return columns.index(name)
    raise ConfigurationError(
        f"columns {', '.join(columns)} in {path}", f"one named {' or '.join(names)}", "name it so in the first line"
    )


def _ratio(cell: str, path: Path, line: int) -> float:
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{cell!r} as ratio in line {line} of {path}", "a number from 0 to 1", "mend it")
    return value


@dataclass(frozen=True, eq=False)
class SiteEye:
    """A segmented eye, cut down to the part of the photograph that anyone marked or looked at.

    Attributes:
        record: The photograph.
        identity: What it is recognised by, so that nobody takes it for unseen later.
        ratio: The reader's vertical ratio, 0..1.
        square: What the networks saw, in pixels of the part.
        views: What they said.
        shape: Height and width of the part.
        outlines: Of the part, H x W label map; None where the ratio alone is known.
    """

    record: Record
    identity: Identity
    ratio: float
    square: Box
    views: Views = field(repr=False)
    shape: tuple[int, int]
    outlines: Image | None = field(repr=False)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """R x SIDE x SIDE, mean of networks and views."""
        return combine(self.views, Box(0, 0, SIDE, SIDE), (SIDE, SIDE))[1]

    @cached_property
    def _truth(self) -> dict[Region, Mask]:
        """The reader's regions on the same pixels."""
        assert self.outlines is not None
        masks = {region: region_mask(self.outlines, region).astype(np.uint8) * 255 for region in (DISC, CUP)}
        return {region: crop(mask, self.square, SIDE) > 127 for region, mask in masks.items()}

    def losses(self, region: Region, thresholds: Mapping[Region, float], tried: Sequence[float]) -> list[float]:
        """What a reader would mind of one region at each of several thresholds, 0 where all is as he or she drew it.

        Of the disc 1 - Dice; of the cup the ratio's absolute error, and, where it is drawn, 1 - Dice added to that.

        Args:
            region: Disc or cup.
            thresholds: Of all regions, in their order; the disc's decides where a cup may lie.
            tried: For this region, in place of its own.
        """
        channels = dict(zip(thresholds, self.probabilities, strict=True))
        if region == DISC:
            return [1 - _dice(_area(channels[DISC], DISC, tried_one), self._truth[DISC]) for tried_one in tried]
        disc = _area(channels[DISC], DISC, thresholds[DISC])
        return [self._cup_loss(_area(channels[CUP] * disc, CUP, tried_one), disc) for tried_one in tried]

    def _cup_loss(self, cup: Mask, disc: Mask) -> float:
        error = abs(_heights_ratio(cup, disc) - self.ratio)
        return error if self.outlines is None else error + 1 - _dice(cup, self._truth[CUP])

    def at(self, thresholds: Mapping[Region, float]) -> SegmentedSquare:
        """Disc and cup at these thresholds, at native size, exactly as `Predictor` draws them."""
        return segmented_square(self.square, self.views, self.shape, thresholds)


def _area(probabilities: npt.NDArray[np.float32], region: Region, threshold: float) -> Mask:
    """One region by itself, as a label map has it."""
    return label_map(probabilities[None], (region,), threshold) > 0


def _heights_ratio(cup: Mask, disc: Mask) -> float:
    inner, outer = bounds(cup), bounds(disc)
    return (inner.height if inner else 0) / outer.height if outer else 0.0


def _dice(found: Mask, true: Mask) -> float:
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def segment_eye(predictor: Predictor, reading: Reading) -> SiteEye | str:
    """Segment one eye; where it cannot help, say why not."""
    assessed = predictor.assess(reading.image)
    if assessed.quality is not None and assessed.quality.faults:
        return "; ".join(assessed.quality.faults)
    found = predictor.segment(assessed, predictor.locate(assessed))
    if not found.disc.any():
        return "no disc found"
    if not math.isfinite(reading.ratio):
        return "no ratio: the reader marked no disc"
    rows, columns = _part(found, reading.outlines)
    square = Box(
        found.square.top - rows.start, found.square.left - columns.start, found.square.height, found.square.width
    )
    shape = rows.stop - rows.start, columns.stop - columns.start
    outlines = None if reading.outlines is None else reading.outlines[rows, columns].copy()
    identity = identify(reading.record, reading.image)
    return SiteEye(reading.record, identity, reading.ratio, square, found.views, shape, outlines)


def _part(found: SegmentedSquare, outlines: Image | None) -> tuple[slice, slice]:
    """Rows and columns that hold the square, where it lies in the photograph, and all that the reader marked."""
    rows, columns = found.inside
    drawn = None if outlines is None else bounds(outlines)
    if drawn is None:
        return rows, columns
    return (
        slice(min(rows.start, drawn.top), max(rows.stop, drawn.top + drawn.height)),
        slice(min(columns.start, drawn.left), max(columns.stop, drawn.left + drawn.width)),
    )


def segment_eyes(predictor: Predictor, readings: Readings) -> Iterator[SiteEye | str]:
    """Segment eyes in turn; a photograph that cannot be used is a sentence that says why."""
    for record in readings.records:
        try:
            yield segment_eye(predictor, readings.read(record))
        except FundusSegError as error:
            yield str(error)
