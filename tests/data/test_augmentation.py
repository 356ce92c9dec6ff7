import albumentations
import cv2
import numpy as np
import pytest
import torch

from fundusseg.data.augmentation import Augmentation, CoarseElastic
from fundusseg.errors import ConfigurationError


def sample(size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A picture whose red channel shows its own target."""
    disc = cv2.ellipse(np.zeros((size, size), np.uint8), (size // 2, size // 2), (20, 12), 30, 0, 360, 255, -1)
    cup = cv2.ellipse(np.zeros((size, size), np.uint8), (size // 2, size // 2), (8, 5), 30, 0, 360, 255, -1)
    return np.dstack([disc, np.full_like(disc, 90), cup]), np.dstack([disc, cup])


def test_untouched_without_transforms():
    image, target = sample()
    tensors = Augmentation()(image, target, seed=0)
    assert [t.dtype for t in tensors] == [torch.uint8, torch.uint8]
    assert np.array_equal(tensors[0].permute(1, 2, 0), image)
    assert np.array_equal(tensors[1].permute(1, 2, 0), target)


def test_seed_decides_every_choice():
    image, target = sample()
    augmentation = Augmentation.standard()
    first, again, other = (augmentation(image, target, seed)[0] for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(Augmentation.standard()(image, target, 5)[0], first)


def test_transforms_draw_independently():
    corner = np.zeros((4, 4, 3), np.uint8)
    corner[0, 0] = 255
    augmentation = Augmentation([albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)])
    places = [augmentation(corner, corner, seed)[0][0].argmax().item() for seed in range(400)]
    counts = [places.count(place) for place in (0, 3, 12, 15)]
    assert sum(counts) == 400 and min(counts) > 70, counts


def test_picture_and_target_move_together():
    image, target = sample()
    geometry = [t for t in Augmentation.standard().transforms if not isinstance(t, albumentations.ColorJitter)]
    for seed in range(20):
        moved, moved_target = Augmentation(geometry)(image, target, seed)
        assert (moved[0].int() - moved_target[0].int()).abs().max() <= 8
        assert (moved[2].int() - moved_target[1].int()).abs().max() <= 8


def test_rotated_edges_stay_sub_pixel():
    image, target = sample()
    values = Augmentation([albumentations.Affine(rotate=(30, 30), mask_interpolation=cv2.INTER_LINEAR, p=1)])(
        image, target, 0
    )[1].unique()
    assert len(values) > 10


def test_one_region_keeps_its_channel():
    image, target = sample()
    assert Augmentation.standard()(image, target[..., :1], 0)[1].shape == (1, 64, 64)


def displacement(seed: int, size: int = 240, **options) -> np.ndarray:
    """The map that one call makes, less the identity: size x size x 2."""
    elastic = CoarseElastic(p=1, **options)
    elastic.set_random_seed(seed)
    maps = elastic.get_params_dependent_on_data({"shape": (size, size, 3)}, {})
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    return np.dstack([maps["map_x"] - columns, maps["map_y"] - rows])


def test_elastic_vectors_are_gaussian_at_the_nodes_of_the_grid():
    nodes = np.array([40, 120, 200])  # the middle of each third
    vectors = np.stack([displacement(seed)[np.ix_(nodes, nodes)] for seed in range(300)])
    assert abs(vectors.mean()) < 0.5
    assert vectors.std() == pytest.approx(10, rel=0.05)
    assert abs(np.corrcoef(vectors[:, 0, 0, 0], vectors[:, 2, 2, 0])[0, 1]) < 0.2


def test_elastic_is_bicubic_between_them():
    found = displacement(3)
    coarse = found[40::80, 40::80].astype(np.float32)
    # The nodes lie half a pixel beside whole pixels: the interpolation passes through them almost exactly.
    again = cv2.resize(coarse, (240, 240), interpolation=cv2.INTER_CUBIC)
    assert np.abs(again - found).max() < 0.5
    assert np.abs(np.diff(found, axis=0)).max() < 1.5, "smooth: no pixel jumps"


def test_elastic_moves_picture_and_target_together_and_repeats():
    image, target = sample()
    augmentation = Augmentation([CoarseElastic(deviation=4, p=1)])
    moved, moved_target = augmentation(image, target, 1)
    assert not torch.equal(moved_target, torch.from_numpy(target).permute(2, 0, 1))
    assert (moved[0].int() - moved_target[0].int()).abs().max() <= 8
    assert torch.equal(augmentation(image, target, 1)[0], moved)
    assert torch.equal(
        Augmentation([CoarseElastic(deviation=0, p=1)])(image, target, 1)[1], torch.from_numpy(target).permute(2, 0, 1)
    )


@pytest.mark.parametrize(
    "transform", [albumentations.Resize(32, 32), albumentations.CenterCrop(40, 40), albumentations.Normalize()]
)
def test_a_changed_shape_or_type_is_refused(transform):
    image, target = sample()
    with pytest.raises(ConfigurationError, match="stay 64 x 64"):
        Augmentation([transform])(image, target, 0)
