"""IDRiD: 81 photographs with the disc."""

from typing import ClassVar

from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import DISC, Annotation, Record, Subset


class IDRiD(FundusDataset):
    """IDRiD, its part A (segmentation).

    - Images: 81 photographs with signs of diabetic retinopathy, JPEG, 4288 x 2848, 50 degree field of view centred
      near the macula, Kowa VX-10 alpha; Nanded.
    - Masks: the disc only, TIFF; every value above 0 is the disc. The lesions' masks are not read.
    - Experts: 1.
    - Diagnosis of glaucoma, eye and patient: not told, so each photograph counts as a patient of its own.
    - Beside it may lie the parts B (disease grading) and C (localisation): their photographs have three digits and no
      disc mask, and are passed over.
    - Split: 54 training, 27 test, by the folder.

    Raises:
        DatasetError: On reading, a photograph without its mask or a mask without its photograph.
    """

    source = "idrid"
    regions = (DISC,)
    url = "https://ieee-dataport.org/open-access/indian-diabetic-retinopathy-image-dataset-idrid"
    published: ClassVar = {"train": 54, "test": 27}
    licence = "CC BY 4.0"
    citation = (
        "Porwal, Pachade, Kamble, Kokare, Deshmukh, Sahasrabuddhe, Meriaudeau: Indian Diabetic Retinopathy Image "
        "Dataset (IDRiD), Data 3(3), 2018, doi 10.3390/data3030025"
    )
    known: ClassVar = {
        "photographs of parts B and C, which have no disc mask": r"[^/]*original images/[^/]+/IDRiD_\d{3}\.jpe?g",
        "masks of lesions": r"[^/]*all segmentation groundtruths/[^/]+/(?![^/]*optic disc)[^/]+/[^/]+\.tiff?",
    }
    layout = (
        "1. Original Images/{a. Training Set,b. Testing Set}/IDRiD_NN.jpg and "
        "2. All Segmentation Groundtruths/{a. Training Set,b. Testing Set}/5. Optic Disc/IDRiD_NN_OD.tif"
    )

    def index(self) -> list[Record]:
        """Pair photographs and masks by number."""
        part = r"(?:[ab]\. ?)?(training|testing) set"
        images = self.match(rf"(?:\d\. ?)?original images/{part}/IDRiD_(\d\d)\.jpe?g")
        masks = self.match(
            rf"(?:\d\. ?)?all segmentation groundtruths/{part}/(?:\d\. ?)?optic disc/IDRiD_(\d\d)_OD\.tiff?"
        )
        pictures = keyed("photograph", ((hit[2], path) for path, hit in images.items()))
        subsets: dict[str, Subset] = {
            hit[2]: "train" if hit[1].lower() == "training" else "test" for hit in images.values()
        }
        found = ((hit[2], path) for path, hit in masks.items())
        files = self.pair(pictures, {DISC: ("disc mask", found)}, subsets.__getitem__)
        return [
            Record(
                self.source,
                f"IDRiD_{number}",
                picture,
                f"IDRiD_{number}",
                self.regions,
                subset=subsets[number],
                files=files[number],
            )
            for number, picture in pictures.items()
            if number in files
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask."""
        return [Annotation(DISC, "expert1", read_mask(record.files[DISC]) > 0)]
