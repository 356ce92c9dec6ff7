"""RIM-ONE r2: 455 crops around the disc, with the disc of one expert."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import DISC, Annotation, Record

BETWEEN = 0.05
"""Share of a mask's pixels that may lie between black and white: JPEG blurs the outline, a grey picture is no mask."""


_SEGMENTATION = "(?:normal|glaucoma and glaucoma suspicious) segmentation"


class RimOneR2(FundusDataset):
    """RIM-ONE release 2.

    - Images: 455 crops around the disc, JPEG.
    - Masks: the disc only, black and white, BMP, or JPEG where there is no BMP; the outline is cut at half grey. The
      TXT files beside the images hold the outline's points and an ellipse for the authors' own tool and are not read.
    - Experts: 1.
    - Diagnosis: healthy in the folder Normal; the other folder mixes glaucoma and suspects and does not tell which.
      Eye and patient: not told, so each image counts as a patient of its own.
    - Split: none.
    - Provenance: 250 of its images stand in RIM-ONE DL too. Never train on one and test on the other, nor on r3: both
      were taken at the same hospital, and whom they share is not published.

    Raises:
        DatasetError: On reading, an image without its mask, a mask without its image, or a mask that is not black and
            white.
    """

    source = "rim_one_r2"
    regions = (DISC,)
    url = "http://medimrg.webs.ull.es/research/downloads/"
    same_eyes_as = frozenset({"rim_one_r3", "rim_one_dl"})
    published: ClassVar = {"all": 455}
    licence = "research use, no redistribution; cite the paper"
    citation = (
        "Fumero, Alayon, Sanchez, Sigut, Gonzalez-Hernandez: RIM-ONE: an open retinal image database for optic nerve "
        "evaluation, 24th International Symposium on Computer-Based Medical Systems, 2011"
    )
    known: ClassVar = {"masks as JPEG too": rf"{_SEGMENTATION}/Im\d+-gs_mask\.jpe?g"}
    layout = (
        "{Normal,Glaucoma and glaucoma suspicious}/ImNNN.jpg and "
        "{Normal segmentation,Glaucoma and glaucoma suspicious segmentation}/ImNNN-gs_mask.{bmp,jpg}"
    )

    def index(self) -> list[Record]:
        """Pair images and masks by number."""
        images = self.match(r"(normal|glaucoma and glaucoma suspicious)/Im(\d+)\.jpe?g")
        # The published package has every mask in both formats: the BMP is exact, the JPEG's outline is grey.
        masks = dict(self.find(rf"{_SEGMENTATION}/Im(\d+)-gs_mask\.jpe?g"))
        masks |= keyed("disc mask", self.find(rf"{_SEGMENTATION}/Im(\d+)-gs_mask\.bmp"))
        pictures = keyed("image", ((hit[2], path) for path, hit in images.items()))
        files = self.pair(pictures, {DISC: ("disc mask", masks.items())})
        healthy = {path for path, hit in images.items() if hit[1].lower() == "normal"}
        return [
            Record(
                self.source,
                f"Im{number}",
                picture,
                f"Im{number}",
                self.regions,
                diagnosis="healthy" if picture in healthy else None,
                files=files[number],
            )
            for number, picture in pictures.items()
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Cut the mask at half grey."""
        return [Annotation(DISC, "expert1", _black_and_white(record.files[DISC]))]


def _black_and_white(path: Path) -> npt.NDArray[np.bool_]:
    """H x W bool, True where white."""
    codes = read_mask(path)
    share = float(np.mean((codes > 63) & (codes < 192)))
    if share > BETWEEN:
        raise DatasetError(
            f"{share:.0%} of the pixels between black and white in {path}",
            f"a black and white mask, at most {BETWEEN:.0%} between",
            "restore the mask from the dataset's package",
        )
    return codes > 127
