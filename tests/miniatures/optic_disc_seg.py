"""OpticDiscSeg in miniature."""

from pathlib import Path

from tests.miniatures.shapes import ellipse, photograph, save

SUBSETS = {"train": ("H0002", "N0003", "P0005"), "val": ("N0004",), "test": ("P0008",)}


def build(root: Path) -> None:
    """Write five photographs, their palette masks and the three lists."""
    base = root / "optic_disc_seg"
    for subset, names in SUBSETS.items():
        for name in names:
            save(base / "JPEGImages" / f"{name}.jpg", photograph(500 + int(name[1:])))
            save(base / "Annotations" / f"{name}.png", ellipse(), palette=True)
        lines = (f"JPEGImages/{name}.jpg Annotations/{name}.png\n" for name in names)
        (base / f"{subset}_list.txt").write_text("".join(lines))
