"""Whether an eye changed over its visits, and the sentence that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fundusseg.measures.repeatability import HOURS, REACH, Repeatability
from fundusseg.measures.trend import Trend, trend
from fundusseg.patients.eyes import PatientEye
from fundusseg.patients.views import VisitView

_ALPHA, _NORMAL = 0.05, 1.96


@dataclass(frozen=True, eq=False, slots=True)
class EyeChange:
    """What the visits of one eye say.

    Attributes:
        ratio: Trend of the vertical ratio; None with fewer than two dated visits.
        hours: Trend of the rim by clock hour, 1 to 12; empty likewise. Their twelve intervals hold together.
        views: The visits laid over each other.
    """

    ratio: Trend | None = None
    hours: tuple[Trend | None, ...] = ()
    views: tuple[VisitView, ...] = ()

    @property
    def sentence(self) -> str:
        """No change beyond measurement error, or how much in how many years."""
        if self.ratio is None:
            return "no change can be told: one visit only, or none, is measured and of known date"
        total, low, high = self.ratio.total
        over = f"{total:+.2f} ({low:+.2f} to {high:+.2f}) in {self.ratio.years:.1f} years, {self.ratio.visits} visits"
        said = f"no change of the vertical ratio beyond measurement error: {over}"
        if self.ratio.changed:
            said = f"the vertical ratio {'rose' if total > 0 else 'fell'} beyond measurement error: {over}"
        if self.ratio.scattered:
            said += "; its visits scatter more than measurement error explains: look at the outlines"
        return said

    @property
    def thinner(self) -> list[int]:
        """Clock hours whose rim became thinner beyond measurement error."""
        return [hour for hour, found in enumerate(self.hours, 1) if found and found.high < 0]

    @property
    def problems(self) -> list[str]:
        """What could not be laid over the first visit, and why."""
        said = []
        for view in self.views:
            if view.problem:
                said.append(view.problem)
            elif view.alignment and not view.alignment.marks:
                said.append(f"{view.visit.best.row['file']}: laid over the first visit by its {view.alignment.how}")
        return said


def eye_change(eye: PatientEye, views: Sequence[VisitView], repeatability: Repeatability) -> EyeChange:
    """The trends of one eye.

    The vertical ratio decides, at 5 %. The rim's twelve hours are told beside it, at 5 % for all of them together
    (Bonferroni), so that the many hours do not make a change.
    """
    dated = eye.dated
    years = np.array(eye.years())
    ratios = np.array([visit.best.row["vertical_cdr"] for visit in dated], np.float64)
    # Two visits are one difference, which `smallest_change` bounds; the slope of more is closer to normal.
    wider = REACH / _NORMAL if np.isfinite(ratios).sum() == 2 else 1.0
    ratio = trend(years, ratios, wider * repeatability.sd("vertical_cdr"), 1 - _ALPHA)
    if ratio is None:
        return EyeChange(views=tuple(views))
    by_visit = {view.visit: view.hours for view in views}
    hours = np.array([by_visit.get(visit, np.full(12, np.nan)) for visit in dated])
    trends = [
        trend(years, hours[:, number], wider * repeatability.sd(name), 1 - _ALPHA / len(HOURS))
        for number, name in enumerate(HOURS)
    ]
    return EyeChange(ratio, tuple(trends), tuple(views))
