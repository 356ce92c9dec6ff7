"""RIM-ONE DL in miniature: the same images twice, in both partitions, and the masks in a package of their own."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import CUP, DISC, ellipse, photograph, save

IMAGES = {
    "r1_Im001": ("normal", "training_set", "training_set"),
    "r2_Im256": ("glaucoma", "test_set", "training_set"),
    "r3_Im002": ("normal", "test_set", "test_set"),
}


OF_R3 = {
    "r3_N-12-L_left_half": ("normal", "training_set", "test_set"),
    "r3_N-12-R_left_half": ("normal", "training_set", "test_set"),
    "r3_G-3-R_left_half": ("glaucoma", "test_set", "training_set"),
    "r3_S-10-L_left_half": ("glaucoma", "training_set", "test_set"),
}


def build(root: Path, images=IMAGES, first_seed: int = 0) -> None:
    """Write images in the two partitions, and their masks."""
    masks = root / "RIM-ONE_DL_reference_segmentations"
    for number, (name, (folder, randomly, by_hospital)) in enumerate(images.items(), first_seed):
        for partition, part in (("randomly", randomly), ("by_hospital", by_hospital)):
            base = root / "RIM-ONE_DL_images" / f"partitioned_{partition}"
            save(base / part / folder / f"{name}.png", photograph(number))
        for region, axes in (("Disc", DISC), ("Cup", CUP)):
            save(masks / folder / f"{name}-1-{region}-T.png", ellipse(axes).astype(np.uint8) * 255)
            (masks / folder / f"{name}-1-{region}-T.txt").write_text("the same outline for DCSeg\n")


def build_flat(root: Path) -> None:
    """Write the variant that has no partition and no folder of the diagnosis."""
    for part, name in (("train", "r1_Im001"), ("test", "r2_Im256")):
        save(root / "images" / part / f"{name}.png", photograph(1))
        for region, axes in (("Disc", DISC), ("Cup", CUP)):
            save(root / "masks" / f"{name}-1-{region}-T.png", ellipse(axes).astype(np.uint8) * 255)
