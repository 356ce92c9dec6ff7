"""REFUGE in miniature: as the challenge gave it, and as a mirror does."""

from pathlib import Path

from tests.miniatures.shapes import labels, photograph, save

PLACES = {
    "g0001": ("REFUGE-Training400/Training400/Glaucoma", "Annotation-Training400/Disc_Cup_Masks/Glaucoma"),
    "n0003": ("REFUGE-Training400/Training400/Non-Glaucoma", "Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma"),
    "V0001": ("REFUGE-Validation400", "REFUGE-Validation400-GT/Disc_Cup_Masks"),
    "T0001": ("REFUGE-Test400/Test400", "REFUGE-Test-GT/Disc_Cup_Masks/G"),
    "T0002": ("REFUGE-Test400/Test400", "REFUGE-Test-GT/Disc_Cup_Masks/N"),
}
PARTS = {"g": "train", "n": "train", "V": "val", "T": "test"}


def build(root: Path, mirror: bool = False) -> None:
    """Write five photographs and their masks, 255 background, 128 rim, 0 cup."""
    for number, (name, (images, masks)) in enumerate(PLACES.items()):
        if mirror:
            images, masks = (f"REFUGE2/{PARTS[name[0]]}/{folder}" for folder in ("images", "mask"))
        ending = "png" if mirror and name[0] == "V" else "bmp"
        save(root / images / f"{name}.jpg", photograph(number))
        save(root / masks / f"{name}.{ending}", labels(255, 128, 0))
