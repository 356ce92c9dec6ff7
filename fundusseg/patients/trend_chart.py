"""The chart of an eye's vertical ratio over its visits, in the units of an SVG drawing."""

import math
from typing import Any

from fundusseg.measures.repeatability import REACH, Repeatability
from fundusseg.patients.change import EyeChange
from fundusseg.patients.eyes import PatientEye

WIDTH, HEIGHT = 360, 176
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 350, 12, 140
_STEPS = (0.25, 0.5, 1, 2, 5, 10, 20)


def trend_chart(eye: PatientEye, change: EyeChange, repeatability: Repeatability) -> dict[str, Any]:
    """Points with bars of the measurement's error, the Theil-Sen line, and what its slope may be.

    Returns:
        Numbers for the template; empty without a trend.
    """
    found = change.ratio
    if found is None:
        return {}
    years = eye.years()
    ratios = [float(visit.best.row["vertical_cdr"]) for visit in eye.dated]
    error = REACH * repeatability.sd("vertical_cdr")
    bottom = max(0.0, math.floor(10 * (min(ratios) - error)) / 10)
    top = min(1.0, math.ceil(10 * (max(ratios) + error)) / 10)

    def x(year: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (year / found.years * 0.94 + 0.03), 1)

    def y(ratio: float) -> float:
        share = (min(max(ratio, bottom), top) - bottom) / (top - bottom)
        return round(_BOTTOM - (_BOTTOM - _TOP) * share, 1)

    # Sen's line goes through the medians.
    middle, level = _median(years), _median([r - found.slope * t for r, t in zip(ratios, years, strict=True)])

    def line(slope: float) -> list[tuple[float, float]]:
        start = level + found.slope * middle
        return [(x(t), y(start + slope * (t - middle))) for t in (0.0, found.years)]

    step = next((step for step in _STEPS if found.years / step <= 6), _STEPS[-1])
    low, high = line(found.low), line(found.high)
    return {
        "points": [
            {"x": x(t), "y": y(r), "low": y(r - error), "high": y(r + error), "title": f"{visit.day}: {r:.2f}"}
            for t, r, visit in zip(years, ratios, eye.dated, strict=True)
        ],
        "line": line(found.slope),
        "band": [*low, *reversed(high)],
        "columns": [{"x": x(n * step), "text": f"{n * step:g}"} for n in range(int(found.years / step + 1e-9) + 1)],
        "rows": [
            {"y": y(tenth / 10), "text": f"{tenth / 10:.1f}"}
            for tenth in range(round(10 * bottom), round(10 * top) + 1)
        ],
        "words": change.sentence,
    }


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
