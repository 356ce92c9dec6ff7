"""MASD, of the sclera segmentation competitions: photographs of the eye's front with the sclera."""

import re

from fundusseg.datasets._label_codes import read_binary
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.sample import Annotation, Record, Region

SCLERA: Region = "sclera"


class Sclera(FundusDataset):
    """MASD (multi-angle sclera dataset), of the sclera segmentation benchmarking competitions (SSBC).

    - Images: colour photographs of the open eye, JPEG, 420 to 700 pixels high; 82 people, both eyes, looking to
      several sides. What is given out are parts of it.
    - Masks: binary PNG, 0 and 255, also of 1 bit; the sclera only.
    - Experts: 1.
    - Names: a folder for each person; the same picture is ``1  (3).jpg`` and ``1(3).png``: blanks do not count.
    - Patients: the folder. Eye and diagnosis: not told.
    - Split: by person; no list is given out.

    Raises:
        DatasetError: On reading, a photograph without its mask or a mask without its photograph.
    """

    source = "sclera"
    regions = (SCLERA,)
    url = "https://doi.org/10.1109/ICB2018.2018.00053"
    signs = r"sclera|masd|ssbc"
    licence = "research use, on request to the organisers; cite the paper"
    citation = (
        "SSBC 2018: sclera segmentation benchmarking competition, International Conference on Biometrics, 2018, "
        "doi 10.1109/ICB2018.2018.00053"
    )
    layout = "image/PERSON/1  (N).jpg and label/PERSON/1(N).png"

    def index(self) -> list[Record]:
        """Pair photographs and masks by person and by name without blanks."""
        images = self.match(r"images?/([^/]+)/([^/]+)\.jpe?g")
        masks = self.match(r"labels?/([^/]+)/([^/]+)\.png")
        pictures = keyed("photograph", ((_name(hit), path) for path, hit in images.items()))
        files = self.pair(pictures, {SCLERA: ("sclera mask", ((_name(hit), path) for path, hit in masks.items()))})
        people = {path: hit[1] for path, hit in images.items()}
        return [
            Record(self.source, name, picture, people[picture], self.regions, files=files[name])
            for name, picture in pictures.items()
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask."""
        return [Annotation(SCLERA, "expert1", read_binary(record.files[SCLERA]))]


def _name(hit: re.Match[str]) -> str:
    """Person and picture without blanks: ``0001_1(3)``."""
    return f"{hit[1]}_{''.join(hit[2].split())}"
