"""DRIONS-DB in miniature."""

from pathlib import Path

from tests.miniatures.shapes import outline, photograph, save


def build(root: Path, count: int = 3, folder: str = "experts_annotation", first_seed: int = 0) -> None:
    """Write ``count`` photographs with two experts' contours, the second 4% larger."""
    for number in range(1, count + 1):
        save(root / "DRIONS-DB" / "images" / f"image_{number:03d}.jpg", photograph(first_seed + number))
        for expert, scale in ((1, 1.0), (2, 1.04)):
            path = root / "DRIONS-DB" / folder / f"anotExpert{expert}_{number:03d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{x:.3f} , {y:.3f}\n" for x, y in outline(scale=scale)))
