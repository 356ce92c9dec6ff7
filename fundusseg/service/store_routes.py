"""The store's endpoints; each noun's are in a module of their own."""

from typing import Any

from fastapi import APIRouter

from fundusseg.service.answers import KEPT
from fundusseg.service.client import though_gone
from fundusseg.service.desk import Desk
from fundusseg.service.export_routes import export_routes
from fundusseg.service.grading_routes import grading_routes
from fundusseg.service.kept_photograph_routes import kept_photograph_routes


def store_routes(desk: Desk) -> APIRouter:
    """All routes over one store."""
    router = APIRouter(prefix="/v1/store", tags=["store"])

    @router.get("", summary="What is kept", **KEPT)
    async def status() -> dict[str, Any]:
        """How many photographs, patients and gradings, and who the graders are."""
        return await though_gone(desk.store.counts)

    for routes in (kept_photograph_routes, grading_routes, export_routes):
        router.include_router(routes(desk))
    return router
