"""Whether the service lives and is ready, what it runs, its figures and its documentation."""

from typing import Any

from fastapi import APIRouter, FastAPI, Response

from fundusseg.imaging.image_files import SUFFIXES
from fundusseg.service.admission import Load
from fundusseg.service.answers import problems
from fundusseg.service.documentation import documentation_page
from fundusseg.service.limits import Limits
from fundusseg.service.metrics import Metrics
from fundusseg.service.problem import busy
from fundusseg.service.worker_pool import Engine


def health_routes(app: FastAPI, engine: Engine, limits: Limits, load: Load, metrics: Metrics, kept: bool) -> APIRouter:
    """The routes of one application.

    Args:
        app: Whose documentation is shown.
        engine: That computes.
        limits: That are told.
        load: What is in hand.
        metrics: That are shown.
        kept: Whether there is a store.
    """
    router = APIRouter(tags=["service"])

    @router.get("/livez", summary="Whether the process answers")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Whether photographs are done now", responses=problems(503))
    async def ready() -> dict[str, str]:
        """503 before the networks have run once, without a living worker, and while the service ends."""
        if load.draining:
            raise busy("a service that ends")
        if not engine.ready:
            raise busy("a service whose networks are not loaded")
        return {"status": "ready"}

    @router.get("/v1/models", summary="Bundle, limits, what can be read", responses=problems(503))
    async def models() -> dict[str, Any]:
        """What made the numbers, with its digest and the licences of what it was trained on."""
        if not engine.facts:
            raise busy("a service whose networks are not loaded")
        told = {"megabytes": limits.megabytes, "megapixels": limits.megapixels, "files": limits.files}
        bundle = {"digest": engine.facts["checkpoint"], "name": engine.facts["checkpoint file"], **engine.facts}
        return {"bundle": bundle, "store": kept, "limits": told, "endings": sorted(SUFFIXES)}

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:
        return Response(metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return Response(documentation_page(app.openapi()), media_type="text/html; charset=utf-8")

    return router
