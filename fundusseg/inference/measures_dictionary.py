"""The columns of measures.csv, each explained: what the docstrings of its dataclasses say, and what is beside them."""

from collections.abc import Iterable
from dataclasses import replace

from fundusseg.inference.prediction import Prediction
from fundusseg.measures.cup_disc import Measures
from fundusseg.reports.data_dictionary import Column, described_columns

_EYE = {"OD": "right eye", "OS": "left eye"}
_BESIDE = (
    Column("file", "The photograph's file", "text", identifies=True),
    Column("error", "Why it could not be done; empty where it could", "text"),
    Column("frame", "Frame of a DICOM file of several, counted from 1", "integer"),
    Column("patient", "Patient of the DICOM file", "text", identifies=True),
    Column("date", "Day on which the DICOM file was acquired", "date"),
    Column("device", "Camera of the DICOM file", "text"),
    Column("nominal_mm_per_pixel", "The camera's own claim of the scale on the retina", unit="mm"),
    Column("remarks", "What the DICOM file contradicts, or lacks", "text"),
)
_CHOICES = {
    "eye": _EYE,
    "eye_seen": _EYE,
    "verdict": {"accept": "accept", "review": "a person should look", "reject": "no number"},
}
_UNITS = {"area": "pixels", "mm2": "mm2", "angle": "degrees", "tilt": "degrees", "absent": "degrees"}
_LENGTHS = ("height", "width", "major", "minor", "inferior", "superior", "nasal", "temporal")


def measures_columns(names: Iterable[str]) -> list[Column]:
    """The columns of these names, in their order; one that nothing is known of has an empty meaning."""
    described = map(_detailed, (*described_columns(Prediction), *described_columns(Measures)))
    known = {column.name: column for column in (*described, *_BESIDE)}
    return [known.get(name, Column(name, "", "text")) for name in names]


def _detailed(column: Column) -> Column:
    """With its unit, or what its words mean."""
    if choices := _CHOICES.get(column.name):
        return replace(column, kind="category", choices=choices)
    if column.kind != "number":
        return column
    usual = "pixels" if column.name.endswith(_LENGTHS) else ""
    return replace(column, unit=_UNITS.get(column.name.rsplit("_", 1)[-1], usual))
