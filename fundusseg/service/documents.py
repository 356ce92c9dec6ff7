"""The JSON of one photograph: its row of `predict`'s table, its outlines, its rim."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from fundusseg.inference.output_files import PhotographResult
from fundusseg.measures.contours import as_json
from fundusseg.measures.rim import rim_profile
from fundusseg.reports.files import plain
from fundusseg.sample import Eye

_DECIMALS = 4
"""Of the rim's profile, which is drawn."""


def digest(content: bytes) -> str:
    """SHA-256 of a photograph's bytes, 64 hexadecimal digits: what the store knows it by."""
    return hashlib.sha256(content).hexdigest()


def photograph_document(result: PhotographResult, content: bytes) -> dict[str, Any]:
    """What is said of one photograph.

    Args:
        result: Of the photograph.
        content: Its bytes.
    """
    prediction = result.prediction
    height, width = prediction.label_map.shape
    row = {key: value for key, value in result.row.items() if key not in ("file", "error")}
    return {
        "file": result.row["file"],
        "sha256": digest(content),
        "width": width,
        "height": height,
        "error": None,
        "measures": plain(row),
        "contours": as_json(prediction.outlines),
        "rim": rim_document(prediction.label_map, prediction.eye),
    }


def rim_document(label_map: npt.NDArray[Any], eye: Eye | None) -> dict[str, Any]:
    """The rim by degree; see `fundusseg.measures.rim` for the angles."""
    rim = rim_profile(label_map, eye)
    profiles = {name: getattr(rim, name).round(_DECIMALS) for name in ("width", "share", "disc_radius")}
    centre = plain([round(place, _DECIMALS) for place in rim.centre])
    return {"centre": None if None in centre else centre, **plain(profiles)}


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8; a number that is not finite is an error here, as `plain` has taken it out."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
