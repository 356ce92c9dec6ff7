"""OpticDiscSeg: 381 photographs of the iChallenge-PM with the disc's mask."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, get_args

from fundusseg.datasets._label_codes import check_codes
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.csv_files import file_name
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import DISC, Annotation, Record, Subset


class OpticDiscSeg(FundusDataset):
    """OpticDiscSeg, as PaddleSeg distributes it: iChallenge-PM photographs reduced to 512 pixels.

    - Images: 381 photographs, JPEG, 512 x 496 or 512 x 512.
    - Masks: the disc only, palette PNG, index 0 background and 1 disc.
    - Experts: 1.
    - Names: H high myopia, N normal, P pathologic myopia. N gives the diagnosis healthy; what H and P say of
      glaucoma is not told. Eye and patient: not told.
    - Split: 267 train, 76 val, 38 test, in ``{train,val,test}_list.txt``, a line "image mask" each. A
      picture that no list names has no subset.

    Raises:
        DatasetError: On reading, a photograph without its mask, a mask without its photograph, or a file
            that a list names and the folder lacks.
    """

    source = "optic_disc_seg"
    regions = (DISC,)
    url = "https://paddleseg.bj.bcebos.com/dataset/optic_disc_seg.zip"
    signs = r"optic_disc_seg|train_list\.txt"
    published: ClassVar = {"train": 267, "val": 76, "test": 38}
    licence = "not stated; iChallenge-PM, research use"
    citation = (
        "Fang, Li, Wu, Fu, Sun, Orlando, Bogunovic, Zhang, Xu: Open fundus photograph dataset with "
        "pathologic myopia recognition and anatomical structure annotation, Scientific Data 11, 2024, "
        "doi 10.1038/s41597-024-02911-2"
    )
    layout = "JPEGImages/*.jpg, Annotations/*.png and {train,val,test}_list.txt"

    def index(self) -> list[Record]:
        """Pair photographs and masks by name; the lists say the subset."""
        pictures = keyed("photograph", self.find(r"JPEGImages/([^/]+)\.jpe?g"))
        files = self.pair(pictures, {DISC: ("disc mask", self.find(r"Annotations/([^/]+)\.png"))})
        subsets = self._subsets([*pictures.values(), *(found[DISC] for found in files.values())])
        return [
            Record(
                self.source,
                name,
                picture,
                name,
                self.regions,
                diagnosis="healthy" if re.fullmatch(r"N\d+", name) else None,
                subset=subsets.get(picture),
                files=files[name],
            )
            for name, picture in pictures.items()
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the palette mask."""
        path = record.files[DISC]
        codes = read_mask(path)
        check_codes(codes, (0, 1), path)
        return [Annotation(DISC, "expert1", codes == 1)]

    def _subsets(self, files: Iterable[Path]) -> dict[Path, Subset]:
        """Subset of each listed photograph; the folders above may be called otherwise than in the lists."""
        present = {file.name.lower(): file for file in files}
        subsets: dict[Path, Subset] = {}
        for subset in get_args(Subset):
            for path in self.match(rf"{subset}_list\.txt"):
                for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                    named = [file_name(word).lower() for word in line.split()]
                    missing = [word for word, name in zip(line.split(), named, strict=True) if name not in present]
                    if missing:
                        raise DatasetError(
                            f"no file {missing[0]}, which {path} names",
                            "every listed photograph and mask",
                            "restore the file, or take its line out of the list",
                        )
                    photograph = present[named[0]] if named else None
                    if photograph and subsets.setdefault(photograph, subset) != subset:
                        raise DatasetError(
                            f"{photograph} in the lists of both {subsets[photograph]} and {subset}",
                            "each photograph in one list",
                            "restore the lists from the dataset's package",
                        )
        return subsets
