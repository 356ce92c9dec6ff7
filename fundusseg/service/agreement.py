"""How graders agree with each other, each with herself on repeats, and with the network; intervals over patients."""

import math
from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from fundusseg.measures.bootstrap import mean_interval, sums_interval
from fundusseg.measures.contours import filled
from fundusseg.measures.label_map import region_mask
from fundusseg.measures.ratio_agreement import ratio_agreement
from fundusseg.measures.region_metrics import overlap
from fundusseg.sample import CUP, DISC
from fundusseg.service.grading import Grading, latest
from fundusseg.service.store import Store

MODEL = "model"

Outlined = dict[str, Any]
"""An outline: ``contours``, ``vertical_cdr``, and whether it was ``masked``."""

_RATIOS = ("bias", "mae", "limit_low", "limit_high", "icc", "pearson")


def agreement(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Tables of pairs: ``between`` graders (first round), ``within`` (her first round and a later one), ``model``.

    A row for the vertical ratio (bias, mean absolute error, Bland-Altman limits, ICC(2,1), Pearson, each with the
    bootstrap's interval of `fundusseg.measures.bootstrap`) and one for the Dice of disc and cup each. A photograph
    counts where both sides have an outline. Graders who have seen the network's outline agree with it more readily:
    ``masked`` counts the photographs on which no grader of the pair had.
    """
    photographs = {one["id"]: one for one in store.predicted()}
    drawn: dict[tuple[str, int], dict[str, Outlined]] = {}
    for (identity, grader, round), grading in latest(store.gradings()).items():
        if grading.after is not None:
            drawn.setdefault((grader, round), {})[identity] = _outlined(grading)
    model = {identity: _of_model(store.prediction(identity)) for identity in photographs}
    first = {grader: outlines for (grader, round), outlines in sorted(drawn.items()) if round == 1}
    pairs: dict[str, Iterable[tuple[str, str, dict[str, Outlined], dict[str, Outlined]]]] = {
        "between": ((a, b, first[a], first[b]) for a, b in combinations(first, 2)),
        "within": (
            (f"{grader}, round 1", f"{grader}, round {round}", first[grader], outlines)
            for (grader, round), outlines in sorted(drawn.items())
            if round > 1 and grader in first
        ),
        "model": ((MODEL, grader, model, outlines) for grader, outlines in first.items()),
    }
    return {kind: [row for pair in each for row in _rows(*pair, photographs)] for kind, each in pairs.items()}


def _rows(
    first: str, second: str, one: dict[str, Outlined], other: dict[str, Outlined], photographs: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """The pair's rows, over the photographs that both have."""
    shared = [identity for identity in photographs if identity in one and identity in other]
    if not shared:
        return
    patients = [photographs[identity]["patient"] for identity in shared]
    masked = sum(one[identity]["masked"] and other[identity]["masked"] for identity in shared)
    head = {"first": first, "second": second, "photographs": len(shared), "patients": len(set(patients))}
    head |= {"masked": masked}
    x, y = (np.array([side[identity]["vertical_cdr"] for identity in shared], np.float64) for side in (one, other))
    yield head | {"measure": "vertical_cdr", **_ratio(x, y, patients)}
    dice: dict[str, list[float]] = {DISC: [], CUP: []}
    for identity in shared:
        size = photographs[identity]["height"], photographs[identity]["width"]
        labels = [filled(side[identity]["contours"], size) for side in (one, other)]
        for region, values in dice.items():
            values.append(overlap(*(region_mask(each, region) for each in labels)).dice)
    for region, values in dice.items():
        low, high = mean_interval(values, patients)
        known = [value for value in values if not math.isnan(value)]
        mean = float(np.mean(known)) if known else math.nan
        yield head | {"measure": f"{region}_dice", "value": mean, "low": low, "high": high}


def _ratio(x: Any, y: Any, patients: list[str]) -> dict[str, float]:
    """Agreement of two columns of ratios; ``value`` is the ICC."""
    found: dict[str, float] = {}
    for name, sums in ratio_agreement(x, y).items():
        if name in _RATIOS:
            found[name] = sums.of(np.ones(len(x), np.bool_))
            found[f"{name}_low"], found[f"{name}_high"] = sums_interval(sums.parts, sums.estimator, patients)
    return found | {"value": found["icc"], "low": found["icc_low"], "high": found["icc_high"]}


def _outlined(grading: Grading) -> Outlined:
    ratio = math.nan if grading.vertical_cdr is None else grading.vertical_cdr
    return {"contours": grading.after, "vertical_cdr": ratio, "masked": grading.masked}


def _of_model(prediction: dict[str, Any]) -> Outlined:
    ratio = prediction["measures"].get("vertical_cdr")
    return {
        "contours": prediction["contours"],
        "vertical_cdr": math.nan if ratio is None else ratio,
        "masked": True,
    }
