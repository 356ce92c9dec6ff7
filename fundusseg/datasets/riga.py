"""RIGA: 750 photographs with the disc and cup of six experts, recovered from the lines they drew on copies."""

import logging
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._drawn_outlines import disc_and_cup
from fundusseg.datasets._listing import some
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_photograph
from fundusseg.sample import CUP, DISC, Annotation, Record

_COLLECTION = r"(binrushed\d(?:-corrected)?|magrabia?(?:fe)?male|messidor)"
_ENDING = r"\.(?:jpe?g|tiff?|png|bmp)"

log = logging.getLogger(__name__)


class Riga(FundusDataset):
    """RIGA, retinal images for glaucoma analysis.

    - Images: 750 photographs ``imageNprime``, JPEG and TIFF: 195 of BinRushed (Canon CR2), 95 of Magrabia (Topcon
      TRC-50DX), both in Saudi Arabia, and 460 of MESSIDOR (Topcon TRC NW6, 1440 x 960 to 2304 x 1536), France.
    - Masks: none. Each expert drew both outlines on a copy of the photograph, ``imageN-1`` to ``imageN-6``; what
      differs from the photograph is the line, its middle the border. A copy whose lines are not two closed ones, one
      inside the other, is named in the log, counted in the remarks once it was read, and that expert left out;
      photographs of which no copy can be read are an error. Copies without their photograph, as ``BinRushed1``
      without "-Corrected" and ``MagrabiFemale/image48``, are left out with a remark.
    - Experts: 6 ophthalmologists, ``expert1`` to ``expert6``.
    - Diagnosis, eye and patient: not told, so each photograph counts as a patient of its own.
    - Split: none.
    - Provenance: RIGA+ is made of it, and 460 photographs stand in MESSIDOR. Never train on one and test on another.

    Raises:
        DatasetError: On reading, a photograph without one of its copies, a copy of another size, or no copy with two
            closed lines.
    """

    source = "riga"
    regions = (DISC, CUP)
    published: ClassVar = {"BinRushed": 195, "Magrabia": 95, "MESSIDOR": 460}
    url = "https://doi.org/10.7302/Z23R0R29"
    licence = "CC BY-NC 4.0"
    citation = (
        "Almazroa, Alodhayb, Osman, Ramadan, Hummadi, Dlaim and others: Retinal fundus images for glaucoma analysis: "
        "the RIGA dataset, SPIE Medical Imaging 2018, doi 10.1117/12.2293584"
    )
    layout = (
        "{BinRushed1-Corrected,BinRushed2,BinRushed3,BinRushed4,MagrabiaMale,MagrabiFemale,MESSIDOR}/"
        "imageNprime.{jpg,tif} and beside it imageN-{1..6}.{jpg,tif}"
    )

    def index(self) -> list[Record]:
        """Pair photographs and copies by name."""
        pictures = keyed("photograph", self._find(rf"{_COLLECTION}/(image\d+)prime{_ENDING}"))
        copies = {expert: self._find(rf"{_COLLECTION}/(image\d+)-{expert}{_ENDING}") for expert in range(1, 7)}
        alone = [path for found in copies.values() for key, path in found if key not in pictures]
        self.leave_out("copies without their photograph (prime)", alone if pictures else ())
        labels = {
            f"expert{expert}": (f"copy of expert {expert}", [(key, path) for key, path in found if key in pictures])
            for expert, found in copies.items()
        }
        files = self.pair(pictures, labels)
        records = []
        for key, found in files.items():
            name = key.replace("/", "_")
            records.append(Record(self.source, name, pictures[key], name, self.regions, files=found))
        return records

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Recover the outlines; an expert whose copy does not show them is left out."""
        plain = read_photograph(record.image)
        annotations: list[Annotation] = []
        for expert, path in record.files.items():
            try:
                disc, cup = disc_and_cup(plain, read_photograph(path))
            except DatasetError as error:
                log.warning("%s left out: %s", path, error)
                self.unrecovered[path] = record.name
                continue
            annotations += [Annotation(DISC, expert, disc), Annotation(CUP, expert, cup)]
        if not annotations:
            raise DatasetError(
                f"no copy with two closed lines, one inside the other, for {record.image}",
                "the outlines of disc and cup on one copy at least",
                "restore the copies from the dataset's package, or remove the photograph with its copies",
            )
        return annotations

    @cached_property
    def unrecovered(self) -> dict[Path, str]:
        """Copies read so far whose outlines were not recovered, and the photograph of each."""
        return {}

    def remark(self) -> str:
        """How many experts' copies were left out, as far as the copies were read."""
        if not self.unrecovered:
            return ""
        photographs = len(set(self.unrecovered.values()))
        return (
            f"the outlines of {len(self.unrecovered)} copies of {photographs} photographs could not be recovered, so "
            f"that expert is left out there: {some(self.unrecovered, self.root)}"
        )

    def part(self, record: Record) -> str:
        """The hospital or MESSIDOR."""
        # MagrabiFemale is spelt without the a of MagrabiaMale.
        return next(part for part in self.published if record.name.startswith(part.lower().removesuffix("a")))

    def _find(self, pattern: str) -> list[tuple[str, Path]]:
        """Key ``collection/imageN`` in lower case, and file; the masks of RIGA+ have the same names."""
        hits = self.match(pattern).items()
        return [("/".join(hit.groups()).lower(), path) for path, hit in hits if "RIGA-mask" not in path.parts]
