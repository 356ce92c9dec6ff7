"""Rows of eyes.csv, visits.csv and patients.csv: an eye, a visit of an eye, and a patient each."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fundusseg.measures.disc_size import area_class, ddls_stage, size_class
from fundusseg.patients import columns
from fundusseg.patients.asymmetry import Asymmetry, scale_of
from fundusseg.patients.change import EyeChange
from fundusseg.patients.columns import HOURS, MEASURED
from fundusseg.patients.eyes import EYES, Patient, PatientEye, Visit
from fundusseg.reports.data_dictionary import Column
from fundusseg.sample import Eye

Row = dict[str, Any]
TABLES: dict[str, Sequence[Column]] = {
    "eyes": columns.EYES,
    "visits": columns.VISITS,
    "patients": columns.PATIENTS,
}


@dataclass(frozen=True, eq=False, slots=True)
class Judged:
    """A patient with what was found of both eyes.

    Attributes:
        patient: Whose.
        asymmetry: None where an eye is missing.
        changes: Of each eye.
    """

    patient: Patient
    asymmetry: Asymmetry | None
    changes: Mapping[Eye, EyeChange]


def table_rows(judged: Sequence[Judged], made_by: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The rows of each of `TABLES`, every one with all columns; what is not known is empty.

    Args:
        judged: Patients in order.
        made_by: Version and digest, by column.
    """
    eyes = [(one, own, one.changes[eye]) for one in judged for eye, own in one.patient.eyes.items()]
    rows = {
        "eyes": [_eye(own, change) for _, own, change in eyes],
        "visits": [row for _, own, change in eyes for row in _visits(own, change)],
        "patients": [_patient(one) for one in judged],
    }
    return {name: [_complete({**row, **made_by}, TABLES[name]) for row in own] for name, own in rows.items()}


def _complete(row: Row, columns: Iterable[Column]) -> Row:
    return {column.name: _cell(row.get(column.name)) for column in columns}


def _cell(value: Any) -> Any:
    """Six places: no measure knows more."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return round(value, 6) if isinstance(value, float) else value


def measured_cells(visit: Visit | None) -> Row:
    """What eyes.csv and visits.csv say of a visit's best photograph; nothing of none."""
    if visit is None:
        return {}
    row = visit.best.row
    cells = {column.name: row.get(column.name) for column in MEASURED}
    if not visit.best.measured:
        return cells
    scale, origin = scale_of(row)
    millimetres = math.nan if scale is None else scale
    height, area = row["disc_height"] * millimetres, row["disc_area"] * millimetres**2
    narrowest, absent = (math.nan if row.get(name) is None else row[name] for name in ("rim_min_ratio", "rim_absent"))
    kept = row.get("isnt_kept")
    stage = ddls_stage(narrowest, absent, height)
    return cells | {
        "isnt_kept": None if kept is None else int(kept),
        "mm_per_pixel": scale,
        "scale": origin,
        "disc_area_mm2": area,
        "disc_height_mm": height,
        "disc_size": size_class(height),
        "disc_area_class": area_class(area),
        "ddls_stage": None if math.isnan(stage) else int(stage),
    }


def _eye(eye: PatientEye, change: EyeChange) -> Row:
    days = [visit.day for visit in eye.visits if visit.day]
    row = measured_cells(eye.latest) | {
        "record_id": f"{eye.patient}_{eye.eye}",
        "patient": eye.patient,
        "eye": eye.eye,
        "visits": len(eye.visits),
        "photographs": sum(len(visit.photographs) for visit in eye.visits),
        "first_date": days[0].isoformat() if days else "",
        "last_date": days[-1].isoformat() if days else "",
        "change_said": change.sentence,
        "remarks": "; ".join(dict.fromkeys([*eye.remarks, *change.problems])),
    }
    if (ratio := change.ratio) is None:
        return row
    return row | {
        "years": ratio.years,
        "changed": int(ratio.changed),
        **_interval("change_per_year", (ratio.slope, ratio.low, ratio.high)),
        **_interval("change", ratio.total),
        "thinner_hours": " ".join(map(str, change.thinner)),
    }


def _visits(eye: PatientEye, change: EyeChange) -> list[Row]:
    views = {view.visit: view for view in change.views}
    years = dict(zip(eye.dated, eye.years(), strict=True))
    rows = []
    for number, visit in enumerate(eye.visits, 1):
        view = views.get(visit)
        hours = {} if view is None else dict(zip((hour.name for hour in HOURS), view.hours.tolist(), strict=True))
        laid = "" if view is None else view.alignment.how if view.alignment else view.problem or "the first"
        rows.append(
            {
                **measured_cells(visit),
                **hours,
                "record_id": f"{eye.patient}_{eye.eye}_{number}",
                "patient": eye.patient,
                "eye": eye.eye,
                "visit": number,
                "visit_date": visit.day.isoformat() if visit.day else "",
                "years": years.get(visit),
                "photographs": len(visit.photographs),
                "others": "; ".join(one.row["file"] for one in visit.photographs[1:]),
                "alignment": laid,
                "remarks": "; ".join(remark for one in visit.photographs for remark in one.remarks),
            }
        )
    return rows


def _patient(judged: Judged) -> Row:
    patient, found = judged.patient, judged.asymmetry
    row: Row = {
        "record_id": patient.name,
        "patient": patient.name,
        "eyes": sum(bool(own.measured) for own in patient.eyes.values()),
        "remarks": "; ".join(patient.remarks),
    }
    for eye, side in EYES.items():
        own = patient.eyes.get(eye)
        visit = (found.right if eye == "OD" else found.left) if found else own.latest if own else None
        cells = measured_cells(visit)
        row[f"date_{side}"] = visit.day.isoformat() if visit and visit.day else ""
        row |= {
            f"{name}_{side}": cells.get(name) for name in ("vertical_cdr", "rim_min_ratio", "disc_size", "ddls_stage")
        }
        ratio = judged.changes[eye].ratio if eye in judged.changes else None
        row[f"changed_{side}"] = int(ratio.changed) if ratio else None
    if found is None:
        return row
    return row | {
        **_interval("vertical_cdr_asymmetry", found.vertical_cdr),
        **_interval("rim_min_ratio_asymmetry", found.rim_min_ratio),
        **_interval("disc_area_ratio", found.disc_area_ratio),
        "asymmetry_convention": found.convention.replace(" ", "_"),
        "days_apart": found.days_apart,
        "asymmetry_said": found.sentence,
    }


def _interval(name: str, values: tuple[float, float, float]) -> Row:
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
