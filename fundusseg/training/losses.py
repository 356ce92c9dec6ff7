"""Losses, one module each.

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

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from fundusseg.data.border_weights import STEP
from fundusseg.errors import ConfigurationError

Over: TypeAlias = Literal["image", "batch"]
"""Whether pixels are summed in each image, or over all labelled images of the batch on the device."""


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
    # A product with the mask would not do: 0 times an infinite logit is NaN.
    return torch.where(mask, logits.float(), zero), torch.where(mask, target.float(), zero), mask


def _mean(loss: Tensor, labelled: Tensor) -> Tensor:
    """Mean of ``loss`` where ``labelled``, of the same shape, says so; 0 where nothing is."""
    share = labelled.float()
    return (loss * share).sum() / share.sum().clamp(min=1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross entropy of each pixel, ``-t log p - (1 - t) log(1 - p)``."""
    return nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


class _PixelLoss(nn.Module, ABC):
    """A loss of each pixel: its mean over pixels, then over labelled regions."""

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor, *pixel_weight: Tensor) -> Tensor:
        """Average over pixels and labelled regions."""
        logits, target, _ = _labelled(logits, target, valid)
        return _mean(self._of_pixels(logits, target, *pixel_weight).mean((2, 3)), valid)

    @abstractmethod
    def _of_pixels(self, logits: Tensor, target: Tensor) -> Tensor:
        """Loss of each pixel, B x R x H x W."""


class BCELoss(_PixelLoss):
    """Binary cross entropy, ``-t log p - (1 - t) log(1 - p)``: mean over pixels, then labelled regions."""

    def _of_pixels(self, logits: Tensor, target: Tensor) -> Tensor:
        return _cross_entropy(logits, target)


class WeightedBCELoss(_PixelLoss):
    """Binary cross entropy, each pixel by its weight: mean over pixels of ``w(x) (-t log p - (1 - t) log(1 - p))``.

    With the border weights it is the loss of Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597: the soft-max
    over their two classes is, for one region, the sigmoid of the difference of the two logits.

    Needs ``--data.border_weights``: the weights, B x R x H x W uint8 in multiples of ``border_weights.STEP``, are the
    fourth argument.
    """

    needs_weights = True

    def _of_pixels(self, logits: Tensor, target: Tensor, pixel_weight: Tensor) -> Tensor:  # type: ignore[override]
        return pixel_weight.float() * STEP * _cross_entropy(logits, target)


class FocalLoss(_PixelLoss):
    """Focal loss, ``a |t - p|^gamma (-t log p - (1 - t) log(1 - p))``, ``a = alpha t + (1 - alpha)(1 - t)``.

    Lin et al., ICCV 2017, arXiv 1708.02002; the form for soft targets: Li et al., NeurIPS 2020, arXiv
    2006.04388.

    Args:
        gamma: How much easy pixels count less; 0 (cross entropy), or 1 and more.
        alpha: Weight of the region's pixels, 0..1; the background's is ``1 - alpha``.

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

    def _of_pixels(self, logits: Tensor, target: Tensor) -> Tensor:
        distance = (target - logits.sigmoid()).abs()
        weight = self.alpha * target + (1 - self.alpha) * (1 - target)
        return weight * distance.pow(self.gamma) * _cross_entropy(logits, target)


class _OverlapLoss(nn.Module, ABC):
    """A loss of sums over pixels, in each image or over the batch: its mean over labelled regions."""

    def __init__(self, over: Over, smoothing: float) -> None:
        super().__init__()
        if over not in ("image", "batch"):
            raise ConfigurationError(f"over {over!r}", "'image' or 'batch'", "set over to one of them")
        if not smoothing > 0:
            raise ConfigurationError(
                f"smoothing {smoothing}", "a number of pixels above 0", "set smoothing to 1, or to a small value"
            )
        self.over, self.smoothing = over, smoothing

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Average over labelled regions, and over images where pixels are summed in each."""
        logits, target, mask = _labelled(logits, target, valid)
        # The sigmoid of a logit that was set to 0 is 0.5: the mask makes it nothing again.
        loss = self._of_regions(logits.sigmoid() * mask, target)
        # Summed over the batch, a region is one loss as soon as one image labels it.
        return _mean(loss, valid.any(dim=0) if self.over == "batch" else valid)

    @abstractmethod
    def _of_regions(self, probability: Tensor, target: Tensor) -> Tensor:
        """Loss of each sum, B x R or R."""

    def _sum(self, pixels: Tensor) -> Tensor:
        """Sum B x R x H x W over pixels: B x R; or over the batch too: R."""
        return pixels.sum((0, 2, 3) if self.over == "batch" else (2, 3))


class DiceLoss(_OverlapLoss):
    """Soft Dice loss, ``1 - D``; 0 at ``p = t``.

    ``D = (2 sum min(p, t) + s) / (sum p + sum t + s)``, or, squared, ``D = (2 sum p t + s) / (sum p^2 + sum
    t^2 + s)``. Milletari, Navab, Ahmadi (V-Net, squared), 3DV 2016, doi 10.1109/3DV.2016.79; Sudre et al.,
    DLMIA 2017, arXiv 1707.03237; ``min`` for soft targets: Wang et al., NeurIPS 2023, arXiv 2303.16296.

    Args:
        over: Sum pixels in each image, or over the batch.
        squared: Square the denominator's terms, as V-Net does.
        smoothing: ``s``, in pixels. It makes an empty prediction of an empty region a perfect one; above 0.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, over: Over = "image", squared: bool = False, smoothing: float = 1.0) -> None:
        super().__init__(over, smoothing)
        self.squared = squared

    def _of_regions(self, probability: Tensor, target: Tensor) -> Tensor:
        return 1 - self._dice(probability, target)

    def _dice(self, probability: Tensor, target: Tensor) -> Tensor:
        if self.squared:
            both, all_of_both = probability * target, probability.square() + target.square()
        else:
            both, all_of_both = torch.minimum(probability, target), probability + target
        return (2 * self._sum(both) + self.smoothing) / (self._sum(all_of_both) + self.smoothing)


class LogDiceLoss(DiceLoss):
    """Logarithmic Dice loss, ``-log D``, with ``D`` and the arguments of `DiceLoss`.

    For each image and squared: Sevastopolsky 2017, arXiv 1704.00979. Over the batch: Civit-Masot et al., IEEE
    Access 2019, doi 10.1109/ACCESS.2019.2944692.
    """

    def _of_regions(self, probability: Tensor, target: Tensor) -> Tensor:
        return -self._dice(probability, target).log()


class TverskyLoss(_OverlapLoss):
    """Tversky loss, ``1 - (TP + s) / (TP + a FP + b FN + s)``; 0 at ``p = t``.

    ``TP = sum min(p, t)``, ``FP = sum p - TP``, ``FN = sum t - TP``. Salehi, Erdogmus, Gholipour, MLMI 2017,
    arXiv 1706.05721.

    Args:
        over: Sum pixels in each image, or over the batch.
        false_positives: ``a``, the weight of what is predicted and not there; above 0.
        false_negatives: ``b``, the weight of what is there and not predicted; above 0.
        smoothing: ``s``, in pixels; above 0.

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
        super().__init__(over, smoothing)
        for name, weight in (("false_positives", false_positives), ("false_negatives", false_negatives)):
            if not weight > 0:
                raise ConfigurationError(f"{name} {weight}", "a weight above 0", f"set {name} to, say, 0.5")
        self.false_positives, self.false_negatives = false_positives, false_negatives

    def _of_regions(self, probability: Tensor, target: Tensor) -> Tensor:
        # B x R, or R over the batch
        both = self._sum(torch.minimum(probability, target))
        extra, missed = self._sum(probability) - both, self._sum(target) - both
        whole = both + self.false_positives * extra + self.false_negatives * missed
        return 1 - (both + self.smoothing) / (whole + self.smoothing)


class JaccardLoss(TverskyLoss):
    """Soft Jaccard loss, ``1 - (sum min(p, t) + s) / (sum max(p, t) + s)``; 0 at ``p = t``.

    It is Tversky's with both weights 1. Rahman and Wang, ISVC 2016, doi 10.1007/978-3-319-50835-1_22; for soft
    targets: Wang and Blaschko, NeurIPS 2023, arXiv 2302.05666.

    Args:
        over: Sum pixels in each image, or over the batch.
        smoothing: ``s``, in pixels; above 0.

    Raises:
        ConfigurationError: A value is out of its range.
    """

    def __init__(self, over: Over = "image", smoothing: float = 1.0) -> None:
        super().__init__(over, false_positives=1.0, false_negatives=1.0, smoothing=smoothing)


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
        """Add up the losses, each by its weight."""
        terms = []
        for loss, weight in zip(self.losses, self.weights, strict=True):
            more = (pixel_weight,) if needs_weights(loss) else ()
            terms.append(weight * loss(logits, target, valid, *more))
        return torch.stack(terms).sum()


def needs_weights(loss: nn.Module) -> bool:
    """Whether a loss takes the weight of each pixel as its fourth argument."""
    return bool(getattr(loss, "needs_weights", False))
