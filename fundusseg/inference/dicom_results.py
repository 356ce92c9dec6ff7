"""A prediction as DICOM objects: what `fundusseg.dicom` makes of it, in its plain types."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fundusseg import __version__
from fundusseg.atomic_file import file_digest
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.archive_files import frame_names
from fundusseg.imaging.dicom_files import is_dicom, is_installed
from fundusseg.inference.capture import read_capture
from fundusseg.inference.output_files import OutputFolder, PhotographResult
from fundusseg.inference.photograph_list import Photograph
from fundusseg.inference.result_paths import dicom_path
from fundusseg.measures.label_map import region_mask
from fundusseg.sample import CUP, DISC, Region

if TYPE_CHECKING:
    from fundusseg.dicom.findings import Algorithm, Findings
    from fundusseg.inference.prediction import Prediction
    from fundusseg.inference.predictor import Predictor

RATIOS = ("vertical_cdr", "horizontal_cdr", "area_cdr")


def algorithm_of(checkpoint: Path) -> "Algorithm":
    """How objects name what made them: bundle, version and digest."""
    from fundusseg.dicom.findings import Algorithm

    return Algorithm(checkpoint.name, __version__, file_digest(checkpoint))


def findings_of(prediction: "Prediction", regions: Sequence[Region], frame: int = 0) -> "Findings":
    """What a prediction found; of a rejected photograph verdict and reasons alone.

    Args:
        prediction: Of one photograph.
        regions: Those of its label map; objects know disc and cup.
        frame: Of the photograph's file, counted from 0.
    """
    from fundusseg.dicom.findings import Findings

    measures = prediction.measures
    ratios = {name: float(getattr(measures, name)) for name in RATIOS}
    ratios["vertical_cdr_low"], ratios["vertical_cdr_high"] = prediction.vertical_cdr_low, prediction.vertical_cdr_high
    kept = [region for region in (DISC, CUP) if region in regions and prediction.verdict != "reject"]
    masks = {region: region_mask(prediction.label_map, region, regions) for region in kept}
    outlines = {name: points for name, points in prediction.outlines.items() if name in kept and len(points) > 2}
    return Findings(
        masks={name: mask for name, mask in masks.items() if mask.any()},
        outlines=outlines,
        ratios={name: value for name, value in ratios.items() if value == value},  # NaN, which differs from itself
        verdict=prediction.verdict or "",
        reasons=prediction.reasons,
        eye=prediction.eye,
        frame=frame,
    )


def write_dicom(
    folder: OutputFolder,
    photograph: Photograph,
    result: PhotographResult,
    regions: Sequence[Region],
    algorithm: "Algorithm",
) -> None:
    """Write NAME_seg.dcm and NAME_sr.dcm; the row says what of the photograph's header they could not take.

    Of a photograph that is no DICOM file its row says that there is none.
    """
    if not is_dicom(photograph.path):
        result.row["remarks"] = "no DICOM objects: the photograph is no DICOM file"
        return
    from fundusseg.dicom.result_objects import result_objects

    findings = findings_of(result.prediction, regions, photograph.page)
    remarks = list(filter(None, (result.row.get("remarks"),)))
    for name, content in result_objects(photograph.path, findings, algorithm, remarks.append).items():
        folder.write(dicom_path(folder.output, photograph.name, name), content)
    result.row["remarks"] = "; ".join(remarks)


def check_dicom(photographs: Iterable[Photograph]) -> None:
    """Refuse to be asked for objects that no photograph can have.

    Raises:
        ConfigurationError: None is DICOM, or the extra is not installed.
    """
    if not is_installed():
        raise ConfigurationError("--dicom true without the extra dicom", "it", "pip install 'fundusseg[dicom]'")
    if not any(is_dicom(photograph.path) for photograph in photographs):
        raise ConfigurationError(
            "--dicom true for photographs of which none is DICOM",
            "DICOM photographs, which the objects refer to",
            "leave --dicom out",
        )


def answer_photograph(
    predictor: "Predictor", algorithm: "Algorithm", path: Path, tell: Callable[[str], None] = lambda remark: None
) -> dict[str, bytes]:
    """Segment every frame of a DICOM photograph, and make the objects that are sent back, by name.

    Args:
        predictor: The network.
        algorithm: How the objects name it.
        path: The photograph's file.
        tell: Told of each value of its header that the objects could not take as it is.

    Raises:
        ImageError: It cannot be read, or is no photograph.
    """
    from fundusseg.dicom.result_objects import result_objects

    regions = predictor.description.preparation.regions
    made: dict[str, bytes] = {}
    for page, name in enumerate(frame_names(path)):
        photograph = Photograph(path, page=page)
        prediction = read_capture(photograph).predict(predictor, photograph)
        objects = result_objects(path, findings_of(prediction, regions, page), algorithm, tell)
        made |= {f"{kind}{name}": content for kind, content in objects.items()}
    return made
