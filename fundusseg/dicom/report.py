"""SR: ratios with their interval, verdict and reasons, the eye and the outlines, as a structured report.

A Comprehensive SR of TID 1500. Each group of measurements is of TID 1501 or 1410 with finding site Eye and its
laterality, as TID 2120 ("Ophthalmology Measurements Group", a subset of TID 1501) asks it of readers of TID 2127.
"""

import numpy as np
import numpy.typing as npt
from highdicom import sr
from highdicom.sr import ComprehensiveSR
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as public

from fundusseg.dicom import codes
from fundusseg.dicom.findings import MANUFACTURER, Algorithm, Findings, derived_uid, replace_made_up_uids

SERIES_NUMBER = 9802
MOST_POINTS = 4000
"""Of an outline: DICOM holds 8191."""

_HIGHDICOM = "1.2.826.0.1.3680043.10.511.3."


def structured_report(source: Dataset, findings: Findings, algorithm: Algorithm) -> Dataset:
    """A report on one photograph.

    Args:
        source: The photograph's header; patient and study are copied from it.
        findings: What was found.
        algorithm: What found it.
    """
    parts = (str(source.SOPInstanceUID), findings.digest(algorithm))
    outlines = [_outline(source, region, findings, algorithm, parts) for region in findings.outlines]
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_device(algorithm)),
        procedure_reported=codes.PROCEDURE.concept(),
        imaging_measurements=[_ratios(source, findings, algorithm, parts), *outlines],
        title=public.DCM.ImagingMeasurementReport,
        referenced_images=[source],
    )
    made = ComprehensiveSR(
        evidence=[source],
        content=content[0],
        series_instance_uid=derived_uid(str(source.StudyInstanceUID), algorithm.digest, "SR"),
        series_number=SERIES_NUMBER,
        sop_instance_uid=derived_uid(*parts, "SR"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm.name[:64],
        software_versions=algorithm.version,
        device_serial_number=algorithm.digest[:16],
        is_complete=True,
        is_final=True,
        series_description="Optic disc and cup",
    )
    replace_made_up_uids(made, _HIGHDICOM, *parts, "SR")
    return made


def _device(algorithm: Algorithm) -> sr.ObserverContext:
    return sr.ObserverContext(
        observer_type=public.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=derived_uid(algorithm.digest, "device"),
            name=algorithm.name,
            manufacturer_name=MANUFACTURER,
            model_name=algorithm.version,
            serial_number=algorithm.digest[:16],
        ),
    )


def _identification(algorithm: Algorithm) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(algorithm.name, algorithm.version, [f"sha256 {algorithm.digest}"])


def _sites(findings: Findings) -> list[sr.FindingSite]:
    side = codes.SIDES[findings.eye].concept() if findings.eye else None
    return [sr.FindingSite(codes.EYE.concept(), laterality=side)]


def _tracking(what: str, parts: tuple[str, ...]) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid=derived_uid(*parts, what), identifier=what)


def _ratios(
    source: Dataset, findings: Findings, algorithm: Algorithm, parts: tuple[str, ...]
) -> sr.MeasurementsAndQualitativeEvaluations:
    """The group of the eye's numbers, with verdict and reasons."""
    verdict = codes.VERDICTS.get(findings.verdict)
    evaluations = [sr.QualitativeEvaluation(codes.VERDICT.concept(), verdict.concept())] if verdict else []
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("optic disc", parts),
        finding_type=codes.OPTIC_DISC.concept(),
        algorithm_id=_identification(algorithm),
        finding_sites=_sites(findings),
        measurements=[
            sr.Measurement(codes.RATIOS[name].concept(), round(value, 4), codes.RATIO.concept())
            for name, value in findings.ratios.items()
        ],
        qualitative_evaluations=evaluations,
        source_images=[
            sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID, _frames(source, findings))
        ],
    )
    for reason in findings.reasons:
        text = sr.TextContentItem(codes.REASON.concept(), reason, sr.RelationshipTypeValues.CONTAINS)
        group[0].ContentSequence.append(text)
    return group


def _outline(
    source: Dataset, region: str, findings: Findings, algorithm: Algorithm, parts: tuple[str, ...]
) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """The group of one region's outline."""
    image = sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID, _frames(source, findings))
    closed = _closed(findings.outlines[region])
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(f"outline of the {region}", parts),
        referenced_region=sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, closed, image),
        finding_type=codes.STRUCTURES[region].concept(),
        algorithm_id=_identification(algorithm),
        finding_sites=_sites(findings),
    )


def _frames(source: Dataset, findings: Findings) -> list[int] | None:
    return [findings.frame + 1] if int(source.get("NumberOfFrames") or 1) > 1 else None


def _closed(outline: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 2) as SCOORD has it: 0 is the outer edge of the first pixel, and the last point is the first."""
    step = -(-len(outline) // MOST_POINTS)
    points = np.asarray(outline[::step]) + 0.5
    return np.concatenate([points, points[:1]])
