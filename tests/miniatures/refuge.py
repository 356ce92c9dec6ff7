"""REFUGE in miniature, in every form in which it is found."""

import json
from pathlib import Path

import numpy as np
from openpyxl import Workbook

from tests.miniatures.shapes import CUP, DISC, ellipse, labels, photograph, save

NAMES = ("g0001", "n0003", "V0001", "T0001", "T0002")
PLACES = {
    "g0001": ("REFUGE-Training400/Training400/Glaucoma", "Annotation-Training400/Disc_Cup_Masks/Glaucoma"),
    "n0003": ("REFUGE-Training400/Training400/Non-Glaucoma", "Annotation-Training400/Disc_Cup_Masks/Non-Glaucoma"),
    "V0001": ("REFUGE-Validation400", "REFUGE-Validation400-GT/Disc_Cup_Masks"),
    "T0001": ("REFUGE-Test400/Test400", "REFUGE-Test-GT/Disc_Cup_Masks/G"),
    "T0002": ("REFUGE-Test400/Test400", "REFUGE-Test-GT/Disc_Cup_Masks/N"),
}
PARTS = {"g": "train", "n": "train", "V": "val", "T": "test"}
FORMS = ("challenge", "instead", "doubled", "refuge2", "mirror")
"""Forms with masks of 255/128/0: Kaggle's bundle and MultiRater have functions of their own."""


def place(name: str, form: str) -> tuple[str, str]:
    """Folders of one photograph and its mask."""
    images, masks = PLACES[name]
    if form == "instead":
        return images.replace("Training400/Training400", "Training400").replace("Test400/Test400", "Test400"), masks
    if form == "doubled":
        top = masks.split("/")[0]
        return f"{images}/{images.split('/')[-1]}", f"{top}/{masks}"
    if form == "refuge2":
        base = "REFUGE2-Training/REFUGE2-Training/" + {"g": "REFUGE1-Train-400", "n": "REFUGE1-Train-400"}.get(
            name[0], "REFUGE1-Val-400" if name[0] == "V" else "REFUGE1-Test-400"
        )
        if name[0] == "V":
            return f"{base}/{images}", f"{base}/{masks}"
        if name[0] == "T":
            return f"{base}/Images", f"{base}/Annotation/Disc_Cup_Masks/{masks[-1]}"
        return f"{base}/Images/{images.split('/')[-1]}", f"{base}/{masks}"
    if form == "mirror":
        return f"REFUGE2/{PARTS[name[0]]}/images", f"REFUGE2/{PARTS[name[0]]}/mask"
    return images, masks


def build(root: Path, form: str = "challenge") -> None:
    """Write five photographs and their masks, 255 background, 128 rim, 0 cup."""
    for number, name in enumerate(NAMES):
        images, masks = place(name, form)
        ending = "png" if form == "mirror" and name[0] == "V" else "bmp"
        save(root / images / f"{name}.jpg", photograph(number))
        save(root / masks / f"{name}.{ending}", labels(255, 128, 0))


def build_bundle(root: Path, code: tuple[int, int, int] = (0, 1, 2), gts: bool = True) -> None:
    """Write Kaggle's bundle: gts and Masks in two codes, none for the test, renditions, and an index."""
    base = root / "REFUGE"
    for number, name in enumerate(NAMES):
        part = base / PARTS[name[0]]
        save(part / "Images" / f"{name}.jpg", photograph(number))
        save(part / "Images_Cropped" / f"{name}.jpg", photograph(number))
        save(base / "Images_Square" / f"{name}.jpg", photograph(number))
        save(base / "Masks_Square" / f"{name}.png", labels(0, 1, 2))
        if name[0] != "T":
            save(part / "Masks" / f"{name}.png", labels(*code))
            save(part / "Masks_Cropped" / f"{name}.png", labels(0, 1, 2))
            if gts:
                save(part / "gts" / f"{name}.bmp", labels(255, 128, 0))
    for part in ("train", "val", "test"):
        names = [name for name in NAMES if PARTS[name[0]] == part]
        lines = {str(n): {"ImgName": f"{name}.jpg", "Size_X": 112, "Label": 1} for n, name in enumerate(names)}
        if part == "train":
            lines["1"]["Label"] = 0
        (base / part / "index.json").write_text(json.dumps(lines))


def build_multi_rater(root: Path) -> None:
    """Write REFUGE-MultiRater: numbers anew in each part, seven experts, each a little larger."""
    for part, numbers in (("Training-400", ("0001", "0002")), ("Test-400", ("0001",))):
        for number in numbers:
            folder = root / "REFUGE-MultiRater" / part / number
            save(folder / f"{number}.jpg", photograph(int(number) + len(part)))
            for region, axes in (("disc", DISC), ("cup", CUP)):
                save(folder / f"{number}_{region}.bmp", ellipse(axes).astype(np.uint8) * 255)
                for expert in range(1, 8):
                    mask = ellipse(axes, 1 + expert / 100).astype(np.uint8) * 255
                    save(folder / f"{number}_seg_{region}_{expert}.png", mask)


def write_sheet(root: Path, labels: dict[str, int]) -> None:
    """Write the challenge's sheet of the test's labels."""
    book = Workbook()
    book.active.append(["ID", "ImgName", "Label(Glaucoma=1)", "Fovea_X", "Fovea_Y"])
    for number, (name, label) in enumerate(labels.items(), 1):
        book.active.append([number, f"{name}.jpg", label, 1057.95, 1076.52])
    book.save(root / "Glaucoma_label_and_Fovea_location.xlsx")
