"""What experts drew on DICOM photographs: segmentations (SEG), contours of structure sets (RTSTRUCT) and reports (SR).

Of reports those of TID 1500 whose measurement groups find disc or cup (by its code) within a closed polyline, as
`fundusseg.dicom.report` writes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    RTStructureSetStorage,
    SegmentationStorage,
)

from fundusseg.dicom.codes import STRUCTURES
from fundusseg.dicom.dataset_files import Bounded, opened, text, undecodable
from fundusseg.errors import ImageError
from fundusseg.sample import CUP, DISC, Region

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
SEGMENTATIONS = (SegmentationStorage, LABEL_MAP)
REPORTS = (EnhancedSRStorage, ComprehensiveSRStorage, Comprehensive3DSRStorage)

_FINDING, _OBSERVER = "121071", "121008"
"""DCM codes of what a group of measurements is about, and of the person who observed it."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One object of an expert, before anything in it is decoded.

    Attributes:
        path: Its file.
        regions: What is drawn, by the UID of each photograph and the frame, counted from 0.
        expert: Who drew it, as the object says it; empty where it does not.
        report: A structured report: outlines, which a segmentation of the same expert has exactly.
    """

    path: Path
    regions: dict[tuple[str, int], frozenset[Region]]
    expert: str
    report: bool = False


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
        elif kind == RTStructureSetStorage or kind in REPORTS:
            found = [(where, region) for where, region, _ in _contours_of(dataset)]
        else:
            return None
        regions: dict[tuple[str, int], frozenset[Region]] = {}
        for where, region in found:
            regions[where] = regions.get(where, frozenset()) | {region}
        if kind in REPORTS and not regions:
            return None
        names = ("ContentCreatorName", "OperatorsName", "SeriesDescription")
        said = (_observer(dataset), *(text(dataset, name) for name in names))
        return Drawing(path, regions, next(filter(None, said), ""), kind in REPORTS)


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
    """A structure set's or report's closed contours on one frame: (N, 2) of column and row, whole at pixel centres.

    Photographs have no millimetres in space: x and y of a structure set are taken for pixels.

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
    if dataset.SOPClassUID in REPORTS:
        yield from _outlines_of(dataset)
        return
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


def _outlines_of(group: Dataset) -> Iterator[tuple[tuple[str, int], Region, npt.NDArray[np.float64]]]:
    """The same of a report: of each container that finds disc or cup, and of all within."""
    items = group.get("ContentSequence") or ()
    findings = [item for item in items if _concept(item) == _FINDING and item.get("ConceptCodeSequence")]
    region = _coded_region(findings[0].ConceptCodeSequence[0]) if findings else None
    for item in items:
        kind = text(item, "ValueType")
        if kind == "CONTAINER":
            yield from _outlines_of(item)
        elif kind == "SCOORD" and region is not None and text(item, "GraphicType") == "POLYLINE":
            points = np.asarray(item.GraphicData, np.float64).reshape(-1, 2)
            if len(points) < 4 or not np.array_equal(points[0], points[-1]):
                continue  # a line, which encloses nothing
            # 0 is the outer edge of the first pixel.
            yield _reference(item.ContentSequence[0].ReferencedSOPSequence[0]), region, points[:-1] - 0.5


def _observer(report: Dataset) -> str:
    """The person whom a report names as its observer."""
    items = report.get("ContentSequence") or ()
    return next((text(item, "PersonName") for item in items if _concept(item) == _OBSERVER), "")


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return text(names[0], "CodeValue") if names else ""


def _coded_region(item: Dataset) -> Region | None:
    said = (text(item, "CodeValue"), text(item, "CodingSchemeDesignator"))
    return next((region for region, code in STRUCTURES.items() if said == (code.value, code.scheme)), None)


def _region(segment: Dataset) -> Region | None:
    """By its code, or else by its label."""
    for item in segment.get("SegmentedPropertyTypeCodeSequence") or ():
        if region := _coded_region(item):
            return region
    return _region_of_words(text(segment, "SegmentLabel"))


def _region_of_words(words: str) -> Region | None:
    words = words.casefold()
    if "cup" in words:
        return CUP
    return DISC if "disc" in words or "disk" in words else None
