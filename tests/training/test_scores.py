import math

import numpy as np
import pytest
import torch

from fundusseg.training.scores import ALL, SegmentationScores, accuracy, dice, iou, nest, vertical_cdr

REGIONS = ("disc", "cup")


def masks(*boxes: tuple[int, int, int, int] | None, size: int = 16) -> torch.Tensor:
    """Boxes (top, left, bottom, right) as bool masks, None for an empty one."""
    result = torch.zeros(len(boxes), size, size, dtype=torch.bool)
    for mask, box in zip(result, boxes, strict=True):
        if box:
            mask[box[0] : box[2], box[1] : box[3]] = True
    return result


def test_dice_and_iou_by_hand():
    a, b = masks((0, 0, 4, 4))[None], masks((0, 2, 4, 6))[None]
    assert dice(a, b).item() == pytest.approx(2 * 8 / 32)
    assert iou(a, b).item() == pytest.approx(8 / 24)


def test_dice_and_iou_equal_a_reference_on_random_masks():
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(50, 2, 9, 9, generator=generator) > torch.rand(50, 2, 1, 1, generator=generator)
    b = torch.rand(50, 2, 9, 9, generator=generator) > torch.rand(50, 2, 1, 1, generator=generator)
    scipy = pytest.importorskip("scipy.spatial.distance")
    flat_a, flat_b = a.flatten(2).numpy(), b.flatten(2).numpy()
    for sample, channel in np.ndindex(50, 2):
        x, y = flat_a[sample, channel], flat_b[sample, channel]
        if x.any() or y.any():
            assert dice(a, b)[sample, channel].item() == pytest.approx(1 - scipy.dice(x, y), abs=1e-6)
            assert iou(a, b)[sample, channel].item() == pytest.approx(1 - scipy.jaccard(x, y), abs=1e-6)


def test_empty_masks():
    full, empty = masks((0, 0, 3, 3))[None], masks(None)[None]
    assert dice(full, empty).item() == 0 and iou(empty, full).item() == 0
    assert math.isnan(dice(empty, empty).item()) and math.isnan(iou(empty, empty).item())


def test_vertical_cdr_counts_rows():
    disc, cup = (
        masks((2, 2, 12, 9), (2, 2, 12, 9), None, (5, 0, 6, 1)),
        masks((4, 4, 8, 5), None, (1, 1, 3, 3), (5, 0, 6, 1)),
    )
    ratio = vertical_cdr(disc, cup)
    assert ratio[:2].tolist() == pytest.approx([0.4, 0.0])
    assert math.isnan(ratio[2].item())
    assert ratio[3].item() == 1
    touching = masks((0, 0, 16, 16))
    assert vertical_cdr(touching, touching).item() == 1


def test_accuracy_counts_both_sides_of_the_outline():
    found, truth = masks((0, 0, 4, 4))[:, None], masks((0, 0, 4, 8))[:, None]
    assert accuracy(found, truth).item() == pytest.approx(1 - 16 / found[0, 0].numel())
    assert accuracy(~found, ~truth).item() == accuracy(found, truth).item()


def test_nest_cuts_the_cup_to_the_disc():
    prediction = torch.stack([masks((0, 0, 4, 4)), masks((2, 2, 8, 8))], 1)
    assert torch.equal(nest(prediction, REGIONS)[:, 1], masks((2, 2, 4, 4)))
    assert torch.equal(nest(prediction, ("membrane", "cup")), prediction)
    probabilities = torch.rand(2, 2, 4, 4)
    assert (nest(probabilities, REGIONS)[:, 1] <= probabilities[:, 0]).all()


def update(metric: SegmentationScores, prediction, target, valid=None, weight=None, source=None) -> None:
    count = len(prediction)
    metric.update(
        prediction,
        target,
        torch.ones(count, 2, dtype=torch.bool) if valid is None else torch.tensor(valid),
        torch.ones(count) if weight is None else torch.tensor(weight),
        torch.zeros(count, dtype=torch.long) if source is None else torch.tensor(source),
    )


def cells(metric: SegmentationScores) -> dict[tuple[str, str, str], tuple[float, int, int]]:
    return {(s.source, s.region, s.metric): (s.value, s.n, s.undefined) for s in metric.scores()}


def test_scores_per_source_and_overall():
    metric = SegmentationScores(REGIONS, ["a", "b"])
    truth = torch.stack([masks((0, 0, 10, 10), (0, 0, 10, 10)), masks((0, 0, 5, 5), (0, 0, 5, 5))], 1)
    found = torch.stack([masks((0, 0, 10, 10), (0, 0, 5, 10)), masks((0, 0, 5, 5), (0, 0, 4, 4))], 1)
    update(metric, found, truth, source=[0, 1])
    update(metric, truth, truth, source=[1, 1])
    result = cells(metric)
    assert result["a", "disc", "dice"] == (1, 1, 0)
    assert result["b", "disc", "dice"] == (pytest.approx((2 * 50 / 150 + 1 + 1) / 3), 3, 0)
    assert result["b", "disc+cup", "vertical_cdr_error"] == (pytest.approx((4 / 5 - 5 / 10) / 3), 3, 0)
    assert result[ALL, "cup", "iou"] == (pytest.approx((1 + 16 / 25 + 1 + 1) / 4), 4, 0)


def test_unlabelled_regions_and_padding_touch_nothing():
    metric = SegmentationScores(REGIONS, ["a"])
    one = torch.stack([masks((0, 0, 4, 4)), masks((0, 0, 2, 2))], 1)
    wrong = torch.stack([masks((8, 8, 12, 12)), masks((8, 8, 9, 9))], 1)
    update(metric, one, one, valid=[[True, False]])
    update(metric, wrong, one, weight=[0.0])
    result = cells(metric)
    assert result["a", "disc", "dice"] == (1, 1, 0)
    assert not any("cup" in region for _, region, _ in result)


def test_undefined_is_counted_and_never_averaged():
    metric = SegmentationScores(REGIONS, ["a"])
    truth = torch.stack([masks((0, 0, 8, 8), (0, 0, 8, 8)), masks(None, (0, 0, 4, 4))], 1)
    found = torch.stack([masks((0, 0, 8, 8), None), masks(None, None)], 1)
    update(metric, found, truth)
    result = cells(metric)
    assert result["a", "disc", "dice"] == (0.5, 2, 0)
    assert result["a", "cup", "dice"] == (0, 1, 1)
    assert result["a", "disc+cup", "vertical_cdr_error"] == (0, 1, 1)


def test_bf16_autocast_rounds_no_score():
    truth = torch.stack([masks((0, 0, 13, 13)), masks((0, 0, 7, 7))], 1).expand(257, -1, -1, -1)
    found = torch.stack([masks((0, 0, 13, 12)), masks((0, 0, 6, 7))], 1).expand(257, -1, -1, -1)
    plain, mixed = SegmentationScores(REGIONS, ["a"]), SegmentationScores(REGIONS, ["a"])
    update(plain, found, truth)
    with torch.autocast("cpu", torch.bfloat16):
        update(mixed, found, truth)
    assert cells(mixed) == cells(plain)
    assert cells(mixed)[ALL, "disc", "dice"] == (pytest.approx(2 * 156 / 325), 257, 0)


def test_state_has_a_fixed_size_and_merges():
    metric = SegmentationScores(REGIONS, ["a", "b"])
    before = {name: value.shape for name, value in metric.metric_state.items()}
    truth = torch.stack([masks((0, 0, 8, 8)), masks((0, 0, 4, 4))], 1)
    for _ in range(5):
        update(metric, truth, truth)
    assert {name: value.shape for name, value in metric.metric_state.items()} == before
    assert cells(metric)[ALL, "disc", "dice"] == (1, 5, 0)
    metric.reset()
    assert metric.scores() == []
