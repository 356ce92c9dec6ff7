"""RIM-ONE DL: 485 crops around the disc, with the disc and cup of one expert."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import read_binary
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Record

PUBLISHED = {"randomly": {"train": 339, "test": 146}, "by_hospital": {"train": 311, "test": 174}}
"""Pictures of each part, by partition."""

_DIAGNOSES: dict[str, Diagnosis] = {"normal": "healthy", "glaucoma": "glaucoma"}


_NAME = r"r\d+_(?:Im\d+|[NGS]-\d+-[LR](?:_left_half)?)"


class RimOneDL(FundusDataset):
    """RIM-ONE DL, the three earlier releases revised and joined.

    - Images: 485 square crops around the disc, PNG, 274 to 793 pixels wide; three hospitals, in Tenerife, Saragossa
      and Madrid.
    - Masks: binary PNG, 0 and 255, one file for each region. The TXT files beside them are not read.
    - Experts: 1.
    - Names: ``rN_ImNNN``, N is the release that the image comes from; those of r3 mostly keep their name there,
      ``r3_N-12-L_left_half``, which tells patient (r3_N-12) and eye (L left, R right).
    - Diagnosis: 313 healthy, 172 glaucoma, from the folder. Eye and patient: told by the names of r3 alone; each other
      image counts as a patient of its own.
    - Split: two, of which ``partition`` takes one: ``randomly`` 339 training and 146 test, ``by_hospital`` 311 training
      (Tenerife) and 174 test (the other two).
    - Provenance: 250 of the images are from RIM-ONE r2 and 137 from r3. Never train on one and test on the other. The
      authors ask not to add other datasets when their split is used.

    Args:
        root: The folder that holds both the unpacked images and the unpacked reference segmentations.
        partition: ``randomly`` or ``by_hospital``.

    Raises:
        ConfigurationError: There is no such partition.
        DatasetError: On reading, an image without a mask or a mask without its image.
    """

    source = "rim_one_dl"
    regions = (DISC, CUP)
    url = "https://github.com/miag-ull/rim-one-dl"
    same_eyes_as = frozenset({"rim_one_r2", "rim_one_r3"})
    derived = True
    published: ClassVar = {"all": 485}
    licence = "research and education, no redistribution; cite the paper"
    citation = (
        "Fumero, Diaz-Aleman, Sigut, Alayon, Arnay, Angel-Pereira: RIM-ONE DL: a unified retinal image database for "
        "assessing glaucoma using deep learning, Image Analysis and Stereology 39, 2020, doi 10.5566/ias.2346"
    )
    layout = (
        "RIM-ONE_DL_images/partitioned_{randomly,by_hospital}/{training_set,test_set}/{normal,glaucoma}/"
        "{rN_ImNNN,r3_N-NN-L_left_half}.png "
        "and RIM-ONE_DL_reference_segmentations/{normal,glaucoma}/NAME-1-{Disc,Cup}-T.png"
    )

    def __init__(self, root: str | Path, partition: str = "randomly") -> None:
        super().__init__(root)
        check_choice("RimOneDL", "partition", partition, PUBLISHED)
        self.partition = partition

    def counts(self) -> Mapping[str, int]:
        """Published number of pictures in this partition's parts."""
        return PUBLISHED[self.partition]

    def index(self) -> list[Record]:
        """Pair images and masks by name."""
        images = self.match(
            r"(?:partitioned_(\w+)/)?(?:images/)?(train|test)(?:ing_set|_set)?/(?:(normal|glaucoma)/)?"
            rf"({_NAME})\.png"
        )
        # Where no folder says which partition it is, the images are taken as the one that was asked for.
        other = {path for path, hit in images.items() if hit[1] and hit[1].lower() != self.partition}
        if other and len(other) == len(images):
            raise DatasetError(
                f"no picture of the partition {self.partition!r} below {self.root}, but {len(other)} of the other one",
                f"the folder partitioned_{self.partition}",
                f"set partition to {' or '.join(name for name in PUBLISHED if name != self.partition)}",
            )
        self.leave_out("pictures of the other partition", other)
        images = {path: hit for path, hit in images.items() if path not in other}
        pictures = keyed("image", ((hit[4], path) for path, hit in images.items()))
        masks = {region: (f"{region} mask", self.find(rf"({_NAME})-1-{region}-T\.png")) for region in self.regions}
        files = self.pair(pictures, masks)
        return [
            Record(
                self.source,
                hit[4],
                path,
                _patient(hit[4])[0],
                self.regions,
                eye=_patient(hit[4])[1],
                # Images that lie in no folder of a diagnosis have it from their masks, which do.
                diagnosis=_DIAGNOSES.get((hit[3] or files[hit[4]][DISC].parent.name).lower()),
                subset="train" if hit[2].lower() == "train" else "test",
                files=files[hit[4]],
            )
            for path, hit in images.items()
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the two masks."""
        return [Annotation(region, "expert1", read_binary(record.files[region])) for region in self.regions]


def _patient(name: str) -> tuple[str, Eye | None]:
    """Patient and eye that a name of r3 tells: ``r3_N-12-L_left_half``."""
    told = re.match(r"(r\d+_[NGS]-\d+)-([LR])", name, re.IGNORECASE)
    if not told:
        return name, None
    return told[1], "OS" if told[2].upper() == "L" else "OD"
