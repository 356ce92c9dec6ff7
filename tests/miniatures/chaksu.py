"""Chaksu in miniature, with what is crooked in it: letter case, endings, a misspelt folder, verdicts, tables."""

from pathlib import Path

import numpy as np

from tests.miniatures.shapes import CUP, DISC, ellipse, photograph, save

PHOTOGRAPHS = {
    "Train": ("Bosch/Image101.jpg", "Bosch/Image145.JPG", "Forus/12.png", "Remidio/IMG_7.JPG"),
    "Test": ("Bosch/p28_image1.jpg", "Bosch/P28_Image2.jpg", "Forus/22.png", "Remidio/IMG_9.JPG"),
}
SCALES = (1.0, 1.02, 1.04, 0.98, 0.96)  # of the five experts' ellipses
BOSCH = (
    "Images,Expert.1,Expert.2,Majority Decision\n"
    "Image101.jpg-Image101-1.jpg,NORMAL,GLAUCOMA  SUSUPECT,NORMAL\n"
    "Image145.jpg-Image145-1.jpg,NORMAL,NORMAL,GLAUCOMA  SUSUPECT\n"
    "p28_image1.jpg-p28_image1-1.jpg,NORMAL,NORMAL,GLAUCOMA SUSPECT\n"
    ",,,\n,,,\n"
)
TABLES = {
    "Train/Bosch": BOSCH,
    "Test/Bosch": BOSCH,
    "Train/Forus": "Images,Expert.1,Majority Decision\n12.png-12-1.png,NORMAL,NORMAL\n",
    "Test/Forus": "Images,Expert.1,Glaucoma Decision\n22.png-22-1.png,NORMAL,GLAUCOMA SUSPECT\n",
    "Train/Remidio": "Images,Expert.1,Majority Decision\nIMG_7.tif-IMG_7-1.tif,NORMAL,NORMAL\n",
    "Test/Remidio": "Images,Expert.1,Glaucoma Decision\nIMG_9.tif-IMG_9-1.tif,NORMAL,NORMAL\n",
}


def build(root: Path) -> None:
    """Write eight photographs with five experts' masks; ``Train`` lies in a folder of the same name."""
    for part, names in PHOTOGRAPHS.items():
        base = root / "Chaksu" / part / (part if part == "Train" else "")
        for seed, name in enumerate(names):
            camera, file = name.split("/")
            save(base / "1.0_Original_Fundus_Images" / name, photograph(seed + len(part) * 10))
            save(base / "2.0_Doctors_Annotations" / "Expert 1" / camera / "Disc" / file, photograph(seed))
            fused = "Remedio" if (part, camera) == ("Test", "Remidio") else camera
            save(base / "4.0_OD_CO_Fusion_Images" / "Expert 4" / fused / "22glsusp.png", ellipse() * 127)
            _write_masks(base / "3.0_Doctors_Annotations_Binary_OD_OC", camera, Path(file).stem)
    for place, text in TABLES.items():
        part, camera = place.split("/")
        base = root / "Chaksu" / part / (part if part == "Train" else "")
        path = base / "6.0_Glaucoma_Decision" / f"Glaucoma_Decision_Comparison_{camera}_majority.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8-sig")


def _write_masks(folder: Path, camera: str, stem: str) -> None:
    for expert, scale in enumerate(SCALES, 1):
        name = stem.upper() if expert == 2 else stem
        for region, axes in (("Disc", DISC), ("cup" if expert == 3 else "Cup", CUP)):
            mask = ellipse(axes, scale).astype(np.uint8) * 255
            save(folder / f"Expert {expert}" / camera / region / f"{name}.tif", mask)
