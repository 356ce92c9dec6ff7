"""What experts drew on DICOM photographs: segmentations (SEG), and contours of a structure set (RTSTRUCT)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage, SegmentationStorage

from fundusseg.dicom.codes import STRUCTURES
from fundusseg.dicom.dataset_files import Bounded, opened, text, undecodable
from fundusseg.errors import ImageError
from fundusseg.sample import CUP, DISC, Region

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATIONS = (SegmentationStorage, LABEL_MAP)


@dataclass(frozen=True, slots=True)
class Drawing:
    """One object of an expert, before anything in it is decoded.

    Attributes:
        path: Its file.
        regions: What is drawn, by the UID of each photograph and the frame, counted from 0.
        expert: Who drew it, as the object says it; empty where it does not.
    """

    path: Path
    regions: dict[tuple[str, int], frozenset[Region]]
    expert: str


def read_drawing(path: Path) -> Drawing | None:
    """Read what an object says on which photograph.

    Returns:
        None of an object of another class.

    Raises:
        ImageError: It cannot be read.
    """
    with opened(path) as (_, dataset):
        kind = text(dataset, "SOPClassUID")
        if kind in SEGMENTATIONS:
            found = [(where, region) for _, where, region in _frames_of(dataset)]
        elif kind == RTStructureSetStorage:
            found = [(where, region) for where, region, _ in _contours_of(dataset)]
        else:
            return None
        regions: dict[tuple[str, int], frozenset[Region]] = {}
        for where, region in found:
            regions[where] = regions.get(where, frozenset()) | {region}
        names = ("ContentCreatorName", "OperatorsName", "SeriesDescription")
        return Drawing(path, regions, next(filter(None, (text(dataset, name) for name in names)), ""))


def read_masks(path: Path, uid: str, frame: int) -> dict[Region, npt.NDArray[np.bool_]]:
    """A segmentation's masks on one frame of one photograph, H x W each; nothing of a structure set.

    Raises:
        ImageError: It cannot be read.
    """
    try:
        with Bounded(path) as stream:
            dataset = pydicom.dcmread(stream)
        if dataset.SOPClassUID not in SEGMENTATIONS:
            return {}
        planes = np.atleast_3d(dataset.pixel_array) if dataset.pixel_array.ndim == 2 else dataset.pixel_array
        planes = planes.reshape(-1, dataset.Rows, dataset.Columns)
        half = int(dataset.get("MaximumFractionalValue") or 1) / 2
        masks: dict[Region, npt.NDArray[np.bool_]] = {}
        for (plane, segment), where, region in _frames_of(dataset):
            if where == (uid, frame):
                drawn = planes[plane] == segment if segment else planes[plane] >= half
                masks[region] = masks[region] | drawn if region in masks else drawn
        return masks
    except Exception as error:  # damaged bytes raise whatever the parser or a decoder meets first
        raise undecodable(path, error) from error


def read_contours(path: Path, uid: str, frame: int) -> dict[Region, list[npt.NDArray[np.float64]]]:
    """A structure set's closed contours on one frame: (N, 2) of column and row, whole numbers at pixel centres.

    Photographs have no millimetres in space: x and y are taken for pixels.

    Raises:
        ImageError: It cannot be read.
    """
    with opened(path) as (_, dataset):
        found: dict[Region, list[npt.NDArray[np.float64]]] = {}
        for where, region, points in _contours_of(dataset):
            if where == (uid, frame):
                found.setdefault(region, []).append(points)
        return found


def _frames_of(dataset: Dataset) -> Iterator[tuple[tuple[int, int], tuple[str, int], Region]]:
    """Plane and, in a label map, value; photograph and frame; region, of each drawn segment."""
    regions = {int(item.SegmentNumber): _region(item) for item in dataset.SegmentSequence}
    labelled = dataset.SOPClassUID == LABEL_MAP
    for plane, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        where = _source(groups, dataset)
        found: list[tuple[int, Region | None]]
        if labelled:
            found = list(regions.items())
        else:
            number = int(_group(groups, dataset, "SegmentIdentificationSequence")[0].ReferencedSegmentNumber)
            found = [(0, regions.get(number))]
        for value, region in found:
            if region is not None:
                yield (plane, value), where, region


def _source(groups: Dataset, dataset: Dataset) -> tuple[str, int]:
    """The photograph and frame that a plane was drawn on."""
    derivation = _group(groups, dataset, "DerivationImageSequence")
    if derivation and derivation[0].get("SourceImageSequence"):
        return _reference(derivation[0].SourceImageSequence[0])
    # Where no plane says it, there is one photograph.
    instances = [item for series in dataset.ReferencedSeriesSequence for item in series.ReferencedInstanceSequence]
    if len(instances) != 1:
        raise ValueError("a segmentation that does not say on which of several photographs it was drawn")
    return _reference(instances[0])


def _group(groups: Dataset, dataset: Dataset, keyword: str) -> Any:
    """A functional group of one plane, or the one that all planes share."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    return groups.get(keyword) or shared[0].get(keyword)


def _reference(item: Dataset) -> tuple[str, int]:
    number: Any = item.get("ReferencedFrameNumber") or 1
    return str(item.ReferencedSOPInstanceUID), int(number if isinstance(number, str | int) else number[0]) - 1


def _contours_of(dataset: Dataset) -> Iterator[tuple[tuple[str, int], Region, npt.NDArray[np.float64]]]:
    """Photograph and frame, region, and points of each closed contour."""
    names = {int(item.ROINumber): _region_of_words(text(item, "ROIName")) for item in dataset.StructureSetROISequence}
    for roi in dataset.ROIContourSequence:
        region = names.get(int(roi.ReferencedROINumber))
        for contour in roi.get("ContourSequence") or ():
            if region is None or not text(contour, "ContourGeometricType").startswith("CLOSED"):
                continue
            if not contour.get("ContourImageSequence"):
                raise ImageError("a contour on no named photograph", "ContourImageSequence", "export it with that")
            points = np.asarray(contour.ContourData, np.float64).reshape(-1, 3)[:, :2]
            yield _reference(contour.ContourImageSequence[0]), region, points


def _region(segment: Dataset) -> Region | None:
    """By its code, or else by its label."""
    for item in segment.get("SegmentedPropertyTypeCodeSequence") or ():
        for region, structure in STRUCTURES.items():
            if (text(item, "CodeValue"), text(item, "CodingSchemeDesignator")) == (structure.value, structure.scheme):
                return region
    return _region_of_words(text(segment, "SegmentLabel"))


def _region_of_words(words: str) -> Region | None:
    words = words.casefold()
    if "cup" in words:
        return CUP
    return DISC if "disc" in words or "disk" in words else None
