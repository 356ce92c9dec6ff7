"""Losses: pure functions, and a thin module for each.

All take ``logits`` (B x R x H x W, any float type), ``target`` (the same shape, 0..1, between them where
experts are averaged) and ``valid`` (B x R bool: the region is labelled), and give a float32 scalar. They
compute in float32 whatever the network's precision. A region that is not labelled adds nothing to the loss or
to any gradient; with nothing labelled the loss is 0. Shapes are static and no value is read on the host, so
that an XLA step compiles once.

Soft targets. The usual soft Dice multiplies probability and target, ``sum p t``, and is least at a hard mask
even where the target is 0.6. The overlap losses here count ``min(p, t)`` instead, which is the same on hard
targets and makes ``p = t`` the minimum on soft ones (Wang et al., NeurIPS 2023, arXiv 2303.16296). The
squared Dice of V-Net needs no such change: ``p^2 + t^2 - 2 p t`` is a square already.
"""

from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from fundusseg.data.border_weights import STEP
from fundusseg.errors import ConfigurationError

Over: TypeAlias = Literal["image", "batch"]
"""Whether pixels are summed in each image, or over all labelled images of the batch on the device."""


def bce_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Binary cross entropy, ``-t log p - (1 - t) log(1 - p)``: mean over pixels, then labelled regions."""
    logits, target, _ = _labelled(logits, target, valid)
    return _mean(_cross_entropy(logits, target).mean((2, 3)), valid)


def weighted_bce_loss(logits: Tensor, target: Tensor, valid: Tensor, pixel_weight: Tensor) -> Tensor:
    """Binary cross entropy, each pixel by its weight: mean over pixels of ``w(x) (-t log p - (1 - t) log(1 - p))``.

    With the border weights it is the loss of Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597: the soft-max
    over their two classes is, for one region, the sigmoid of the difference of the two logits.

    Args:
        logits: B x R x H x W.
        target: B x R x H x W in 0..1.
        valid: B x R bool.
        pixel_weight: B x R x H x W uint8, in multiples of ``border.STEP``.
    """
    logits, target, _ = _labelled(logits, target, valid)
    loss = pixel_weight.float() * STEP * _cross_entropy(logits, target)
    return _mean(loss.mean((2, 3)), valid)


def focal_loss(logits: Tensor, target: Tensor, valid: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Focal loss, ``a |t - p|^gamma (-t log p - (1 - t) log(1 - p))``, ``a = alpha t + (1 - alpha)(1 - t)``.

    Lin et al., ICCV 2017, arXiv 1708.02002; the form for soft targets: Li et al., NeurIPS 2020, arXiv
    2006.04388.

    Args:
        logits: B x R x H x W.
        target: B x R x H x W in 0..1.
        valid: B x R bool.
        gamma: How much easy pixels count less; 0 (cross entropy), or 1 and more.
        alpha: Weight of the region's pixels, 0..1; the background's is ``1 - alpha``.
    """
    logits, target, _ = _labelled(logits, target, valid)
    distance = (target - logits.sigmoid()).abs()
    weight = alpha * target + (1 - alpha) * (1 - target)
    loss = weight * distance.pow(gamma) * _cross_entropy(logits, target)
    return _mean(loss.mean((2, 3)), valid)


def dice_loss(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    over: Over = "image",
    squared: bool = False,
    smoothing: float = 1.0,
) -> Tensor:
    """Soft Dice loss, ``1 - D``; 0 at ``p = t``.

    ``D = (2 sum min(p, t) + s) / (sum p + sum t + s)``, or, squared, ``D = (2 sum p t + s) / (sum p^2 + sum
    t^2 + s)``. Milletari, Navab, Ahmadi (V-Net, squared), 3DV 2016, doi 10.1109/3DV.2016.79; Sudre et al.,
    DLMIA 2017, arXiv 1707.03237; ``min`` for soft targets: Wang et al., NeurIPS 2023, arXiv 2303.16296.

    Args:
        logits: B x R x H x W.
        target: B x R x H x W in 0..1.
        valid: B x R bool.
        over: Sum pixels in each image, or over the batch.
        squared: Square the denominator's terms.
        smoothing: ``s``, in pixels. It makes an empty prediction of an empty region a perfect one; above 0.
    """
    dice, labelled = _dice(logits, target, valid, over, squared, smoothing)
    return _mean(1 - dice, labelled)


def log_dice_loss(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    over: Over = "image",
    squared: bool = False,
    smoothing: float = 1.0,
) -> Tensor:
    """Logarithmic Dice loss, ``-log D``, with ``D`` and the arguments of ``dice_loss``.

    For each image and squared: Sevastopolsky 2017, arXiv 1704.00979. Over the batch: Civit-Masot et al., IEEE
    Access 2019, doi 10.1109/ACCESS.2019.2944692.
    """
    dice, labelled = _dice(logits, target, valid, over, squared, smoothing)
    return _mean(-dice.log(), labelled)


def jaccard_loss(logits: Tensor, target: Tensor, valid: Tensor, over: Over = "image", smoothing: float = 1.0) -> Tensor:
    """Soft Jaccard loss, ``1 - (sum min(p, t) + s) / (sum max(p, t) + s)``; 0 at ``p = t``.

    Rahman and Wang, ISVC 2016, doi 10.1007/978-3-319-50835-1_22; for soft targets: Wang and Blaschko, NeurIPS
    2023, arXiv 2302.05666. Arguments as in ``dice_loss``.
    """
    return tversky_loss(logits, target, valid, over, false_positives=1.0, false_negatives=1.0, smoothing=smoothing)


def tversky_loss(
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    over: Over = "image",
    false_positives: float = 0.3,
    false_negatives: float = 0.7,
    smoothing: float = 1.0,
) -> Tensor:
    """Tversky loss, ``1 - (TP + s) / (TP + a FP + b FN + s)``; 0 at ``p = t``.

    ``TP = sum min(p, t)``, ``FP = sum p - TP``, ``FN = sum t - TP``. Salehi, Erdogmus, Gholipour, MLMI 2017,
    arXiv 1706.05721.

    Args:
        logits: B x R x H x W.
        target: B x R x H x W in 0..1.
        valid: B x R bool.
        over: Sum pixels in each image, or over the batch.
        false_positives: ``a``, the weight of what is predicted and not there.
        false_negatives: ``b``, the weight of what is there and not predicted.
        smoothing: ``s``, in pixels; above 0.
    """
    probability, target, labelled = _probability(logits, target, valid, over)
    both = _sum(torch.minimum(probability, target), over)
    extra, missed = _sum(probability, over) - both, _sum(target, over) - both
    index = (both + smoothing) / (both + false_positives * extra + false_negatives * missed + smoothing)
    return _mean(1 - index, labelled)


def _labelled(logits: Tensor, target: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits and target in float32 with zeros, which carry no gradient, where a region is not labelled.

    Returns:
        Logits and target (B x R x H x W), and ``valid`` as B x R x 1 x 1.
    """
    if logits.shape != target.shape or logits.shape[:2] != valid.shape:
        raise ConfigurationError(
            f"logits {tuple(logits.shape)}, target {tuple(target.shape)} and valid {tuple(valid.shape)}",
            "logits and target of one shape (B, R, H, W), and valid (B, R)",
            "give the model as many output channels as the data has regions",
        )
    mask = valid[:, :, None, None]
    zero = torch.zeros((), dtype=torch.float32, device=logits.device)
    return torch.where(mask, logits.float(), zero), torch.where(mask, target.float(), zero), mask


def _mean(loss: Tensor, labelled: Tensor) -> Tensor:
    """Mean of ``loss`` where ``labelled``, of the same shape, says so; 0 where nothing is."""
    share = labelled.float()
    return (loss * share).sum() / share.sum().clamp(min=1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy of each pixel."""
    return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _probability(logits: Tensor, target: Tensor, valid: Tensor, over: Over) -> tuple[Tensor, Tensor, Tensor]:
    """Probability and target, 0 where not labelled, and which of the sums ``_sum`` makes are labelled."""
    logits, target, mask = _labelled(logits, target, valid)
    return logits.sigmoid() * mask, target, valid.any(dim=0) if over == "batch" else valid


def _sum(pixels: Tensor, over: Over) -> Tensor:
    """Sum B x R x H x W over pixels: B x R; or over the batch too: R."""
    return pixels.sum((0, 2, 3) if over == "batch" else (2, 3))


def _dice(
    logits: Tensor, target: Tensor, valid: Tensor, over: Over, squared: bool, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Dice of each image and region, or of each region, and which of them are labelled."""
    probability, target, labelled = _probability(logits, target, valid, over)
    if squared:
        both, all_of_both = probability * target, probability.square() + target.square()
    else:
        both, all_of_both = torch.minimum(probability, target), probability + target
    dice = (2 * _sum(both, over) + smoothing) / (_sum(all_of_both, over) + smoothing)
    return dice, labelled


class BCELoss(nn.Module):
    """Binary cross entropy; see ``bce_loss``."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return bce_loss(logits, target, valid)


class WeightedBCELoss(nn.Module):
    """Binary cross entropy by pixel weights; see ``weighted_bce_loss``. Needs ``--data.border_weights``."""

    needs_weights = True

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, pixel_weight: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return weighted_bce_loss(logits, target, valid, pixel_weight)


class FocalLoss(nn.Module):
    """Focal loss; see ``focal_loss``.

    Args:
        gamma: How much easy pixels count less; 0 (cross entropy), or 1 and more.
        alpha: Weight of the region's pixels, 0..1.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.25) -> None:
        super().__init__()
        # Between 0 and 1 the gradient of |t - p|^gamma has no bound at p = t.
        if gamma != 0 and not gamma >= 1:
            raise ConfigurationError(f"gamma {gamma}", "0, or 1 and more", "set gamma to 2")
        if not 0 <= alpha <= 1:
            raise ConfigurationError(f"alpha {alpha}", "a value in 0..1", "set alpha to 0.25")
        self.gamma, self.alpha = gamma, alpha

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return focal_loss(logits, target, valid, self.gamma, self.alpha)


class DiceLoss(nn.Module):
    """Soft Dice loss; see ``dice_loss``.

    Args:
        over: Sum pixels in each image, or over the batch.
        squared: Square the denominator's terms, as V-Net does.
        smoothing: In pixels; above 0.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, over: Over = "image", squared: bool = False, smoothing: float = 1.0) -> None:
        super().__init__()
        _check(over, smoothing)
        self.over, self.squared, self.smoothing = over, squared, smoothing

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return dice_loss(logits, target, valid, self.over, self.squared, self.smoothing)


class LogDiceLoss(DiceLoss):
    """Logarithmic Dice loss; see ``log_dice_loss``. Arguments as in ``DiceLoss``."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return log_dice_loss(logits, target, valid, self.over, self.squared, self.smoothing)


class JaccardLoss(nn.Module):
    """Soft Jaccard loss; see ``jaccard_loss``.

    Args:
        over: Sum pixels in each image, or over the batch.
        smoothing: In pixels; above 0.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, over: Over = "image", smoothing: float = 1.0) -> None:
        super().__init__()
        _check(over, smoothing)
        self.over, self.smoothing = over, smoothing

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return jaccard_loss(logits, target, valid, self.over, self.smoothing)


class TverskyLoss(nn.Module):
    """Tversky loss; see ``tversky_loss``.

    Args:
        over: Sum pixels in each image, or over the batch.
        false_positives: Weight of what is predicted and not there; above 0.
        false_negatives: Weight of what is there and not predicted; above 0.
        smoothing: In pixels; above 0.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(
        self,
        over: Over = "image",
        false_positives: float = 0.3,
        false_negatives: float = 0.7,
        smoothing: float = 1.0,
    ) -> None:
        super().__init__()
        _check(over, smoothing)
        for name, weight in (("false_positives", false_positives), ("false_negatives", false_negatives)):
            if not weight > 0:
                raise ConfigurationError(f"{name} {weight}", "a weight above 0", f"set {name} to, say, 0.5")
        self.over, self.smoothing = over, smoothing
        self.false_positives, self.false_negatives = false_positives, false_negatives

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of B x R x H x W logits."""
        return tversky_loss(
            logits, target, valid, self.over, self.false_positives, self.false_negatives, self.smoothing
        )


class WeightedSum(nn.Module):
    """Weighted sum of losses.

    Args:
        losses: Losses that take logits, target and valid; some may take pixel weights too.
        weights: One for each loss, 0 or more; each 1 where not given.

    Raises:
        ConfigurationError: There is no loss, or weights do not fit the losses.
    """

    def __init__(self, losses: list[nn.Module], weights: list[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(losses) if weights is None else weights
        if not losses or len(weights) != len(losses) or min(weights) < 0:
            raise ConfigurationError(
                f"{len(losses)} losses with weights {weights}",
                "at least one loss, and a weight of 0 or more for each",
                "give as many weights as losses",
            )
        self.losses = nn.ModuleList(losses)
        self.weights = list(weights)
        self.needs_weights = any(needs_weights(loss) for loss in losses)

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, pixel_weight: Tensor | None = None) -> Tensor:
        """Loss of B x R x H x W logits."""
        terms = []
        for loss, weight in zip(self.losses, self.weights, strict=True):
            more = (pixel_weight,) if needs_weights(loss) else ()
            terms.append(weight * loss(logits, target, valid, *more))
        return torch.stack(terms).sum()


def needs_weights(loss: nn.Module) -> bool:
    """Whether a loss takes the weight of each pixel as its fourth argument."""
    return bool(getattr(loss, "needs_weights", False))


def _check(over: str, smoothing: float) -> None:
    """Check what the overlap losses share."""
    if over not in ("image", "batch"):
        raise ConfigurationError(f"over {over!r}", "'image' or 'batch'", "set over to one of them")
    if not smoothing > 0:
        raise ConfigurationError(
            f"smoothing {smoothing}", "a number of pixels above 0", "set smoothing to 1, or to a small value"
        )
