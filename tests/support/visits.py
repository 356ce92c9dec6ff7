"""Photographs of one eye at several visits: a drawn fundus with vessels, moved and turned between them."""

import cv2
import numpy as np

from fundusseg.datasets import Phantom
from fundusseg.sample import Image


def fundus(number: int = 0, size: int = 700) -> tuple[Image, np.ndarray]:
    """A drawn fundus and its label map."""
    dataset = Phantom(count=number + 1, size=size, seed=3)
    sample = dataset.load(dataset.index()[number])
    masks = {annotation.region: annotation.mask > 0 for annotation in sample.annotations}
    return sample.image, masks["disc"].astype(np.uint8) + masks["cup"]


def motion(turn: float, scale: float, right: float, down: float, size: int = 700) -> np.ndarray:
    """3 x 3: pixels before to pixels after."""
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), turn, scale)
    matrix[:, 2] += (right, down)
    return np.vstack([matrix, [0, 0, 1]])


def moved(image: Image, matrix: np.ndarray) -> Image:
    """The picture after a motion; label maps keep their codes."""
    how = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
    return np.asarray(cv2.warpAffine(image, matrix[:2], image.shape[1::-1], flags=how), np.uint8)
