"""What the store gives away: a dataset, tables of gradings and of agreement."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.concurrency import iterate_in_threadpool
from fastapi.responses import StreamingResponse

from fundusseg.reports.files import csv_text, plain
from fundusseg.service.agreement import agreement
from fundusseg.service.answers import KEPT
from fundusseg.service.client import though_gone
from fundusseg.service.desk import Desk
from fundusseg.service.store_export import dataset, grading_rows


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def export_routes(desk: Desk) -> APIRouter:
    """The routes over one store."""
    router = APIRouter()

    @router.get(
        "/export",
        summary="All that is kept, as a dataset or as a table",
        response_class=Response,
        responses=KEPT["responses"],
    )
    async def export(format: Literal["dataset", "csv"] = "dataset") -> Response:
        """A ZIP file that the reader Folder takes, every grader an expert; or a line for each grading."""
        if format == "csv":
            table = csv_text(await though_gone(grading_rows, desk.store))
            return Response(table, media_type="text/csv; charset=utf-8", headers=_attached("gradings.csv"))
        pieces = iterate_in_threadpool(dataset(desk.store))
        return StreamingResponse(pieces, media_type="application/zip", headers=_attached("gradings.zip"))

    both: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, "text/csv": {}}}}

    @router.get("/agreement", summary="How graders agree", response_model=None, responses=both | KEPT["responses"])
    async def agree(format: Literal["json", "csv"] = "json") -> Any:
        """With each other, with themselves on repeats, and with the network; intervals are over patients."""
        tables = await though_gone(agreement, desk.store)
        if format == "json":
            return plain(tables)
        rows = [{"kind": kind, **row} for kind, rows in tables.items() for row in rows]
        return Response(csv_text(rows), media_type="text/csv; charset=utf-8", headers=_attached("agreement.csv"))

    return router
