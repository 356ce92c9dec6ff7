"""RIGA+: 744 crops of RIGA's photographs around the disc, with the disc and cup of six experts as masks."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import check_order, nested
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._settings import check_choice
from fundusseg.datasets._tables import read_csv
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Record, Subset

BACKGROUND, RIM, CUP_CODE = 0, 255, 128

DOMAINS = ("BinRushed", "Magrabia", "MESSIDOR_Base1", "MESSIDOR_Base2", "MESSIDOR_Base3")

_NAMES = {domain.lower(): domain for domain in DOMAINS}
_DOMAIN = "(binrushed|magrabia|messidor_base[123])"
_SUBSETS: tuple[Subset, ...] = ("train", "test")


class RigaPlus(FundusDataset):
    """RIGA+, the repackaging of RIGA for work on domain adaptation.

    - Images: 744 crops of RIGA's photographs around the disc, TIFF, resized to 800 x 800, so no pixel of them is a
      pixel of a camera: 195 of BinRushed (Canon CR2), 95 of Magrabia (Topcon TRC-50DX), 454 of MESSIDOR (Topcon TRC
      NW6; six of RIGA's 460 are missing). The MESSIDOR photographs without masks that lie beside them are left out.
    - Masks: one file for each crop and expert with both regions, **0 background, 255 rim, 128 cup**. This order is
      told by one source alone, so each mask is checked: background along the border, the rim around the cup.
    - Experts: 6 ophthalmologists, ``expert1`` to ``expert6``.
    - Diagnosis, eye and patient: not told, so each crop counts as a patient of its own.
    - Split: its own, by the lists ``DOMAIN_train.csv`` and ``DOMAIN_test.csv``; without these, none.
    - Provenance: RIGA's own photographs and outlines. Never train on one and test on the other.

    Args:
        root: The folder that holds ``RIGA`` and ``RIGA-mask``, or a parent.
        domain: One of ``DOMAINS``, which is then a source of its own, ``riga_plus_binrushed``; None for all.

    Raises:
        ConfigurationError: There is no such domain.
        DatasetError: On reading, a labelled crop without a mask, a mask without its crop, a mask of turned codes, or a
            list that names a crop that is not there.
    """

    source = "riga_plus"
    regions = (DISC, CUP)
    published: ClassVar = {"BinRushed": 195, "Magrabia": 95, "MESSIDOR": 454}
    same_eyes_as = frozenset({"riga", "riga_plus"})
    derived = True
    url = "https://zenodo.org/records/6325549"
    licence = "CC BY 4.0 by its own record; RIGA's, of which it is made, is CC BY-NC 4.0"
    citation = (
        "RIGA+, Zenodo 2022, doi 10.5281/zenodo.6325549; of Almazroa, Alodhayb, Osman, Ramadan and others: Retinal "
        "fundus images for glaucoma analysis: the RIGA dataset, SPIE Medical Imaging 2018, doi 10.1117/12.2293584"
    )
    layout = (
        "RIGA/{BinRushed,Magrabia,MESSIDOR_Base1..3}/COLLECTION/imageN.tif, "
        "RIGA-mask/{the same}/COLLECTION/imageN-{1..6}.tif and DOMAIN_{train,test}.csv"
    )

    def __init__(self, root: str | Path, domain: str | None = None) -> None:
        super().__init__(root)
        check_choice("RigaPlus", "domain", domain, DOMAINS)
        self.domain = domain
        if domain is not None:
            self.source = f"riga_plus_{domain.lower()}"

    def index(self) -> list[Record]:
        """Pair crops and masks by name; the lists say the subset."""
        # RIGA itself may lie in a folder RIGA too: its imageNprime and imageN-1 are no names of crops.
        crop = r"((?:(?!prime\.|-\d\.)[^/])+)\.(?:tiff?|png)"
        pictures = keyed("crop", self._find(rf"RIGA/{_DOMAIN}/([^/]+)/{crop}"))
        masks = {
            f"expert{expert}": (
                f"mask of expert {expert}",
                self._find(rf"RIGA-mask/{_DOMAIN}/([^/]+)/([^/]+)-{expert}\.(?:tiff?|png)"),
            )
            for expert in range(1, 7)
        }
        # A part is a folder: one without any mask is left out whole, as MESSIDOR's that nobody labelled.
        files = self.pair(pictures, masks, part=lambda key: key.rpartition("/")[0])
        subsets = self._subsets(pictures)
        records = []
        for key, found in files.items():
            domain, collection, _ = key.split("/")
            image = pictures[key]
            name = f"{_NAMES[domain]}_{collection}_{image.stem}"
            records.append(Record(self.source, name, image, name, self.regions, subset=subsets.get(key), files=found))
        return records

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the six masks."""
        values = (BACKGROUND, RIM, CUP_CODE)
        annotations = []
        for expert, path in record.files.items():
            codes = read_mask(path)
            # This first: it refuses unknown values, which `check_order` would not see.
            annotations += nested(codes, values, path, expert=expert)
            check_order(codes, values, path)
        return annotations

    def part(self, record: Record) -> str:
        """The hospital or MESSIDOR."""
        return record.name.split("_")[0]

    def counts(self) -> Mapping[str, int]:
        """Published number of crops; how the 454 of MESSIDOR are divided is not stated."""
        return {part: count for part, count in self.published.items() if self.domain in (None, part)}

    def _find(self, pattern: str) -> list[tuple[str, Path]]:
        """Key ``domain/collection/name`` in lower case, and file, of the domain that was asked for."""
        found, others = [], []
        for path, hit in self.match(pattern).items():
            if self._asked(hit[1]):
                found.append(("/".join(hit.groups()).lower(), path))
            else:
                others.append(path)
        self.leave_out("files of other domains", others)
        return found

    def _asked(self, domain: str) -> bool:
        return self.domain is None or self.domain.lower() == domain.lower()

    def _subsets(self, pictures: dict[str, Path]) -> dict[str, Subset]:
        """Subset of each crop that a list names."""
        subsets: dict[str, Subset] = {}
        for subset in _SUBSETS:
            for path, hit in self.match(rf"{_DOMAIN}_{subset}\.csv").items():
                rows = read_csv(path, "image", fold=_key) if self._asked(hit[1]) else {}
                for key, row in rows.items():
                    if key not in pictures or subsets.setdefault(key, subset) != subset:
                        why = "stands in two lists" if key in pictures else "is not there"
                        raise DatasetError(
                            f"{row['image']!r} in {path}, a crop that {why}",
                            "each listed crop in one list and in the folder",
                            "restore the crop or the list from the dataset's package",
                        )
        return subsets


def _key(cell: str) -> str:
    """``RIGA/BinRushed/BinRushed1/image9.tif`` as the key of this crop."""
    return "/".join(Path(cell.replace("\\", "/")).with_suffix("").parts[-3:]).lower()
