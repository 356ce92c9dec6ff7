"""Whether a store's photographs have changed: each week's measures, quality and verdicts against a reference window.

Every week of every quantity is a look. All looks of `YEAR` weeks together err with the stated probability: each week
has its own share of it, the same for ever, and within a week Holm's correction holds; so a stream that has run for
years is looked at as keenly as a new one, and no alarm is taken back. One photograph of a patient and week counts, so
that two eyes are not taken for two patients.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from fundusseg.atomic_file import write_whole
from fundusseg.imaging.image_files import read_with_light
from fundusseg.imaging.quality import assess
from fundusseg.measures.paired_tests import holm
from fundusseg.reports.files import write_csv, write_json, write_text
from fundusseg.service.store import Store

LEVEL = 0.05
"""Probability of an alarm within `YEAR` weeks of a stream that does not change."""

YEAR = 52
"""Weeks that share it."""

FEWEST = 8
"""Photographs of a week, below which it joins the next one."""

QUANTITIES: dict[str, str] = {
    "brightness": "light",
    "red": "camera (share of red in the light)",
    "blue": "camera (share of blue in the light)",
    "pixels": "camera (size of the photographs)",
    "vertical_cdr": "vertical cup/disc ratio",
    "failure_risk": "risk that an outline is wrong",
    "reject": "share of photographs rejected",
    "review": "share of photographs put aside for review",
}
"""What is looked at, and what it speaks of."""

SHARES = ("reject", "review")
"""Quantities that are yes or no: Fisher's exact test; of the others Kolmogorov and Smirnov's."""


@dataclass(frozen=True, slots=True)
class Look:
    """One quantity in one week against the reference.

    Attributes:
        week: Its Monday, YYYY-MM-DD.
        quantity: Of `QUANTITIES`.
        n: Photographs of the week.
        reference: Median, or share, of the reference window.
        now: Of the week.
        p: Of no difference, after Holm over the week's looks, and times `YEAR`: at most 1.
    """

    week: str
    quantity: str
    n: int
    reference: float
    now: float
    p: float

    @property
    def alarm(self) -> bool:
        """Whether it has moved beyond chance."""
        return self.p < LEVEL

    def as_row(self) -> dict[str, Any]:
        """For a table."""
        return asdict(self) | {"alarm": self.alarm}


Observation = Mapping[str, Any]
"""``at`` (ISO), ``patient``, and a number or None for each of `QUANTITIES`."""


def find_drift(stream: Sequence[Observation], reference: int = 100) -> list[Look]:
    """Test each week after the reference window.

    Args:
        stream: In any order.
        reference: Photographs of the window, the first ones; weeks that begin after it are tested.
    """
    ordered = sorted(stream, key=lambda one: str(one["at"]))
    one_each = [*{(week_of(one["at"]), one["patient"]): one for one in ordered}.values()]
    window, later = one_each[:reference], one_each[reference:]
    if len(window) < reference:
        return []
    looks: list[Look] = []
    for week, several in _weeks(later):
        found: list[tuple[str, str, int, float, float, float]] = []
        for quantity in QUANTITIES:
            before, now = (_values(side, quantity) for side in (window, several))
            if len(before) >= FEWEST and len(now) >= FEWEST:
                typical = np.mean if quantity in SHARES else np.median
                p = _p(before, now, quantity in SHARES)
                found.append((week, quantity, len(now), float(typical(before)), float(typical(now)), p))
        adjusted = holm([one[-1] for one in found])
        looks += [Look(*one[:-1], min(1.0, YEAR * float(p))) for one, p in zip(found, adjusted, strict=True)]
    return looks


def week_of(at: str) -> str:
    """Monday of an instant's week.

    >>> week_of("2026-11-26T07:00:00+00:00")
    '2026-11-23'
    """
    year, week, _ = datetime.fromisoformat(at).isocalendar()
    return datetime.fromisocalendar(year, week, 1).date().isoformat()


def sentence(looks: Sequence[Look]) -> str:
    """What moved, in one sentence."""
    if not looks:
        return "Drift: too few photographs to look for it."
    first: dict[str, Look] = {}
    for look in looks:
        if look.alarm:
            first.setdefault(look.quantity, look)
    if not first:
        return f"Drift: none beyond chance in {len({look.week for look in looks})} weeks."
    moved = [
        f"{QUANTITIES[name]} since the week of {look.week} ({look.reference:.3g} to {look.now:.3g})"
        for name, look in sorted(first.items(), key=lambda item: item[1].p)
    ]
    return f"Drift: {'; '.join(moved)}."


def observations(store: Store, cache: Path) -> list[dict[str, Any]]:
    """What is looked at of every photograph; its light is measured once and kept.

    Args:
        store: Where they are.
        cache: JSON file of the light of each photograph by digest; those the store holds no longer are left out.
    """
    known: dict[str, list[float]] = json.loads(cache.read_text()) if cache.is_file() else {}
    light, found = {}, []
    for one in store.predicted():
        identity = one["id"]
        if identity not in known:
            seen = assess(*_decoded(store.content(identity)))
            known[identity] = [seen.brightness, seen.red, seen.blue]
        light[identity] = known[identity]
        measures = store.prediction(identity)["measures"]
        found.append(
            {
                "at": one["added_at"],
                "patient": one["patient"],
                **dict(zip(("brightness", "red", "blue"), known[identity], strict=True)),
                "pixels": one["width"] * one["height"],
                "vertical_cdr": one["vertical_cdr"],
                "failure_risk": measures.get("failure_risk"),
                "reject": float(one["verdict"] == "reject"),
                "review": float(one["verdict"] == "review"),
            }
        )
    write_json(light, cache)
    return found


def _decoded(content: bytes) -> tuple[Any, None, float]:
    image, light = read_with_light(content)
    return image, None, light


def write_drift(looks: Sequence[Look], folder: Path) -> None:
    """Write drift.csv, drift.png (p of each quantity by week) and drift.prom for Prometheus' textfile collector."""
    write_csv([look.as_row() for look in looks], folder / "drift.csv")
    last = {look.quantity: look for look in looks}
    lines = ["# TYPE fundusseg_drift_alarm gauge"]
    lines += [f'fundusseg_drift_alarm{{quantity="{name}"}} {int(look.alarm)}' for name, look in last.items()]
    write_text("\n".join(lines) + "\n", folder / "drift.prom")
    if looks:
        write_whole(folder / "drift.png", _plot(looks))


def _plot(looks: Sequence[Look]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    weeks = list(dict.fromkeys(look.week for look in looks))
    for quantity in dict.fromkeys(look.quantity for look in looks):
        own = [look for look in looks if look.quantity == quantity]
        axes.plot([weeks.index(look.week) for look in own], [max(look.p, 1e-12) for look in own], "o-", label=quantity)
    axes.axhline(LEVEL, color="black", linestyle="--")
    axes.set(yscale="log", ylabel=f"p of no change, for {YEAR} weeks together", xticks=range(len(weeks)))
    axes.set_xticklabels(weeks, rotation=90)
    axes.legend(fontsize="small")
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()


def _weeks(observations: Sequence[Observation]) -> list[tuple[str, list[Observation]]]:
    """Weeks in their order; one with too few photographs joins the next."""
    weeks: list[tuple[str, list[Observation]]] = []
    for one in observations:
        week = week_of(one["at"])
        if weeks and (weeks[-1][0] == week or len(weeks[-1][1]) < FEWEST):
            weeks[-1] = (week, [*weeks[-1][1], one])
        else:
            weeks.append((week, [one]))
    return weeks


def _values(observations: Sequence[Observation], quantity: str) -> Any:
    values = [one.get(quantity) for one in observations]
    return np.array([value for value in values if value is not None and value == value], np.float64)


def _p(before: Any, now: Any, share: bool) -> float:
    if not share:
        return float(stats.ks_2samp(before, now).pvalue)
    table = np.array([[int(side.sum()), int(len(side) - side.sum())] for side in (before, now)])
    return float(stats.fisher_exact(table)[1])
