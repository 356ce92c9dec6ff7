"""Figures of a running listener for Prometheus; nothing in them tells a patient."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from fundusseg.dicom.spool import Spool


class ListenMetrics:
    """What came, what went, and what lies in the spool."""

    def __init__(self, spool: Spool) -> None:
        self.registry = CollectorRegistry()
        self._events = Counter("fundusseg_dicom", "Objects by outcome", ["outcome"], registry=self.registry)
        for place in spool.counts():
            gauge = Gauge(f"fundusseg_spool_{place}", f"Photographs in the spool's {place}", registry=self.registry)
            gauge.set_function(partial(_count, spool, place))

    def count(self, outcome: str) -> None:
        """One more of an outcome."""
        self._events.labels(outcome).inc()

    def serve(self, port: int) -> None:
        """Show them at http://127.0.0.1:PORT/metrics, to this machine alone."""
        start_http_server(port, "127.0.0.1", self.registry)


def _count(spool: Spool, place: str) -> float:
    return spool.counts()[place]
