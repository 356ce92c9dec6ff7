"""Prepared pictures to tensors, with the chance that training adds. The only module that knows Albumentations."""

import os
import random
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer release at import

import albumentations
import cv2
import numpy as np
import torch
from albumentations.augmentations.geometric.distortion import BaseDistortion
from albumentations.core.transforms_interface import BaseTransformInitSchema
from torch import Tensor

from fundusseg.errors import ConfigurationError
from fundusseg.sample import Image

cv2.setNumThreads(0)  # OpenCV's threads in every worker would fight torch's for the same cores


def standard_transforms() -> list[albumentations.BasicTransform]:
    """Flips, rotation 30 degrees, scale 0.8 to 1.25, shift 5 %, colour: the road that the recipes start from.

    Targets are interpolated as the picture is, so a rotated edge stays sub-pixel.
    """
    return [
        albumentations.HorizontalFlip(p=0.5),
        albumentations.VerticalFlip(p=0.5),
        Affine(
            rotate=(-30, 30),
            scale=(0.8, 1.25),
            translate_percent=(-0.05, 0.05),
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_LINEAR,
            p=0.9,
        ),
        albumentations.ColorJitter(
            brightness=(0.75, 1.25), contrast=(0.75, 1.25), saturation=(0.75, 1.25), hue=(-0.03, 0.03), p=0.8
        ),
    ]


class CoarseElastic(BaseDistortion):  # type: ignore[misc]
    """Smooth elastic deformation (Ronneberger, Fischer and Brox 2015, arXiv 1505.04597).

    Random displacement vectors on a coarse grid over the picture, Gaussian; every pixel's own by bicubic interpolation.
    What comes from outside the picture is mirrored.

    Args:
        grid: Vectors along each side.
        deviation: Standard deviation of a vector's components, in pixels.
        p: Probability.
    """

    class InitSchema(BaseTransformInitSchema):  # type: ignore[misc]
        """What Albumentations checks."""

        grid: int
        deviation: float

    def __init__(self, grid: int = 3, deviation: float = 10.0, p: float = 0.5) -> None:
        super().__init__(
            interpolation=cv2.INTER_LINEAR,
            mask_interpolation=cv2.INTER_LINEAR,
            keypoint_remapping_method="mask",
            p=p,
            border_mode=cv2.BORDER_REFLECT_101,
        )
        self.grid, self.deviation = grid, deviation

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Where each pixel is taken from, for Albumentations."""
        height, width = params["shape"][:2]
        vectors = self.random_generator.normal(0, self.deviation, (self.grid, self.grid, 2)).astype(np.float32)
        shift = cv2.resize(vectors, (width, height), interpolation=cv2.INTER_CUBIC)
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        return {"map_x": columns + shift[..., 0], "map_y": rows + shift[..., 1]}


class Augmentation:
    """A pipeline of Albumentations transforms over image and target together.

    Args:
        transforms: In order; an empty list passes pictures on untouched.
    """

    def __init__(self, transforms: Sequence[albumentations.BasicTransform] = ()) -> None:
        self.transforms = tuple(transforms)
        self.pipeline = albumentations.Compose(list(transforms)) if transforms else None

    @classmethod
    def standard(cls) -> "Augmentation":
        """The pipeline of `standard_transforms`."""
        return cls(standard_transforms())

    def __call__(self, image: Image, target: Image, seed: int) -> tuple[Tensor, Tensor]:
        """Augment one sample.

        Args:
            image: S x S x 3 uint8.
            target: S x S x R uint8.
            seed: Decides every random choice: the same seed gives the same picture, in any process.

        Returns:
            3 x S x S and R x S x S uint8.

        Raises:
            ConfigurationError: A transform changed the shape.
        """
        shape = image.shape[:2]
        if self.pipeline is not None:
            self.pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
            changed = self.pipeline(image=image, mask=target)
            # OpenCV drops the last axis of a target with one region.
            image, target = changed["image"], changed["mask"].reshape(*changed["mask"].shape[:2], -1)
        if image.shape[:2] != shape or image.dtype != np.uint8:
            raise ConfigurationError(
                f"augmentation that gives {image.shape[1]} x {image.shape[0]} {image.dtype}",
                f"uint8 pictures that stay {shape[1]} x {shape[0]}",
                "leave out transforms that crop, resize, pad or normalise",
            )
        return _tensor(image), _tensor(target)


def _tensor(pixels: Image) -> Tensor:
    planes = np.empty((pixels.shape[2], *pixels.shape[:2]), np.uint8)
    cv2.split(np.ascontiguousarray(pixels), list(planes))
    return torch.from_numpy(planes)


class Affine(albumentations.Affine):  # type: ignore[misc]
    """Albumentations' affine map; two and three channels go as four, which OpenCV warps about twice as fast."""

    def apply(self, img: Any, matrix: Any, output_shape: tuple[int, int], **params: Any) -> Any:
        """Warp the picture."""
        if img.shape[2:] != (3,) or img.dtype != np.uint8:
            return super().apply(img, matrix, output_shape, **params)
        warped = self._warp(cv2.cvtColor(img, cv2.COLOR_RGB2RGBA), matrix, output_shape, self.interpolation, self.fill)
        return cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)

    def apply_to_mask(self, mask: Any, matrix: Any, output_shape: tuple[int, int], **params: Any) -> Any:
        """Warp the target."""
        if mask.shape[2:] != (2,) or mask.dtype != np.uint8:
            return super().apply_to_mask(mask, matrix, output_shape, **params)
        four, two = np.empty((*mask.shape[:2], 4), np.uint8), np.empty((*output_shape, 2), np.uint8)
        cv2.mixChannels([mask], [four], [0, 0, 1, 1])
        warped = self._warp(four, matrix, output_shape, self.mask_interpolation, self.fill_mask)
        cv2.mixChannels([warped], [two], [0, 0, 1, 1])
        return two

    def _warp(self, four: Any, matrix: Any, shape: tuple[int, int], interpolation: int, fill: Any) -> Any:
        fill = fill if isinstance(fill, Sequence) else (fill,) * 4
        return cv2.warpAffine(
            four, matrix[:2], shape[::-1], flags=interpolation, borderMode=self.border_mode, borderValue=fill
        )
