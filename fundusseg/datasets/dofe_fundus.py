"""DoFE's Fundus: crops around the disc of three public sets in four domains, one code and one split for all."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import check_order, nested
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets.base import FundusDataset
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Eye, Image, Record, Subset

DOMAINS = {"1": "drishti_gs", "2": "rim_one_r3", "3": "refuge", "4": "refuge"}
"""Each domain and the source of the set that it is cut from."""

BACKGROUND, RIM, CUP_CODE = 255, 128, 0

COUNTS = {
    "1": {"train": 50, "test": 51},
    "2": {"train": 99, "test": 60},
    "3": {"train": 320, "test": 80},
    "4": {"train": 320, "test": 80},
}
"""Crops of each domain's parts."""

_SUBSETS: dict[str, Subset] = {"train": "train", "test": "test"}
_DIAGNOSES: dict[str, Diagnosis] = {"g": "glaucoma", "n": "healthy", "s": "suspect"}
_EYES: dict[str, Eye] = {"l": "OS", "r": "OD"}


class DofeFundus(FundusDataset):
    """Fundus, the benchmark of DoFE for domain generalization.

    - Images: 1060 crops around the disc, PNG; their size is not stated. Domain 1 is DRISHTI-GS1 (101), 2 RIM-ONE r3
      (159), 3 REFUGE's training set (400, Zeiss Visucam 500), 4 REFUGE's validation set (400, Canon CR-2). The whole
      photographs, where they lie beside the folders ``ROIs``, are not read.
    - Masks: one for both regions in REFUGE's code, **255 background, 128 rim, 0 cup**. Resizing left values between:
      above 200 counts as background, 51 to 200 as rim, up to 50 as cup, as in the authors' own code.
    - Experts: 1; how the experts of the original sets were fused is not stated.
    - Names: of domains 1 and 3 begin with g glaucoma or n not; of domain 2 they are as in RIM-ONE r3: G glaucoma, N
      healthy, S suspect, the patient's number, L or R for the eye. Otherwise diagnosis and eye are not told, and each
      crop counts as a patient of its own.
    - Split: train 50, 99, 320 and 320 of the domains, test 51, 60, 80 and 80.
    - Provenance: never train on it and test on one of the original sets, nor on SMDG or RIM-ONE DL, which hold some of
      the same eyes.

    Args:
        root: The folder ``Fundus``, or a parent.
        domain: ``1`` to ``4``, which is then a source of its own, ``dofe_domain1``; None for all.

    Raises:
        ConfigurationError: There is no such domain.
        DatasetError: On reading, a crop without its mask, a mask without its crop, or a mask of turned codes.
    """

    source = "dofe_fundus"
    regions = (DISC, CUP)
    published: ClassVar = {"train": 789, "test": 271}
    same_eyes_as = frozenset({*DOMAINS.values(), "rim_one_dl"})
    derived = True
    url = "https://github.com/emma-sjwang/Dofe"
    licence = "not stated; the terms of each original set hold"
    citation = (
        "Wang, Yu, Li, Yang, Fu, Heng: DoFE: domain-oriented feature embedding for generalizable fundus image "
        "segmentation on unseen datasets, IEEE Transactions on Medical Imaging 39, 2020, doi 10.1109/TMI.2020.3015224"
    )
    known: ClassVar = {"whole photographs and their masks": r"domain[1-4]/(?:train|test)/(?:image|mask)/[^/]+"}
    layout = "Domain{1..4}/{train,test}/ROIs/{image,mask}/NAME.png, the same name in both"

    def __init__(self, root: str | Path, domain: str | int | None = None) -> None:
        super().__init__(root)
        self.domain = None if domain is None else str(domain)
        check_choice("DofeFundus", "domain", self.domain, DOMAINS)
        if self.domain is not None:
            self.source = f"dofe_domain{self.domain}"
            crops = {"rim_one_dl"} if self.domain == "2" else set()
            self.same_eyes_as = frozenset({"dofe_fundus", DOMAINS[self.domain], *crops})

    def index(self) -> list[Record]:
        """Pair crops and masks by domain, part and name."""
        pictures = keyed("crop", self._find("image"))
        files = self.pair(pictures, {"mask": ("mask", self._find("mask"))})
        return [self._record(key, image, files[key]) for key, image in pictures.items() if key in files]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask, each value as the code that it lies next to."""
        path = record.files["mask"]
        values = read_mask(path)
        codes: Image = (RIM * (values > 50) + (BACKGROUND - RIM) * (values > 200)).astype("uint8")
        check_order(codes, (BACKGROUND, RIM, CUP_CODE), path)
        return nested(codes, (BACKGROUND, RIM, CUP_CODE), path)

    def counts(self) -> Mapping[str, int]:
        """Published number of crops of this domain's parts, or of all."""
        return COUNTS[self.domain] if self.domain else self.published

    def _find(self, folder: str) -> list[tuple[str, Path]]:
        """Key ``domain/part/name`` in lower case, and file, of the domain that was asked for."""
        name = rf"{folder}/([^/]+)\.(?:png|jpe?g|bmp)"
        crops = self.match(rf"domain([1-4])/(train|test)/ROIs/{name}")
        # A copy that holds the crops alone may lack the folder ROIs.
        hits = crops or self.match(rf"domain([1-4])/(train|test)/{name}")
        others = {path for path, hit in hits.items() if self.domain not in (None, hit[1])}
        self.leave_out("files of other domains", others)
        return [("/".join(hit.groups()).lower(), path) for path, hit in hits.items() if path not in others]

    def _record(self, key: str, image: Path, files: dict[str, Path]) -> Record:
        domain, part, stem = key.split("/")
        stereo = re.fullmatch(r"([gns]-\d+)-([lr]).*", stem) if domain == "2" else None
        name = f"domain{domain}_{image.stem}"
        return Record(
            self.source,
            name,
            image,
            f"domain{domain}_{stereo[1].upper()}" if stereo else name,
            self.regions,
            eye=_EYES[stereo[2]] if stereo else None,
            diagnosis=None if domain == "4" else _DIAGNOSES.get(stem[0]),
            subset=_SUBSETS[part],
            files=files,
        )
