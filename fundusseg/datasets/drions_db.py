"""DRIONS-DB: 110 photographs with the disc's outline by two experts."""

from typing import ClassVar

from fundusseg.datasets._contour_files import rasterise, read_contour
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets.base import FundusDataset, base
from fundusseg.sample import DISC, Annotation, Record


class DrionsDB(FundusDataset):
    """DRIONS-DB.

    - Images: 110 photographs, JPEG, 600 x 400, digitised slides; Miguel Servet hospital, Saragossa. The
      camera's text stands at the left edge.
    - Masks: the disc only, as contours of 36 points "x , y" in pixels, one file for each photograph and
      expert.
    - Experts: 2, ``expert1`` and ``expert2``.
    - Patients: not told, so each photograph counts as a patient of its own, although fewer people than
      photographs are likely. Of 124 photographs 14 with cataract were left out. Eye: not told. Diagnosis:
      about a quarter chronic simple glaucoma, the rest ocular hypertension; which is not told.
    - Split: none.

    Raises:
        DatasetError: On reading, a photograph without a contour or a contour without its photograph.
    """

    source = "drions_db"
    regions = (DISC,)
    url = "http://www.ia.uned.es/~ejcarmona/DRIONS-DB.html"
    published: ClassVar = {"all": 110}
    licence = "research use; cite the paper"
    citation = (
        "Carmona, Rincon, Garcia-Feijoo, Martinez-de-la-Casa: Identification of the optic nerve head with "
        "genetic algorithms, Artificial Intelligence in Medicine 43, 2008, doi 10.1016/j.artmed.2008.04.005"
    )
    layout = "images/image_NNN.jpg and experts_annotation/anotExpert{1,2}_NNN.txt"

    def index(self) -> list[Record]:
        """Pair photographs and contours by number."""
        # G1020 names its photographs alike: where several packages lie together, ours has contours beside.
        bases = {base(hit) for hit in self.match(r"experts_ann?otation/anotExpert[12]_\d+\.txt").values()}
        images = self.match(r"images/image_(\d+)\.jpe?g")
        beside = {path: hit for path, hit in images.items() if base(hit) in bases}
        pictures = keyed("photograph", ((hit[1], path) for path, hit in (beside or images).items()))
        contours = {
            f"expert{expert}": (
                f"contour of expert {expert}",
                self.find(rf"experts_ann?otation/anotExpert{expert}_(\d+)\.txt"),
            )
            for expert in (1, 2)
        }
        files = self.pair(pictures, contours)
        return [
            Record(self.source, f"image_{number}", path, f"image_{number}", self.regions, files=files[number])
            for number, path in pictures.items()
        ]

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Fill the two experts' contours."""
        return [
            Annotation(DISC, expert, rasterise(read_contour(path), shape, name=str(path)))
            for expert, path in record.files.items()
        ]
