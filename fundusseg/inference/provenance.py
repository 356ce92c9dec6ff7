"""What made results: the checkpoint's digest, what it was trained on, and the settings that numbers depend on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundusseg import __version__
from fundusseg.atomic_file import file_digest
from fundusseg.reports.files import NAME

if TYPE_CHECKING:
    from fundusseg.inference.predictor import Predictor


def provenance(predictor: "Predictor", checkpoint: Path) -> dict[str, Any]:
    """What makes the results, in plain types; a folder holds those of one checkpoint and version only."""
    description = predictor.description
    preparation = description.preparation
    sources = {
        source: licence
        for network in predictor.bundle.parts.values()
        for source, licence in network.description.all_sources.items()
    }
    segmenter = predictor.bundle.segmenters[0]
    # Only what is not usual: folders of before go on.
    unusual = {"precision": segmenter.precision} if segmenter.precision != "32-true" else {}
    return {
        "checkpoint": f"sha256 {file_digest(checkpoint)}",
        NAME: checkpoint.name,
        "fundusseg": __version__,
        "trained by": f"fundusseg {description.version}",
        "trained on": {source: f"({licence})" for source, licence in sources.items()},
        "protocol": "no ground truth; each photograph once, by the checkpoint alone",
        "regions": list(preparation.regions),
        "region of interest": preparation.roi,
        "image size": preparation.image_size,
        "thresholds": dict(predictor.thresholds),
        "convention": predictor.convention,
        "conventions": None if predictor.bundle.conventions is None else dict(predictor.bundle.conventions.readers),
        "views": predictor.views,
        "smoothing": predictor.smoothing,
        "millimetres per pixel": predictor.scale,
        **unusual,
        **({"compiled": True} if segmenter.compiled else {}),
    }
