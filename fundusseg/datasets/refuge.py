"""REFUGE: 1200 photographs of two cameras with the disc and cup fused from seven experts."""

from typing import ClassVar

from fundusseg.datasets._label_codes import nested
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Record, Subset

BACKGROUND, RIM, CUP_CODE = 255, 128, 0

_SUBSETS: dict[str, Subset] = {"g": "train", "n": "train", "v": "val", "t": "test"}
_DIAGNOSES: dict[str, Diagnosis] = {"g": "glaucoma", "n": "healthy"}


class Refuge(FundusDataset):
    """REFUGE, the first edition of the challenge (2018).

    - Images: 1200 photographs, JPEG; 400 training 2124 x 2056 (Zeiss Visucam 500), 400 validation and 400 test
      1634 x 1634 (Canon CR-2).
    - Masks: one for both regions, **255 background, 128 rim, 0 cup**: dark is inside.
    - Experts: 7, fused into one by a senior expert before publication: ``expert1``.
    - Names: gNNNN glaucoma and nNNNN not (training), VNNNN validation, TNNNN test.
    - Diagnosis: by the training names; of the others, by a folder Glaucoma or Non-Glaucoma (G, N) above the mask,
      where the package has these. "Not glaucoma" counts as healthy. Eye and patient: not told, so each photograph
      counts as a patient of its own.
    - Split: 400 / 400 / 400, by the names.

    Found as the challenge gave it and as mirrors do, ``{train,val,test}/{images,mask}``. Where a part's masks are
    missing, as the test set's are in some mirrors, that part's photographs are left out, with a remark.

    Raises:
        DatasetError: On reading, a photograph without its mask or a mask without its photograph.
    """

    source = "refuge"
    regions = (DISC, CUP)
    url = "https://refuge.grand-challenge.org"
    published: ClassVar = {"train": 400, "val": 400, "test": 400}
    licence = "challenge terms: research and education; cite the paper"
    citation = (
        "Orlando, Fu, Barbosa Breda, van Keer, Bathula and others: REFUGE challenge: a unified framework for "
        "evaluating automated methods for glaucoma assessment from fundus photographs, Medical Image Analysis 59, "
        "2020, doi 10.1016/j.media.2019.101570"
    )
    layout = (
        "Training400/{Glaucoma,Non-Glaucoma}/{g,n}NNNN.jpg, REFUGE-Validation400/VNNNN.jpg, Test400/TNNNN.jpg and "
        "Disc_Cup_Masks/[Glaucoma/,Non-Glaucoma/]*.bmp; or images/*.jpg and mask/*.{bmp,png}"
    )

    def index(self) -> list[Record]:
        """Pair photographs and masks by name."""
        folder = r"(?:training400/(?:non-)?glaucoma|(?:refuge-)?(?:validation|test)400|images)"
        images = self.match(rf"{folder}/([gnvt]\d+)\.jpe?g")
        masks = self.match(
            r"(?:disc_cup_masks/(?:(glaucoma|non-glaucoma|g|n)/)?|masks?/|gts/|groundtruths?/)([gnvt]\d+)\.(?:bmp|png)"
        )
        pictures = keyed("photograph", ((hit[1].lower(), path) for path, hit in images.items()))
        found = ((hit[2].lower(), path) for path, hit in masks.items())
        files = self.pair(pictures, {"mask": ("mask", found)}, lambda name: _SUBSETS[name[0]])
        told = {hit[2].lower(): hit[1][0].lower() for hit in masks.values() if hit[1]}
        return [
            Record(
                self.source,
                picture.stem,
                picture,
                picture.stem,
                self.regions,
                diagnosis=_DIAGNOSES.get(name[0]) or _DIAGNOSES.get(told.get(name, "")),
                subset=_SUBSETS[name[0]],
                files=files[name],
            )
            for name, picture in pictures.items()
            if name in files
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask."""
        path = record.files["mask"]
        return nested(read_mask(path), (BACKGROUND, RIM, CUP_CODE), path)
