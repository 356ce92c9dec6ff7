"""ISBI 2012: 30 electron microscope sections with the cell membranes."""

from pathlib import Path
from typing import ClassVar

from fundusseg.datasets._label_codes import check_codes
from fundusseg.datasets._pairing import keyed, pair
from fundusseg.datasets.base import FundusDataset
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import count_pages, read_mask, read_photograph
from fundusseg.sample import Annotation, Image, Record, Region

MEMBRANE: Region = "membrane"


class IsbiMembrane(FundusDataset):
    """The training stack of the ISBI 2012 challenge on neuronal structures.

    - Images: 30 grey sections, 512 x 512, neighbours in one stack of electron micrographs of nerve tissue; as PNG files
      or as the pages of one TIFF file.
    - Masks: **0 membrane, 255 not membrane**: dark is inside.
    - Experts: 1.
    - Names: the section's number from 0, in two digits.
    - Patients: all sections are of one stack. Each counts as a patient of its own, so that they can be split at all;
      a test on some of them says little about another animal.
    - Split: none.

    It serves to check that nothing in the program is bound to eyes.

    Raises:
        DatasetError: On reading, a section without its mask, a mask without its section, or both PNG files and a TIFF
            stack.
    """

    source = "isbi_membrane"
    regions = (MEMBRANE,)
    url = "https://imagej.net/events/isbi-2012-segmentation-challenge"
    signs = r"isbi|membrane|train-volume"
    published: ClassVar = {"all": 30}
    licence = "challenge terms; cite the paper"
    citation = (
        "Arganda-Carreras, Turaga, Berger and others: Crowdsourcing the creation of image segmentation algorithms for "
        "connectomics, Frontiers in Neuroanatomy 9, 2015, doi 10.3389/fnana.2015.00142"
    )
    layout = "image/N.png and label/N.png, or train-volume.tif and train-labels.tif"

    def index(self) -> list[Record]:
        """Pair sections and masks by number, or list the pages of the two stacks."""
        images = self.find(r"images?/(\d+)\.png")
        volumes = list(self.match(r"train-volume\.tiff?"))
        if images and volumes:
            raise DatasetError(
                f"the sections twice: {images[0][1]} and {volumes[0]}",
                "PNG files or one TIFF stack",
                "give the folder of one of the two",
            )
        if volumes:
            return self._pages(volumes)
        pictures = keyed("section", images)
        files = self.pair(pictures, {MEMBRANE: ("membrane mask", self.find(r"labels?/(\d+)\.png"))})
        return [self._record(int(number), picture, files[number]) for number, picture in pictures.items()]

    def photograph(self, record: Record) -> Image:
        """One section, the page of its number in a stack."""
        return read_photograph(record.image, _page(record))

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Read the mask and turn it round."""
        path = record.files[MEMBRANE]
        codes = read_mask(path, _page(record))
        check_codes(codes, (0, 255), path)
        return [Annotation(MEMBRANE, "expert1", codes == 0)]

    def _pages(self, volumes: list[Path]) -> list[Record]:
        """The pages of the two stacks."""
        stacks = keyed("stack", (("train", path) for path in volumes))
        labels = (("train", path) for path in self.match(r"train-labels\.tiff?"))
        files = pair(stacks, {MEMBRANE: ("label stack", labels)})["train"]
        pages, masks = count_pages(stacks["train"]), count_pages(files[MEMBRANE])
        if pages != masks:
            raise DatasetError(
                f"{pages} pages in {stacks['train']} and {masks} in {files[MEMBRANE]}",
                "as many masks as sections",
                "copy both files again from their source",
            )
        return [self._record(page, stacks["train"], files) for page in range(pages)]

    def _record(self, number: int, picture: Path, files: dict[str, Path]) -> Record:
        name = f"{number:02d}"
        return Record(self.source, name, picture, name, self.regions, files=files)


def _page(record: Record) -> int:
    """The section's page in a stack; a PNG file has one."""
    return int(record.name) if record.image.suffix.lower().startswith(".tif") else 0
