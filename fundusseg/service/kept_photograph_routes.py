"""Photographs that the store keeps: put in, listed for a grader, looked at, deleted with all of their patient."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from fundusseg.reports.files import plain
from fundusseg.service.answers import KEPT
from fundusseg.service.client import though_gone, unless_gone
from fundusseg.service.desk import Added, Desk, Listed, Reader
from fundusseg.service.grading import Name
from fundusseg.service.uploads import BODY, one_photograph
from fundusseg.service.worker import Work


class Deletion(BaseModel):
    """Whose everything is to be deleted, and by whom."""

    model_config = ConfigDict(extra="forbid")

    patient: Name
    grader: Name


def kept_photograph_routes(desk: Desk) -> APIRouter:
    """The routes over one store."""
    router = APIRouter()

    @router.post(
        "/photographs", summary="Keep a photograph with its prediction", openapi_extra=BODY, status_code=201, **KEPT
    )
    async def add(request: Request, added: Annotated[Added, Query()], response: Response) -> dict[str, Any]:
        """201 where it is new, 200 where it is there already."""
        item, new = await unless_gone(request, desk.add(await one_photograph(request), added))
        response.status_code = 201 if new else 200
        return item

    @router.get("/worklist", summary="All photographs with one grader's state", **KEPT)
    async def worklist(reader: Annotated[Listed, Query()]) -> dict[str, Any]:
        """Nothing of what other graders said."""
        return {"photographs": plain(await though_gone(desk.worklist, reader))}

    @router.get("/photographs/{identity}", summary="A photograph as one grader may see it", **KEPT)
    async def item(identity: str, reader: Annotated[Reader, Query()]) -> dict[str, Any]:
        """With masked=true the network's outline is hidden until she has drawn hers."""
        return await though_gone(desk.item, identity, reader)

    @router.get(
        "/photographs/{identity}/picture",
        summary="A kept photograph as JPEG",
        response_class=Response,
        responses=KEPT["responses"],
    )
    async def picture(identity: str) -> Response:
        """Upright, 8 bits, at full size."""
        work = Work(await though_gone(desk.store.content, identity), products=("picture",))
        done = await desk.predictions.engine.do(work)
        return Response(done.products["picture"], media_type="image/jpeg")

    @router.post("/deletions", summary="Delete everything of a patient", **KEPT)
    async def delete(deletion: Deletion) -> dict[str, Any]:
        """Photographs, predictions and gradings, out of the file too; only how many they were is noted."""
        return await though_gone(desk.store.delete_patient, deletion.patient, deletion.grader)

    return router
