"""The vertical ratio's interval of new weights, measured anew on eyes of the site that taught nothing."""

import math
from pathlib import Path

from fundusseg.datasets import Folder
from fundusseg.evaluation.site_calibration import read_eye, site_interval
from fundusseg.evaluation.site_eyes import OutlineReadings, SiteEye, segment_eyes
from fundusseg.inference.model_bundle import Bundle
from fundusseg.inference.predictor import Predictor
from fundusseg.inference.uncertainty import Calibration


def fresh_interval(bundle: Path, site: Folder, parts: dict[str, str], device: str) -> Calibration | None:
    """Calibrate on the eyes that chose; too few of them can only widen what the champion had.

    The eyes chose one blend of four: they are a little easier than new ones, by far less than those that taught.

    Args:
        bundle: The new weights with the champion's interval.
        site: Corrections.
        parts: ``train`` or ``val`` by name of picture.
        device: Where to compute.

    Returns:
        The interval; None where the champion had none.
    """
    loaded = Bundle.load(bundle, device)
    before = loaded.calibration
    if before is None:
        return None
    predictor, readings = Predictor(loaded), OutlineReadings([site])
    readings.records = [record for record in readings.records if parts[record.name] == "val"]
    eyes = [eye for eye in segment_eyes(predictor, readings) if isinstance(eye, SiteEye)]
    read = [read_eye(eye, predictor.thresholds) for eye in eyes]
    found = [one for one in read if math.isfinite(one["error"]) and math.isfinite(one["spread"])]
    if not found:
        return before
    errors, spreads = ([one[name] for one in found] for name in ("error", "spread"))
    return site_interval(errors, spreads, before, before.views, before.coverage, fitted=False)[0]
