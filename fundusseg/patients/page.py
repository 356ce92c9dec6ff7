"""patients.html: right and left side by side, visits that flicker, the trend; one file that opens offline."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fundusseg.inference.report_page import relative_link
from fundusseg.inference.result_paths import overlay_path, thumbnail_path
from fundusseg.measures.repeatability import Repeatability
from fundusseg.patients.eyes import EYES, PatientEye
from fundusseg.patients.run_files import RunFiles
from fundusseg.patients.tables import Judged, measured_cells
from fundusseg.patients.trend_chart import HEIGHT, WIDTH, trend_chart
from fundusseg.patients.views import PICTURE, VisitView
from fundusseg.sample import Eye

LISTED = 2_000
"""Patients of the page; patients.csv holds them all."""

EMBEDDED = 600
"""Pictures in the page, of some 25 kB each; those of eyes that changed are always there."""

_FACTS = {
    "vertical_cdr": ("Vertical ratio", "{:.2f}"),
    "horizontal_cdr": ("Horizontal ratio", "{:.2f}"),
    "rim_min_ratio": ("Narrowest rim/disc", "{:.2f}"),
    "rim_min_clock_hour": ("at o'clock", "{:.0f}"),
    "disc_area_mm2": ("Disc area, mm\N{SUPERSCRIPT TWO}", "{:.2f}"),
    "disc_area_class": ("Disc area class", "{}"),
    "disc_height_mm": ("Disc height, mm", "{:.2f}"),
    "disc_size": ("Disc size", "{}"),
    "scale": ("Scale", "{}"),
    "ddls_stage": ("DDLS stage", "{}"),
}


def patients_html(
    judged: Sequence[Judged], about: Mapping[str, Any], files: RunFiles, repeatability: Repeatability, unassigned: int
) -> bytes:
    """Lay out the page; the same results give the same bytes.

    Args:
        judged: Patients in order.
        about: What made the results.
        files: Of the run, in whose folder the page will lie.
        repeatability: Error of the measures.
        unassigned: Photographs and lines that belong to nobody.
    """
    from fundusseg.reports.page_templates import render_page  # with jinja2's cost, only when a run has come to its end

    # The sort is stable: those to look at first, and among them the order of the list.
    ordered = sorted(judged, key=_rank)[:LISTED]
    changed = sum(_changed(one) for one in judged)
    return render_page(
        "patients.html",
        styles=("page.css", "patients.css"),
        scripts=("page.js", "patients.js"),
        total=len(judged),
        listed=len(ordered),
        counts={
            "patients": len(judged),
            "eyes": sum(len(one.patient.eyes) for one in judged),
            "with a change": changed,
            "with an asymmetry of 0.2": sum(_reached(one) for one in judged),
            "with one eye": sum(len(one.patient.eyes) < 2 for one in judged),
            "not assigned": unassigned,
        },
        patients=[_patient(number, one, files, repeatability) for number, one in enumerate(ordered)],
        side=PICTURE,
        chart={"width": WIDTH, "height": HEIGHT},
        about={key: str(value) for key, value in about.items()},
    )


def _changed(judged: Judged) -> bool:
    return any(change.ratio is not None and change.ratio.changed for change in judged.changes.values())


def _reached(judged: Judged) -> bool:
    return judged.asymmetry is not None and judged.asymmetry.convention == "reached"


def _rank(judged: Judged) -> tuple[bool, bool, bool]:
    return not _changed(judged), not _reached(judged), not judged.patient.remarks


def _patient(number: int, judged: Judged, files: RunFiles, repeatability: Repeatability) -> dict[str, Any]:
    patient, found = judged.patient, judged.asymmetry
    eyes = [_eye(eye, judged, files, repeatability) for eye in EYES]
    difference = "" if found is None else f"{found.vertical_cdr[0]:+.2f}"
    interval = "" if found is None else f"{found.vertical_cdr[1]:+.2f} to {found.vertical_cdr[2]:+.2f}"
    return {
        "id": f"patient-{number}",
        "name": patient.name,
        "eyes": eyes,
        # Sorted by its size, whichever eye has the larger ratio.
        "asymmetry": {"sort": abs(found.vertical_cdr[0]) if found else "", "text": difference, "interval": interval},
        "convention": found.convention if found else "",
        "sentence": found.sentence if found else "",
        "remarks": [*patient.remarks],
    }


def _eye(eye: Eye, judged: Judged, files: RunFiles, repeatability: Repeatability) -> dict[str, Any]:
    own = judged.patient.eyes.get(eye)
    shown: dict[str, Any] = {"eye": eye, "word": EYES[eye], "there": own is not None}
    shown |= {"ratio": "", "change": "", "sort": "", "changed": False}
    if own is None:
        return shown
    change = judged.changes[eye]
    cells = measured_cells(own.latest)
    ratio = cells.get("vertical_cdr")
    total = change.ratio.total if change.ratio else None
    return shown | {
        "ratio": "" if ratio is None else f"{ratio:.2f}",
        "sort": "" if total is None else total[0],
        "change": "" if total is None else f"{total[0]:+.2f}",
        "interval": "" if total is None else f"{total[1]:+.2f} to {total[2]:+.2f}",
        "changed": bool(change.ratio and change.ratio.changed),
        "facts": [(name, form.format(cells[key])) for key, (name, form) in _FACTS.items() if _said(cells.get(key))],
        "sentence": change.sentence,
        "remarks": [*own.remarks, *change.problems],
        "views": [_view(view) for view in change.views if view.picture],
        "hours": [_hours(view) for view in change.views],
        "thinner": change.thinner,
        "chart": trend_chart(own, change, repeatability),
        "picture": _thumbnail(own, files),
        "dates": [str(visit.day or "no date") for visit in own.visits],
    }


def _said(value: Any) -> bool:
    return value not in (None, "") and value == value  # NaN differs from itself


def _view(view: VisitView) -> dict[str, Any]:
    outlines = {
        region: " ".join(f"{x:.1f},{y:.1f}" for x, y in points) for region, points in sorted(view.outlines.items())
    }
    return {
        "day": str(view.visit.day or "no date"),
        "ratio": f"{view.visit.best.row['vertical_cdr']:.2f}",
        "how": view.alignment.how if view.alignment else "the first",
        "picture": base64.b64encode(view.picture).decode(),
        "outlines": outlines,
        "overlay": _overlay(view.visit.best.entry.name),
        "file": view.visit.best.row["file"],
    }


def _hours(view: VisitView) -> dict[str, Any]:
    return {
        "day": str(view.visit.day or "no date"),
        "cells": ["" if hour != hour else f"{hour:.2f}" for hour in view.hours.tolist()],
    }


def _thumbnail(own: PatientEye, files: RunFiles) -> dict[str, str]:
    """The small picture of the last measured visit, or else of any."""
    visit = own.latest or own.visits[-1]
    name = visit.best.entry.name
    path = files.local(thumbnail_path(Path(), name))
    return {
        "picture": base64.b64encode(path.read_bytes()).decode() if path.is_file() else "",
        "overlay": _overlay(name),
        "file": visit.best.row["file"],
    }


def _overlay(name: str) -> str:
    """The link to a photograph's overlay."""
    return relative_link(overlay_path(Path(), name), Path())
