"""RIGA+ in miniature: two hospitals and two bases of MESSIDOR, photographs without masks, and the lists beside."""

from pathlib import Path

from tests.miniatures.shapes import CUP, DISC, ellipse, photograph, save

CROPS = (
    "BinRushed/BinRushed1/image1",
    "BinRushed/BinRushed2/image1",
    "Magrabia/MagrabiFemale/image7",
    "MESSIDOR_Base1/Labeled/image20",
    "MESSIDOR_Base2/Labeled/image20",
)
SCALES = (1.0, 1.02, 1.04, 0.98, 0.96, 1.06)  # of the six experts' ellipses
LISTS = {
    "BinRushed_train": CROPS[:1],
    "BinRushed_test": CROPS[1:2],
    "Magrabia_train": CROPS[2:3],
    "MESSIDOR_Base1_test": CROPS[3:4],
    "MESSIDOR_Base2_train": CROPS[4:],
}


def build(root: Path, lists: bool = True) -> None:
    """Write five crops with six experts' masks, 0 background, 255 rim, 128 cup, and a photograph without."""
    base = root / "RIGAPlus"
    for seed, name in enumerate((*CROPS, "MESSIDOR_Base1/Unlabeled/20051020_43808_0100_PP")):
        save(base / "RIGA" / f"{name}.tif", photograph(seed))
    for name in CROPS:
        for expert, scale in enumerate(SCALES, 1):
            disc, cup = ellipse(DISC, scale), ellipse(CUP, scale)
            save(base / "RIGA-mask" / f"{name}-{expert}.tif", disc * 255 - cup * 127)
    if lists:
        for name, crops in LISTS.items():
            lines = (f"RIGA/{crop}.tif,RIGA-mask/{crop}.tif\n" for crop in crops)
            (base / f"{name}.csv").write_text("image,mask\n" + "".join(lines))
        (base / "MESSIDOR_Base1_unlabeled.csv").write_text(
            "image\nRIGA/MESSIDOR_Base1/Unlabeled/20051020_43808_0100_PP.tif\n"
        )
