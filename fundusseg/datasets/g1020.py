"""G1020: 1020 photographs with the disc, and with the cup where it was visible."""

import json
from pathlib import Path
from typing import Any, ClassVar

from fundusseg.datasets._contour_files import rasterise
from fundusseg.datasets._label_codes import code_of, nested
from fundusseg.datasets._pairing import keyed
from fundusseg.datasets._tables import line_of, meaning, read_csv
from fundusseg.datasets.base import FundusDataset, base, mask_size_error
from fundusseg.errors import DatasetError
from fundusseg.imaging.image_files import read_mask
from fundusseg.sample import CUP, DISC, Annotation, Diagnosis, Record, Region

_DIAGNOSES: dict[str, Diagnosis] = {"0": "healthy", "1": "glaucoma"}


class G1020(FundusDataset):
    """G1020.

    - Images: 1020 photographs, JPEG, about 2000 to 3000 pixels wide and high; a private practice in Kaiserslautern.
    - Masks: LabelMe files with the polygons "disc" and "cup" (other shapes are passed over); where there are none,
      masks of 0 background, 1 rim, 2 cup.
    - Cups: marked in 790. **No cup means that none was visible, not that there is none**: such a photograph has the
      region disc alone. To know, every polygon file, or else every mask, is read when the records are asked for.
    - Experts: 1.
    - Diagnosis: from ``G1020.csv``, 0 healthy and 1 glaucoma; without the table not known. Eye: not told.
    - Patients: 432, but who is who is not told, so each photograph counts as a patient of its own.
    - Split: none.

    Raises:
        DatasetError: On reading, a photograph without its polygons or mask, one without its photograph, or a table
            that does not fit the photographs.
    """

    source = "g1020"
    regions = (DISC, CUP)
    url = "https://www.dfki.uni-kl.de/g1020"
    signs = r"g1020|image_\d+\.json"
    published: ClassVar = {"all": 1020}
    licence = "research use; cite the paper"
    citation = (
        "Bajwa, Singh, Neumeier, Malik, Dengel, Ahmed: G1020: a benchmark retinal fundus image dataset for "
        "computer-aided glaucoma detection, International Joint Conference on Neural Networks 2020, "
        "doi 10.1109/IJCNN48605.2020.9207664, arXiv 2006.09158"
    )
    known: ClassVar = {"masks of the polygons": r"masks/image_\d+\.png"}
    layout = "Images/image_N.jpg, image_N.json or Masks/image_N.png, and G1020.csv"

    def index(self) -> list[Record]:
        """Pair photographs and polygons or masks by number; the table says the diagnosis."""
        # DRIONS-DB names its photographs alike: where both lie together, contours tell it.
        drions = {base(hit) for hit in self.match(r"experts_ann?otation/[^/]+\.txt").values()}
        images = self.match(r"images/image_(\d+)\.jpe?g").items()
        pictures = keyed("photograph", ((hit[1], path) for path, hit in images if base(hit) not in drions))
        if not pictures:
            return []
        polygons, masks = self.find(r"image_(\d+)\.json"), self.find(r"masks/image_(\d+)\.png")
        files = self.pair(pictures, {"labels": ("polygon file", polygons) if polygons else ("mask", masks)})
        tables = list(self.match(r"G1020\.csv"))
        rows = read_csv(tables[0], "imageID", ("binaryLabels",)) if tables else {}
        records = []
        for number, picture in pictures.items():
            name = f"image_{number}"
            diagnosis = None
            if tables:
                # A copy of the table has a cell "0[imageindex]".
                label = line_of(name, rows, picture, tables[0])["binaryLabels"].partition("[")[0]
                diagnosis = meaning(label, _DIAGNOSES, f"binaryLabels of {name}", tables[0])
            regions = _labelled(files[number]["labels"])
            records.append(Record(self.source, name, picture, name, regions, diagnosis=diagnosis, files=files[number]))
        return records

    def form(self) -> str:
        """Polygons or masks."""
        return "masks" if self.records[0].files["labels"].suffix.lower() == ".png" else "LabelMe polygons"

    def annotate(self, record: Record, shape: tuple[int, int]) -> list[Annotation]:
        """Fill the polygons, or read the mask."""
        path = record.files["labels"]
        if path.suffix.lower() == ".png":
            codes = read_mask(path)
            return nested(codes, code_of(codes, path), path, record.regions)
        content, polygons = _read_polygons(path)
        drawn_on = (content.get("imageHeight"), content.get("imageWidth"))
        # LabelMe notes the size that was drawn on: on a resized photograph the points would lie elsewhere.
        if None not in drawn_on and drawn_on != shape:
            raise mask_size_error(record, "polygon", (int(drawn_on[0] or 0), int(drawn_on[1] or 0)), shape)
        return [
            Annotation(region, "expert1", rasterise(polygons[region], shape, name=f"{region} in {path}"))
            for region in record.regions
        ]


def _labelled(path: Path) -> tuple[Region, ...]:
    """Regions that one photograph's file labels; the disc always is."""
    if path.suffix.lower() == ".png":
        codes = read_mask(path)
        return (DISC, CUP) if (codes == code_of(codes, path)[2]).any() else (DISC,)
    return (DISC, CUP) if CUP in _read_polygons(path)[1] else (DISC,)


def _read_polygons(path: Path) -> tuple[dict[str, Any], dict[Region, list[Any]]]:
    """A LabelMe file's content, and the points of its polygons disc and cup."""
    try:
        content = json.loads(path.read_bytes())
        shapes = [(shape["label"].strip().lower(), shape["points"]) for shape in content["shapes"]]
        polygons = _once(path, [shape for shape in shapes if shape[0] in (DISC, CUP)])
        for points in polygons.values():
            if any(len(point) != 2 or not all(isinstance(number, int | float) for number in point) for point in points):
                raise TypeError("points")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"a file that is not of LabelMe ({type(error).__name__}): {path}",
            "shapes, each with a label and points of two numbers",
            "copy the file again from its source, or remove it and its photograph",
        ) from error
    if DISC not in polygons:
        raise DatasetError(f"no polygon disc in {path}", "the disc's outline", "restore the file from the package")
    return content, polygons


def _once(path: Path, shapes: list[tuple[str, Any]]) -> dict[Region, list[Any]]:
    """Polygons by label, each drawn once."""
    polygons: dict[Region, list[Any]] = {}
    for label, points in shapes:
        if label in polygons:
            raise DatasetError(
                f"two polygons {label} in {path}", "one polygon of each label", "take the wrong one out of the file"
            )
        polygons[label] = points
    return polygons
