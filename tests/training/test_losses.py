"""Losses against hand-computed values, against numpy and torchvision, and where regions are not labelled."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch.losses import DiceLoss as LibraryDice
from segmentation_models_pytorch.losses import JaccardLoss as LibraryJaccard
from segmentation_models_pytorch.losses import TverskyLoss as LibraryTversky
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from fundusseg.errors import ConfigurationError
from fundusseg.training.losses import (
    BCELoss,
    DiceLoss,
    FocalLoss,
    JaccardLoss,
    LogDiceLoss,
    TverskyLoss,
    WeightedBCELoss,
    WeightedSum,
)

torch.set_num_threads(1)

LOSSES: dict[str, Callable[[], nn.Module]] = {
    "bce": BCELoss,
    "focal": FocalLoss,
    "focal gamma 0": lambda: FocalLoss(gamma=0),
    "dice": DiceLoss,
    "dice batch": lambda: DiceLoss(over="batch"),
    "dice squared": lambda: DiceLoss(squared=True),
    "dice squared batch": lambda: DiceLoss(over="batch", squared=True),
    "log dice": LogDiceLoss,
    "log dice squared batch": lambda: LogDiceLoss(over="batch", squared=True),
    "jaccard": JaccardLoss,
    "jaccard batch": lambda: JaccardLoss(over="batch"),
    "tversky": TverskyLoss,
    "tversky batch": lambda: TverskyLoss(over="batch"),
    "sum": lambda: WeightedSum([DiceLoss(), BCELoss()]),
}
OVERLAP = [name for name in LOSSES if name.split()[0] in {"dice", "jaccard", "tversky", "log"}]
every_loss = pytest.mark.parametrize("name", LOSSES)


def random_batch(seed: int = 0, soft: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(3, 2, 5, 7, generator=generator)
    target = torch.rand(3, 2, 5, 7, generator=generator)
    return logits, target if soft else (target > 0.6).float(), torch.ones(3, 2, dtype=torch.bool)


def one_region(probability: list[float], target: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """One image of one row with the given probabilities."""
    p = torch.tensor(probability).view(1, 1, 1, -1)
    return p.logit(), torch.tensor(target).view(1, 1, 1, -1), torch.ones(1, 1, dtype=torch.bool)


@pytest.mark.parametrize(
    "loss, expected",
    [
        # p = 0.8, 0.4, 0.1 and t = 1, 0, 0: sum min = 0.8, sum p = 1.3, sum t = 1, sum max = 1.5.
        (DiceLoss(), 1 - 2.6 / 3.3),
        (DiceLoss(smoothing=0.1), 1 - 1.7 / 2.4),
        (DiceLoss(squared=True), 1 - 2.6 / (0.64 + 0.16 + 0.01 + 1 + 1)),
        (LogDiceLoss(), -math.log(2.6 / 3.3)),
        (JaccardLoss(), 1 - 1.8 / 2.5),
        (TverskyLoss(), 1 - 1.8 / (0.8 + 0.3 * 0.5 + 0.7 * 0.2 + 1)),
        (BCELoss(), -(math.log(0.8) + math.log(0.6) + math.log(0.9)) / 3),
        (
            FocalLoss(),
            -(0.25 * 0.04 * math.log(0.8) + 0.75 * 0.16 * math.log(0.6) + 0.75 * 0.01 * math.log(0.9)) / 3,
        ),
        (
            WeightedSum([DiceLoss(), BCELoss()], [2.0, 0.5]),
            2 * (1 - 2.6 / 3.3) - 0.5 * math.log(0.8 * 0.6 * 0.9) / 3,
        ),
    ],
)
def test_hand_computed(loss: nn.Module, expected: float) -> None:
    value = loss(*one_region([0.8, 0.4, 0.1], [1, 0, 0]))
    assert value.item() == pytest.approx(expected, abs=1e-6)
    assert value.shape == () and value.dtype == torch.float32


def test_over_image_and_over_batch_differ_by_hand() -> None:
    """Image one: p = 0.5 where t = 1. Image two: p = 0.5 where t = 0."""
    logits, target = torch.zeros(2, 1, 1, 1), torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)
    valid = torch.ones(2, 1, dtype=torch.bool)
    images = DiceLoss(over="image")(logits, target, valid)
    assert images.item() == pytest.approx(((1 - 2 / 2.5) + (1 - 1 / 1.5)) / 2)
    assert DiceLoss(over="batch")(logits, target, valid).item() == pytest.approx(1 - 2 / 3)
    only_first = torch.tensor([[True], [False]])
    for over in ("image", "batch"):
        assert DiceLoss(over=over)(logits, target, only_first).item() == pytest.approx(1 - 2 / 2.5)


def numpy_reference(name: str, p: npt.NDArray[np.float64], t: npt.NDArray[np.float64]) -> float:
    """One region by the formulas of the papers, in double precision."""
    cross = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    low, high = np.minimum(p, t).sum(), np.maximum(p, t).sum()
    dice = (2 * low + 1) / (p.sum() + t.sum() + 1)
    squared = (2 * (p * t).sum() + 1) / ((p**2).sum() + (t**2).sum() + 1)
    extra, missed = np.clip(p - t, 0, None).sum(), np.clip(t - p, 0, None).sum()
    return float(
        {
            "bce": cross.mean(),
            "focal": ((0.25 * t + 0.75 * (1 - t)) * (p - t) ** 2 * cross).mean(),
            "dice": 1 - dice,
            "dice squared": 1 - squared,
            "log dice": -np.log(dice),
            "jaccard": 1 - (low + 1) / (high + 1),
            "tversky": 1 - (low + 1) / (low + 0.3 * extra + 0.7 * missed + 1),
        }[name]
    )


@pytest.mark.parametrize("name", ["bce", "focal", "dice", "dice squared", "log dice", "jaccard", "tversky"])
@pytest.mark.parametrize("soft", [False, True])
def test_numpy_on_random_input(name: str, soft: bool) -> None:
    logits, target, valid = random_batch(soft=soft)
    valid[1, 0] = False
    p, t = 1 / (1 + np.exp(-logits.double().numpy())), target.double().numpy()
    pairs = [(b, r) for b in range(3) for r in range(2) if valid[b, r]]
    expected = np.mean([numpy_reference(name, p[b, r], t[b, r]) for b, r in pairs])
    assert LOSSES[name]()(logits, target, valid).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "ours, library",
    [
        (DiceLoss(over="batch", smoothing=1e-3), LibraryDice("multilabel", smooth=1e-3)),
        (JaccardLoss(over="batch", smoothing=1e-3), LibraryJaccard("multilabel", smooth=1e-3)),
        (TverskyLoss(over="batch", smoothing=1e-3), LibraryTversky("multilabel", smooth=1e-3, alpha=0.3, beta=0.7)),
    ],
)
def test_library_on_hard_targets(ours: nn.Module, library: nn.Module) -> None:
    logits, target, valid = random_batch(3)
    torch.testing.assert_close(ours(logits, target, valid), library(logits, target), rtol=1e-4, atol=1e-5)


def test_torchvision_focal_and_torch_cross_entropy() -> None:
    logits, target, valid = random_batch(4)
    torch.testing.assert_close(FocalLoss()(logits, target, valid), sigmoid_focal_loss(logits, target, reduction="mean"))
    torch.testing.assert_close(
        FocalLoss(gamma=0, alpha=0.5)(logits, target, valid), BCELoss()(logits, target, valid) / 2
    )
    torch.testing.assert_close(
        BCELoss()(logits, target, valid), nn.functional.binary_cross_entropy_with_logits(logits, target)
    )


@every_loss
def test_what_is_not_labelled_does_not_matter(name: str) -> None:
    logits, target, valid = random_batch(5, soft=True)
    valid[0, 1] = valid[2, 0] = False
    loss = LOSSES[name]()
    logits.requires_grad_()
    expected = loss(logits, target, valid)
    (gradient,) = torch.autograd.grad(expected, logits)
    assert not gradient[~valid].any()
    assert gradient[valid].abs().amax((1, 2)).all()
    for rubbish in (1e4, -1e4, math.nan, math.inf):
        other, drawn = logits.detach().clone(), target.clone()
        other[~valid], drawn[~valid] = rubbish, 1.0
        other.requires_grad_()
        value = loss(other, drawn, valid)
        (changed,) = torch.autograd.grad(value, other)
        assert torch.equal(value, expected)
        assert torch.equal(changed, gradient)


@pytest.mark.parametrize("name", [name for name in LOSSES if "batch" not in name])
def test_an_unlabelled_region_is_as_an_absent_one(name: str) -> None:
    """With every image's cup unlabelled the loss is that of a network with the disc alone."""
    logits, target, valid = random_batch(6)
    valid[:, 1] = False
    loss = LOSSES[name]()
    torch.testing.assert_close(loss(logits, target, valid), loss(logits[:, :1], target[:, :1], valid[:, :1]))


@every_loss
def test_nothing_labelled_is_zero_with_zero_gradient(name: str) -> None:
    logits, target, valid = random_batch()
    logits.requires_grad_()
    value = LOSSES[name]()(logits, target, torch.zeros_like(valid))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None and not logits.grad.any()


@every_loss
@pytest.mark.parametrize("filling", [0.0, 1.0])
@pytest.mark.parametrize("logit", [-1e4, -30.0, 0.0, 30.0, 1e4])
def test_empty_and_full_masks_are_finite(name: str, filling: float, logit: float) -> None:
    logits = torch.full((2, 2, 64, 64), logit, requires_grad=True)
    value = LOSSES[name]()(logits, torch.full_like(logits, filling), torch.ones(2, 2, dtype=torch.bool))
    value.backward()
    assert math.isfinite(value.item()) and value.item() >= 0
    assert logits.grad is not None and logits.grad.isfinite().all()


@every_loss
@pytest.mark.parametrize("filling", [0.0, 1.0])
def test_a_perfect_prediction_costs_nothing(name: str, filling: float) -> None:
    target = torch.full((1, 2, 8, 8), filling)
    value = LOSSES[name]()((target - 0.5) * 200, target, torch.ones(1, 2, dtype=torch.bool))
    assert value.item() == pytest.approx(0, abs=1e-6)


@every_loss
@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4), pull=st.floats(-3, 3), seed=st.integers(0, 99))
def test_a_soft_target_is_its_own_minimum(name: str, values: list[float], pull: float, seed: int) -> None:
    """Moving any logits away from the target's own raises every loss: towards hard masks as well as at random."""
    if name == "focal gamma 0":
        name = "focal"  # Without the focus, alpha alone moves cross entropy's minimum off a soft target.
    loss = LOSSES[name]()
    target = torch.tensor(values).view(1, 1, 2, 2)
    valid = torch.ones(1, 1, dtype=torch.bool)
    least = loss(target.logit(), target, valid).item()
    noise = torch.randn(1, 1, 2, 2, generator=torch.Generator().manual_seed(seed))
    for moved in (target.logit() + pull, target.logit() + pull * noise, 20 * (target - 0.5).sign()):
        assert loss(moved, target, valid).item() >= least - 1e-6


@pytest.mark.parametrize("name", OVERLAP)
def test_overlap_of_a_soft_target_with_itself_is_perfect(name: str) -> None:
    _, target, valid = random_batch(soft=True)
    assert LOSSES[name]()(target.logit(), target, valid).item() == pytest.approx(0, abs=1e-5)


def test_dice_learns_a_soft_target() -> None:
    target = torch.tensor([0.2, 0.4, 0.6, 0.8]).view(1, 1, 2, 2)
    logits = torch.zeros(1, 1, 2, 2, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.05)
    for step in range(400):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimiser.zero_grad()
        DiceLoss()(logits, target, torch.ones(1, 1, dtype=torch.bool)).backward()
        optimiser.step()
    torch.testing.assert_close(logits.sigmoid(), target, atol=0.02, rtol=0)


@every_loss
def test_half_precision_is_computed_in_float32(name: str) -> None:
    logits, target, valid = random_batch(soft=True)
    low = logits.bfloat16()
    expected = LOSSES[name]()(low.float(), target, valid)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = LOSSES[name]()(low, target.bfloat16().float(), valid)
        again = LOSSES[name]()(low, target, valid)
    assert value.dtype == again.dtype == torch.float32
    assert torch.equal(again, expected)


@every_loss
def test_gradient_by_differences(name: str) -> None:
    """Along a random direction, away from the kinks at p = t."""
    logits, target, valid = random_batch(8)
    valid[0, 0] = False
    logits.requires_grad_()
    loss = LOSSES[name]()
    (gradient,) = torch.autograd.grad(loss(logits, target, valid), logits)
    direction = torch.sign(gradient)
    step = 1e-2
    with torch.no_grad():
        rise = loss(logits + step * direction, target, valid) - loss(logits - step * direction, target, valid)
    assert rise.item() / (2 * step) == pytest.approx((gradient * direction).sum().item(), rel=1e-2)


def test_shapes_that_do_not_fit_are_named() -> None:
    logits, target, valid = random_batch()
    for wrong in ((logits[:, :1], target, valid), (logits, target[:, :1], valid), (logits, target, valid[:, :1])):
        with pytest.raises(ConfigurationError, match="as many output channels as the data has regions"):
            DiceLoss()(*wrong)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: DiceLoss(over="pixel"), "over 'pixel'"),  # type: ignore[arg-type]
        (lambda: DiceLoss(smoothing=0), "smoothing 0"),
        (lambda: LogDiceLoss(smoothing=-1), "smoothing -1"),
        (lambda: JaccardLoss(smoothing=math.nan), "smoothing nan"),
        (lambda: TverskyLoss(false_positives=-0.1), "false_positives -0.1"),
        (lambda: FocalLoss(gamma=0.5), "gamma 0.5"),
        (lambda: FocalLoss(alpha=1.5), "alpha 1.5"),
        (lambda: WeightedSum([]), "0 losses"),
        (lambda: WeightedSum([BCELoss()], [1.0, 2.0]), "1 losses with weights"),
        (lambda: WeightedSum([BCELoss()], [-1.0]), "weights"),
    ],
)
def test_wrong_settings(make: Callable[[], nn.Module], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        make()


def test_weighted_cross_entropy_counts_each_pixel_by_its_weight():
    logits, target, valid = one_region([0.8, 0.3, 0.6], [1, 0, 1])
    weight = torch.tensor([16, 48, 0], dtype=torch.uint8).view(1, 1, 1, -1)
    expected = -(math.log(0.8) + 3 * math.log(0.7)) / 3
    assert WeightedBCELoss()(logits, target, valid, weight).item() == pytest.approx(expected, abs=1e-6)


def test_equal_weights_give_plain_cross_entropy_and_unlabelled_regions_nothing():
    logits, target, valid = random_batch(soft=True)
    valid[1, 0] = False
    ones = torch.full(target.shape, 16, dtype=torch.uint8)
    assert WeightedBCELoss()(logits, target, valid, ones).item() == pytest.approx(
        BCELoss()(logits, target, valid).item()
    )
    logits[1, 0] = 1e6
    assert WeightedBCELoss()(logits, target, valid, ones).isfinite()


def test_a_sum_hands_the_weights_to_those_who_take_them():
    logits, target, valid = random_batch()
    weight = torch.randint(0, 255, target.shape, dtype=torch.uint8)
    both = WeightedSum([DiceLoss(), WeightedBCELoss()], [0.5, 2.0])
    expected = 0.5 * DiceLoss()(logits, target, valid) + 2 * WeightedBCELoss()(logits, target, valid, weight)
    assert both.needs_weights and not WeightedSum([DiceLoss()]).needs_weights
    assert both(logits, target, valid, weight).item() == pytest.approx(expected.item())
