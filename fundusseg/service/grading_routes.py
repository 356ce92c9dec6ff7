"""What graders decide, and what is settled between them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from fundusseg.service.answers import KEPT
from fundusseg.service.client import though_gone
from fundusseg.service.desk import Desk
from fundusseg.service.grading import Name, Posted


def grading_routes(desk: Desk) -> APIRouter:
    """The routes over one store."""
    router = APIRouter()

    async def graded(posted: Posted, adjudicating: bool, response: Response) -> dict[str, Any]:
        grading, new = await though_gone(desk.grade, posted, adjudicating)
        response.status_code = 201 if new else 200
        return grading

    @router.post("/gradings", summary="Keep a grader's decision", status_code=201, **KEPT)
    async def grade(posted: Posted, response: Response) -> dict[str, Any]:
        """Answered once it is on the disk; sent again with the same id it counts once."""
        return await graded(posted, False, response)

    @router.get("/adjudications", summary="Where graders differ", **KEPT)
    async def differing(
        grader: Annotated[Name, Query()], difference: Annotated[float, Query(ge=0)] = 0
    ) -> dict[str, Any]:
        """Photographs with several graders, those first that differ most."""
        return {"photographs": await though_gone(desk.to_adjudicate, difference)}

    @router.post("/adjudications", summary="Settle between graders", status_code=201, **KEPT)
    async def adjudicate(posted: Posted, response: Response) -> dict[str, Any]:
        """Choose a grading, draw another outline, or reject."""
        return await graded(posted, True, response)

    return router
