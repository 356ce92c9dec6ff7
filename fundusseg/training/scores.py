"""Overlap, accuracy and cup/disc ratio error, per region and source; state of fixed size, no read-out in a step.

Undefined is NaN: it never enters a mean, and it is counted.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from fundusseg.reports.metric_names import BOTH, VCDR_ERROR
from fundusseg.reports.tables import Score
from fundusseg.sample import CUP, DISC, PARENT, Region

ALL = "all"
"""The row over all sources, every sample counted once."""


def nest(masks: Tensor, regions: Sequence[Region]) -> Tensor:
    """Cut each region to the one it lies in by anatomy.

    Args:
        masks: (B, R, H, W), bool or probabilities.
        regions: Names of the R channels, parents first.

    Returns:
        Like ``masks``, each channel at most its parent's.
    """
    # Parents first, so that a grandparent has cut the parent already; minimum is "and" for bool.
    channels = list(masks.unbind(1))
    for position, region in enumerate(regions):
        if PARENT.get(region) in regions:
            parent = channels[regions.index(PARENT[region])]
            channels[position] = torch.minimum(channels[position], parent)
    return torch.stack(channels, 1)


def dice(prediction: Tensor, target: Tensor) -> Tensor:
    """Dice coefficient 2|A and B| / (|A| + |B|) of each region (Dice 1945, doi 10.2307/1932409).

    Args:
        prediction: bool (B, R, H, W).
        target: bool (B, R, H, W).

    Returns:
        float32 (B, R), 0..1; NaN where both are empty.
    """
    return 2 * _area(prediction & target) / (_area(prediction) + _area(target))


def iou(prediction: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of each region (Jaccard 1912, doi 10.1111/j.1469-8137.1912.tb05611.x).

    Args:
        prediction: bool (B, R, H, W).
        target: bool (B, R, H, W).

    Returns:
        float32 (B, R), 0..1; NaN where both are empty.
    """
    return _area(prediction & target) / _area(prediction | target)


def accuracy(prediction: Tensor, target: Tensor) -> Tensor:
    """Share of the picture's pixels that are told right, inside or outside of each region.

    A small region hardly moves it: nothing found of a cup is still right nearly everywhere.

    Args:
        prediction: bool (B, R, H, W).
        target: bool (B, R, H, W).

    Returns:
        float32 (B, R), 0..1.
    """
    return (prediction == target).float().mean((-2, -1))


def vertical_cdr(disc: Tensor, cup: Tensor) -> Tensor:
    """Vertical cup/disc ratio: rows that the cup spans over rows that the disc spans.

    Args:
        disc: bool (B, H, W).
        cup: bool (B, H, W).

    Returns:
        float32 (B,), 0 where there is a disc and no cup; NaN where there is no disc.
    """
    disc_height = _height(disc)
    return _height(cup) / torch.where(disc_height > 0, disc_height, torch.nan)


def _area(mask: Tensor) -> Tensor:
    return mask.sum((-2, -1), dtype=torch.float32)


def _place(mask: Tensor) -> Tensor:
    """Area, and the sums of row and column numbers: (B, R, 3) float32, equal for equal masks."""
    rows, columns = mask.sum(-1, dtype=torch.float32), mask.sum(-2, dtype=torch.float32)
    down, right = (torch.arange(sums.shape[-1], device=mask.device) for sums in (rows, columns))
    return torch.stack([rows.sum(-1), (rows * down).sum(-1), (columns * right).sum(-1)], -1)


def _height(mask: Tensor) -> Tensor:
    """Rows from the first to the last that the mask touches, (B,) float32."""
    rows = mask.any(-1)
    number = torch.arange(1, rows.shape[-1] + 1, device=mask.device)
    last = (rows * number).amax(-1)
    first = (rows * (rows.shape[-1] + 1 - number)).amax(-1)  # counted from below
    return (last + first - rows.shape[-1]).clamp(min=0).float()


class SegmentationScores(Metric):
    """Means of Dice, IoU, pixel accuracy and the absolute vertical cup/disc ratio error, for each source.

    Args:
        regions: Names of the channels, parents first.
        sources: Names that the batch's ``source`` counts in.

    Attributes:
        pictures: The last batch's own scores, float32 (B, columns); NaN where undefined, not labelled or padding.
    """

    pictures: Tensor
    full_state_update = False
    total: Tensor
    count: Tensor
    undefined: Tensor
    least: Tensor
    most: Tensor

    def __init__(self, regions: Sequence[Region], sources: Sequence[str]) -> None:
        super().__init__()
        self.regions, self.sources = tuple(regions), tuple(sources)
        self.columns = [(region, name) for name in ("dice", "iou", "accuracy") for region in regions]
        self.has_ratio = DISC in regions and CUP in regions
        if self.has_ratio:
            self.columns.append((BOTH, VCDR_ERROR))
        for state in ("total", "count", "undefined"):
            self.add_state(state, torch.zeros(len(sources), len(self.columns)), dist_reduce_fx="sum")
        self.add_state("least", torch.full((len(regions), 3), torch.inf), dist_reduce_fx="min")
        self.add_state("most", torch.full((len(regions), 3), -torch.inf), dist_reduce_fx="max")

    def update(self, prediction: Tensor, target: Tensor, valid: Tensor, weight: Tensor, source: Tensor) -> None:
        """Add a batch.

        Args:
            prediction: bool (B, R, H, W), nested.
            target: bool (B, R, H, W).
            valid: bool (B, R).
            weight: (B,); samples of weight 0 are left out.
            source: int64 (B,).
        """
        value, use = self._of_pictures(prediction, target, valid, weight)
        self.pictures = torch.where(use, value, torch.nan)
        defined = use & ~value.isnan()
        rows = torch.nn.functional.one_hot(source, len(self.sources)).T[..., None]  # (sources, B, 1)
        # A sum of products, not a matrix product: under autocast that would round the scores to bfloat16.
        self.total += (rows * torch.where(defined, value, 0.0)).sum(1)
        self.count += (rows * defined).sum(1)
        self.undefined += (rows * (use & ~defined)).sum(1)
        # Over all pictures the extremes of area and moments: where they meet, all had one size and place.
        place, labelled = _place(prediction), use[:, : len(self.regions), None]
        self.least = torch.minimum(self.least, torch.where(labelled, place, torch.inf).amin(0))
        self.most = torch.maximum(self.most, torch.where(labelled, place, -torch.inf).amax(0))

    def _of_pictures(self, prediction: Tensor, target: Tensor, valid: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Scores, float32 (B, columns), NaN where undefined; and bool (B, columns), which are labelled and count."""
        values = [dice(prediction, target), iou(prediction, target), accuracy(prediction, target)]
        labelled = [valid, valid, valid]
        if self.has_ratio:
            disc, cup = self.regions.index(DISC), self.regions.index(CUP)
            found = vertical_cdr(prediction[:, disc], prediction[:, cup])
            true = vertical_cdr(target[:, disc], target[:, cup])
            values.append((found - true).abs()[:, None])
            labelled.append((valid[:, disc] & valid[:, cup])[:, None])
        return torch.cat(values, 1), torch.cat(labelled, 1) & (weight > 0)[:, None]

    def constant(self) -> list[Region]:
        """Regions whose predictions have one size and place in all labelled pictures, of which there are several."""
        pictures = (self.count + self.undefined)[:, : len(self.regions)].sum(0)
        alike = (self.least == self.most).all(-1) & (pictures > 1)
        return [region for region, same in zip(self.regions, alike.tolist(), strict=True) if same]

    def compute(self) -> Tensor:
        """Mean, n and undefined of every cell.

        Returns:
            float32 (3, sources + 1, columns); the last row is over all sources. A mean of nothing is NaN.
        """
        total, count, undefined = (
            torch.cat([state, state.sum(0, keepdim=True)]) for state in (self.total, self.count, self.undefined)
        )
        return torch.stack([total / count, count, undefined])

    def scores(self) -> list[Score]:
        """Every cell that has labelled samples; one transfer from the device."""
        means, counts, undefined = self.compute().cpu()
        return [
            Score(
                source=source,
                region=region,
                metric=metric,
                value=float(means[cell]),
                n=int(counts[cell]),
                undefined=int(undefined[cell]),
            )
            for row, source in enumerate((*self.sources, ALL))
            for column, (region, metric) in enumerate(self.columns)
            if counts[cell := (row, column)] + undefined[cell] > 0
        ]
