"""SEG: disc and cup as a DICOM segmentation of the photograph that they were found in."""

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as public
from pydicom.uid import UID

from fundusseg.dicom.codes import ANATOMICAL_STRUCTURE, STRUCTURES
from fundusseg.dicom.findings import MANUFACTURER, Algorithm, Findings, derived_uid, replace_made_up_uids
from fundusseg.dicom.sop_classes import VL_PHOTOGRAPHIC

SERIES_NUMBER = 9801
_HIGHDICOM = "1.2.826.0.1.3680043.10.511.3."
_NOT_PLAIN = ("SOPClassUID", "NumberOfFrames")
_SIDES = {"OD": "right eye", "OS": "left eye"}


def segmentation(source: Dataset, findings: Findings, algorithm: Algorithm) -> Dataset | None:
    """A segmentation of BINARY form, one segment for each region that was found.

    Args:
        source: The photograph's header; patient and study are copied from it.
        findings: Disc and cup.
        algorithm: What found them.

    Returns:
        None where nothing was found.
    """
    regions = [region for region, mask in findings.masks.items() if mask.any()]
    if not regions:
        return None
    parts = (str(source.SOPInstanceUID), findings.digest(algorithm))
    planes = np.stack([findings.masks[region] for region in regions], axis=-1)  # H x W x segments
    made = Segmentation(
        source_images=[_as_plain_photograph(source)],
        pixel_array=planes[None].astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[_description(region, n, findings, algorithm) for n, region in enumerate(regions, 1)],
        series_instance_uid=derived_uid(str(source.StudyInstanceUID), algorithm.digest, "SEG"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(*parts, "SEG"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm.name[:64],
        software_versions=algorithm.version,
        device_serial_number=algorithm.digest[:16],
        content_label="DISC_AND_CUP",
        content_description="Optic disc and cup",
        series_description="Optic disc and cup",
    )
    replace_made_up_uids(made, _HIGHDICOM, *parts, "SEG")
    _name_class(made, source, findings.frame)
    # Asked for where there is no frame of reference, and no part of highdicom's segmentations.
    made.PatientOrientation = source.get("PatientOrientation")
    return made


def _description(region: str, number: int, findings: Findings, algorithm: Algorithm) -> SegmentDescription:
    """Of one segment; ImageLaterality is no part of SEG, so that its label says the eye."""
    structure = STRUCTURES[region].concept()
    label = ", ".join(filter(None, (str(structure.meaning), _SIDES.get(str(findings.eye), ""))))
    return SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=ANATOMICAL_STRUCTURE.concept(),
        segmented_property_type=structure,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=algorithm.name[:64],
            family=public.cid7162.ArtificialIntelligence,
            version=algorithm.version,
            source=MANUFACTURER,
            parameters={"sha256": algorithm.digest},
        ),
    )


def _as_plain_photograph(source: Dataset) -> Dataset:
    """The photograph as highdicom takes it.

    It tells multi-frame images by their class, and then asks for functional groups that Ophthalmic Photography has not.
    """
    plain = Dataset()
    plain.update({element.tag: element for element in source if element.keyword not in _NOT_PLAIN})
    plain.SOPClassUID = UID(VL_PHOTOGRAPHIC)
    return plain


def _name_class(made: Dataset, source: Dataset, frame: int) -> None:
    """Put the photograph's own class back wherever it is referenced, and its frame where it has several."""

    def visit(item: Dataset, element: object) -> None:
        if getattr(element, "keyword", "") == "ReferencedSOPInstanceUID" and item.ReferencedSOPInstanceUID == uid:
            item.ReferencedSOPClassUID = source.SOPClassUID
            if several and "PurposeOfReferenceCodeSequence" in item:
                item.ReferencedFrameNumber = frame + 1

    uid, several = source.SOPInstanceUID, int(source.get("NumberOfFrames") or 1) > 1
    made.walk(visit)
