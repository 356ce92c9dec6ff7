"""ORIGA in miniature: masks as PNG or as the original MATLAB files, and the table."""

from pathlib import Path

from scipy.io import savemat

from tests.miniatures.shapes import labels, photograph, save

TABLE = "Eye,Filename,ExpCDR,Set,Glaucoma\nOD,001.jpg,0.6,A,0\nOS,002.jpg,0.6,B,1\nOD,004.jpg,0.6,B,0\n"
MATRICES = "Semi-automatic-annotations"
NUMBERS = ("001", "002", "004")


def build(root: Path, masks: str = "png", table: bool = True, matrices: str = MATRICES) -> None:
    """Write three photographs with masks as ``png``, ``mat`` or ``both``."""
    base = root / "ORIGA"
    for number in NUMBERS:
        save(base / "Images" / f"{number}.jpg", photograph(int(number)))
        save(base / "Images_Cropped" / f"{number}.jpg", photograph(int(number)))
        codes = labels(0, 1, 2)
        if masks in ("png", "both"):
            save(base / "Masks" / f"{number}.png", codes)
        if masks in ("mat", "both"):
            folder = base / matrices
            folder.mkdir(exist_ok=True)
            savemat(folder / f"{number}.mat", {"mask": codes.astype(float)})
    if table:
        (base / "OrigaList.csv").write_text(TABLE)


def build_classified(root: Path) -> None:
    """Write the form for classification: no mask anywhere."""
    for part, diagnosis, number in (("Training", "normal", "001"), ("Testing", "glaucoma", "002")):
        save(root / "ORIGA" / "ORIGA" / part / diagnosis / f"{number}.jpg", photograph(int(number)))
