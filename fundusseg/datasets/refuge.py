"""REFUGE: 1200 photographs of two cameras with the disc and cup fused from seven experts."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import code_of, nested, read_binary
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._tables import meaning, read_sheet
from fundusseg.datasets.base import FundusDataset, mask_size_error
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Record, Subset

RATERS = 7
"""Experts of REFUGE-MultiRater."""

_PART = r"(?:refuge\d?[-_])?(?:training|train|validation|val|test)[-_]?400"
_IMAGES = rf"(?:{_PART}|images)/(?:(?:non-)?glaucoma/)?"
_MULTI_RATER = r"(training|test)-400/(\d{4})/"

_SUBSETS: dict[str, Subset] = {"g": "train", "n": "train", "v": "val", "t": "test"}
_LABELS: dict[str, Diagnosis] = {"0": "healthy", "1": "glaucoma"}
_DIAGNOSES: dict[str, Diagnosis] = {"g": "glaucoma", "n": "healthy"}


class Refuge(FundusDataset):
    """REFUGE, the first edition of the challenge (2018).

    - Images: 1200 photographs, JPEG; 400 training 2124 x 2056 (Zeiss Visucam 500), 400 validation and 400 test
      1634 x 1634 (Canon CR-2).
    - Masks: one for both regions, **255 background, 128 rim, 0 cup**: dark is inside. Copies have 0/1/2 or 0/128/255
      too: the value along the border, which is background, tells the code. Where a picture has masks in several
      folders, those of ``Disc_Cup_Masks`` or ``gts`` are taken before those of ``Masks``.
    - Experts: 7, fused into one by a senior expert before publication: ``expert1``. REFUGE-MultiRater gives all seven,
      ``expert1`` to ``expert7``, for reduced photographs of the training and test parts; its names do not tell the
      diagnosis, and are here ``train_0001`` and ``test_0001``.
    - Names: gNNNN glaucoma and nNNNN not (training), VNNNN validation, TNNNN test.
    - Diagnosis: by the training names; of the others, by a folder Glaucoma or Non-Glaucoma (G, N) above the mask,
      by the sheet of the labels or by ``index.json``, where the package has one of these. "Not glaucoma" counts as
      healthy. Eye and patient: not told, so each photograph counts as a patient of its own.
    - Split: 400 / 400 / 400, by the names.

    Found as the challenge gave it, as REFUGE2 repeats it, and as mirrors do, ``{train,val,test}/{images,mask}``. Where
    a part's masks are missing, as the test set's are in some mirrors, that part's photographs are left out, with a
    remark.

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
    known: ClassVar = {
        "masks of REFUGE-MultiRater": rf"{_MULTI_RATER}\d+_[^/]*(?:disc|cup)[^/]*\.(?:bmp|png)",
        "masks in another code too": r"(?:masks?|gts|groundtruths?)/[gnvt]\d+\.(?:bmp|png)",
    }
    layout = (
        "Training400/{Glaucoma,Non-Glaucoma}/{g,n}NNNN.jpg, REFUGE-Validation400/VNNNN.jpg, Test400/TNNNN.jpg and "
        "Disc_Cup_Masks/[Glaucoma/,Non-Glaucoma/]*.bmp; or images/*.jpg and mask/*.{bmp,png}; or of REFUGE-MultiRater "
        "{Training-400,Test-400}/NNNN/NNNN.jpg and NNNN_seg_{disc,cup}_{1..7}.png"
    )

    def index(self) -> list[Record]:
        """Pair photographs and masks by name."""
        images = self.match(rf"{_IMAGES}([gnvt]\d+)\.jpe?g")
        # The second group is the folder's number, which the photograph repeats: 0001/0001.jpg.
        raters = self.match(rf"{_MULTI_RATER}\2\.jpe?g")
        if raters and not images:
            return self._multi_rater(raters)
        self.leave_out("photographs of REFUGE-MultiRater, which are the same eyes", raters)
        pictures = keyed("photograph", ((hit[1].lower(), path) for path, hit in images.items()))
        fused = self.match(r"disc_cup_masks/(?:(glaucoma|non-glaucoma|g|n)/)?([gnvt]\d+)\.(?:bmp|png)")
        masks = keyed("mask", ((hit[2].lower(), path) for path, hit in fused.items()))
        # The right side of `|` wins: a mask of an earlier folder stays, and later ones fill what is missing.
        for folder in ("gts|groundtruths?", "masks?"):
            others = keyed("mask", self.find(rf"(?:{folder})/([gnvt]\d+)\.(?:bmp|png)", str.lower))
            masks = others | masks
        files = self.pair(pictures, {"mask": ("mask", masks.items())}, lambda name: _SUBSETS[name[0]])
        diagnoses = self._sheets()
        # The folder above the mask, Glaucoma, Non-Glaucoma, G or N, comes before what a sheet says.
        diagnoses |= {hit[2].lower(): _DIAGNOSES[hit[1][0].lower()] for hit in fused.values() if hit[1]}
        return [
            Record(
                self.source,
                picture.stem,
                picture,
                picture.stem,
                self.regions,
                diagnosis=_DIAGNOSES.get(name[0]) or diagnoses.get(name),
                subset=_SUBSETS[name[0]],
                files=files[name],
            )
            for name, picture in pictures.items()
            if name in files
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask, or each expert's two masks."""
        if path := record.files.get("mask"):
            codes = read_mask(path)
            if codes.shape != shape:
                raise mask_size_error(record, DISC, codes.shape, shape)
            return nested(codes, code_of(codes, path), path)
        return [
            Annotation(region, f"expert{number}", read_binary(record.files[f"{region} expert{number}"]))
            for region in self.regions
            for number in range(1, RATERS + 1)
        ]

    def form(self) -> str:
        """Experts apart, or where the masks lie."""
        mask = self.records[0].files.get("mask")
        if mask is None:
            return f"REFUGE-MultiRater, {RATERS} experts"
        by_class = re.fullmatch("(?:non-)?glaucoma|g|n", mask.parent.name, re.IGNORECASE)
        return f"masks in {(mask.parent.parent if by_class else mask.parent).name}"

    def _multi_rater(self, images: Mapping[Path, re.Match[str]]) -> list[Record]:
        """Pair the photographs and the experts' masks of REFUGE-MultiRater."""
        pictures = keyed("photograph", ((_rated(hit), path) for path, hit in images.items()))
        labels = {}
        for region in self.regions:
            for number in range(1, RATERS + 1):
                hits = self.match(rf"{_MULTI_RATER}\2_seg_{region}_{number}\.(?:png|bmp)")
                found = [(_rated(hit), path) for path, hit in hits.items()]
                labels[f"{region} expert{number}"] = (f"{region} mask of expert {number}", found)
        files = self.pair(pictures, labels, lambda name: name.partition("_")[0])
        return [
            Record(
                self.source,
                name,
                pictures[name],
                name,
                self.regions,
                subset="train" if name.startswith("train") else "test",
                files=found,
            )
            for name, found in files.items()
        ]

    def _sheets(self) -> dict[str, Diagnosis]:
        """Diagnosis by name, as the sheets of the challenge and a mirror's index.json tell it."""
        told: dict[str, Diagnosis] = {}
        for path in self.match(r"(?:glaucoma_label_and_)?fovea_locations?\.xlsx"):
            rows = read_sheet(path)
            labels = [at for row in rows for at, cell in enumerate(row) if "label" in cell.lower()]
            # The editions' sheets differ in their columns: the label's is known by its heading, the name by its form.
            for row in rows if labels else []:
                names = [
                    Path(cell).stem.lower() for cell in row if re.fullmatch(r"[gnvt]\d+\.jpe?g", cell, re.IGNORECASE)
                ]
                for name in names:
                    told[name] = meaning(row[labels[0]].removesuffix(".0"), _LABELS, f"the label of {name}", path)
        for path in self.match(r"index\.json"):
            for name, label in _index_labels(path):
                told[name] = meaning(label, _LABELS, f"the label of {name}", path)
        return told


def _rated(hit: re.Match[str]) -> str:
    """Name of a photograph of REFUGE-MultiRater: numbers begin anew in each part."""
    return f"{'train' if hit[1].lower().startswith('train') else 'test'}_{hit[2]}"


def _index_labels(path: Path) -> list[tuple[str, str]]:
    """Name and label of each photograph in a mirror's index.json; a test part's lines have no label."""
    try:
        lines = json.loads(path.read_bytes()).values()
        return [(Path(line["ImgName"]).stem.lower(), str(line["Label"])) for line in lines if "Label" in line]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"an index that cannot be read ({type(error).__name__}): {path}",
            'lines such as {"0": {"ImgName": "g0001.jpg", "Label": 1}}',
            "copy the file again from its source, or remove it to go without what it tells",
        ) from error
