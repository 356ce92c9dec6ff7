"""Figures of a running service for Prometheus; nothing in them tells a patient."""

import math
import re
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

from fundusseg.service.worker import Done

_SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)
_RATIOS = tuple(tenth / 10 for tenth in range(1, 10))


class Metrics:
    """One service's figures, in a registry of their own, so that several services can run in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        kept: dict[str, Any] = {"registry": self.registry}
        self.answers = Counter("fundusseg_answers", "Answers by route and status", ["route", "status"], **kept)
        self.wait = Histogram("fundusseg_wait_seconds", "From the queue to a worker", buckets=_SECONDS, **kept)
        self.work = Histogram("fundusseg_photograph_seconds", "Decoding to encoding", buckets=_SECONDS, **kept)
        self.verdicts = Counter("fundusseg_verdicts", "Photographs by verdict", ["verdict"], **kept)
        self.reasons = Counter("fundusseg_reasons", "Why not accepted", ["reason"], **kept)
        # How the ratios are spread shows a camera or a population that drifts away from the training's.
        self.ratio = Histogram("fundusseg_vertical_cdr", "Vertical cup/disc ratios", buckets=_RATIOS, **kept)
        self.restarts = Counter("fundusseg_worker_restarts", "Workers that died and were replaced", **kept)

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Add a figure that is read when it is asked for."""
        Gauge(f"fundusseg_{name}", what, registry=self.registry).set_function(value)

    def answered(self, scope: Scope, status: int) -> None:
        """Count an answer; of the path only the route, as names and numbers in it may be patients'."""
        route = getattr(scope.get("route"), "path", "other")
        self.answers.labels(route, str(status)).inc()

    def done(self, done: Done) -> None:
        """Count a photograph."""
        self.work.observe(done.seconds)
        if verdict := done.row.get("verdict"):
            self.verdicts.labels(verdict).inc()
        for reason in filter(None, str(done.row.get("reasons", "")).split("; ")):
            self.reasons.labels(re.sub(r" \(.*", "", reason)).inc()
        ratio = done.row.get("vertical_cdr", math.nan)
        if math.isfinite(ratio):
            self.ratio.observe(ratio)

    def page(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)
