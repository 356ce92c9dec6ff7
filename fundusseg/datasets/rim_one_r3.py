"""RIM-ONE r3: 159 stereo photographs with the disc and cup of two experts."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from fundusseg.datasets._label_codes import read_binary
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets.base import FundusDataset, mask_size_error
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Image, Record

EXPERTS = {"expert1": "exp1", "expert2": "exp2"}
"""Expert and the ending of that expert's files."""

AVERAGE = {"average": "avg"}
"""The outline averaged from both experts'."""

_DIAGNOSES: dict[str, Diagnosis] = {"N": "healthy", "G": "glaucoma", "S": "suspect"}


class RimOneR3(FundusDataset):
    """RIM-ONE release 3.

    - Images: 159 stereo photographs, JPEG, 2144 x 1424: two views of one eye side by side. The left view is taken,
      1072 x 1424: the masks, which are as large as both views, are drawn on it. A mask that reaches the right view is
      refused.
    - Masks: binary PNG, 0 and 255, one file for each expert and region. The TXT files beside them hold the same
      outlines for the authors' own tool and are not read.
    - Experts: 2, ``expert1`` and ``expert2``. ``Average_masks`` is computed from these two, so it is no third opinion:
      it is read only with ``masks="average"``, as the single expert ``average``, and never fused with the two.
    - Names: N healthy, G glaucoma, S suspect; a number, with gaps; the last L or R is the eye.
    - Patients: letter and number, N-12, so that two eyes of one would stay together.
    - Split: none.
    - Provenance: 137 of its images stand, cropped, in RIM-ONE DL too. Never train on one and test on the other, nor on
      r2: both were taken at the same hospital, and whom they share is not published.

    Args:
        root: The folder that the public package unpacks to, or its parent.
        masks: ``experts``, or ``average``.

    Raises:
        ConfigurationError: ``masks`` is neither.
        DatasetError: On reading, a photograph without a mask, a mask without its photograph, or a mask that reaches
            the right view.
    """

    source = "rim_one_r3"
    regions = (DISC, CUP)
    url = "http://medimrg.webs.ull.es/research/downloads/"
    same_eyes_as = frozenset({"rim_one_r2", "rim_one_dl"})
    published: ClassVar = {"all": 159}
    licence = "research use, no redistribution; cite the paper"
    citation = (
        "Fumero, Sigut, Alayon, Gonzalez-Hernandez, Gonzalez de la Rosa: Interactive tool and database for optic disc "
        "and cup segmentation of stereo and monocular retinal fundus images, 2015"
    )
    known: ClassVar = {
        "masks of the experts or of their average": r"(?:expert[12]|average)_masks/[NGS]-\d+-[LR]-[^/]+\.png"
    }
    layout = (
        "{Healthy,Glaucoma and suspects}/Stereo Images/{N,G,S}-NN-{L,R}.jpg, beside it "
        "{Expert1_masks,Expert2_masks}/N-NN-L-1-{Disc,Cup}-{exp1,exp2}.png and Average_masks/N-NN-L-{Disc,Cup}-Avg.png"
    )

    def __init__(self, root: str | Path, masks: str = "experts") -> None:
        super().__init__(root)
        check_choice("RimOneR3", "masks", masks, ("experts", "average"))
        self.experts = EXPERTS if masks == "experts" else AVERAGE

    def index(self) -> list[Record]:
        """Pair photographs and masks by name."""
        pictures = keyed("photograph", self.find(r"stereo images/([NGS]-\d+-[LR])\.jpe?g", str.upper))
        masks = {
            f"{expert} {region}": (
                f"{region} mask of {expert}",
                self.find(rf"{expert}_masks/([NGS]-\d+-[LR])(?:-\d)?-{region}-{ending}\.png", str.upper),
            )
            for expert, ending in self.experts.items()
            for region in self.regions
        }
        files = self.pair(pictures, masks)
        return [
            Record(
                self.source,
                name,
                picture,
                # N-12-L without its eye is the patient.
                name[:-2],
                self.regions,
                eye="OS" if name.endswith("L") else "OD",
                diagnosis=_DIAGNOSES[name[0]],
                files=files[name],
            )
            for name, picture in pictures.items()
        ]

    def photograph(self, record: Record) -> Image:
        """The left view."""
        pair_of_views = read_photograph(record.image)
        return np.ascontiguousarray(pair_of_views[:, : pair_of_views.shape[1] // 2])

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the masks and keep the part on the left view."""
        height, width = shape
        annotations = []
        for region in self.regions:
            for expert in self.experts:
                path = record.files[f"{expert} {region}"]
                mask = read_binary(path)
                if mask.shape[0] != height or mask.shape[1] // 2 != width:
                    raise mask_size_error(record, region, mask.shape, (height, 2 * width))
                if mask[:, width:].any():
                    raise DatasetError(
                        f"a {region} mask that reaches the right view of the stereo pair: {path}",
                        f"a mask on the left view, columns 0 to {width - 1}",
                        "restore the mask and the uncut photograph from the dataset's package",
                    )
                annotations.append(Annotation(region, expert, np.ascontiguousarray(mask[:, :width])))
        return annotations
