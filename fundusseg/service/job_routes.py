"""/v1/jobs: many photographs, their progress as server-sent events, their results as a ZIP file."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from fundusseg.service.answers import problems
from fundusseg.service.jobs import Job, Jobs
from fundusseg.service.limits import Limits
from fundusseg.service.options import Options
from fundusseg.service.uploads import BODY, photographs

_REFUSED = problems(400, 404, 408, 409, 413, 415, 422, 503)


class JobOptions(Options):
    """Query of a job."""

    charts: bool = False


def job_routes(jobs: Jobs, limits: Limits) -> APIRouter:
    """The routes over an application's jobs."""
    router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
    answers: dict[str, Any] = {"responses": _REFUSED, "response_model": None}

    @router.post("", status_code=202, openapi_extra=BODY, summary="Send many photographs", **answers)
    async def start(request: Request, asked: Annotated[JobOptions, Query()]) -> dict[str, Any]:
        """They are done one after the other, beside other requests; nothing of them is written to a disk."""
        uploads = await photographs(request, limits.job_files)
        options = Options(**{name: getattr(asked, name) for name in Options.model_fields})
        job = jobs.start(uploads, options, asked.charts)
        place = f"/v1/jobs/{job.id}"
        return job.progress | {"events": f"{place}/events", "result": f"{place}/result"}

    @router.get("/{identity}", summary="How far a job is", **answers)
    async def status(identity: str) -> dict[str, Any]:
        return jobs.get(identity).progress

    @router.get("/{identity}/events", summary="A job's progress", response_class=Response, responses=_REFUSED)
    async def events(identity: str) -> Response:
        """Server-sent events: `progress` with total, done and failed, then `done`."""
        headers = {"X-Accel-Buffering": "no"}  # or nginx would keep them back
        return StreamingResponse(_events(jobs.get(identity)), media_type="text/event-stream", headers=headers)

    @router.get("/{identity}/result", summary="A finished job's files", response_class=Response, responses=_REFUSED)
    async def result(identity: str) -> Response:
        """A ZIP file: measures.csv and, for each photograph, label map, contours, overlay and chart as `predict`'s."""
        headers = {"Content-Disposition": 'attachment; filename="fundusseg.zip"'}
        return Response(jobs.fetch(identity), media_type="application/zip", headers=headers)

    @router.delete("/{identity}", summary="Cancel a job, or forget its result", status_code=204, responses=_REFUSED)
    async def delete(identity: str) -> Response:
        jobs.delete(identity)
        return Response(status_code=204)

    return router


async def _events(job: Job) -> AsyncIterator[str]:
    async for progress in job.changes():
        if progress is None:
            yield ": still here\n\n"
        else:
            kind = "progress" if progress["state"] == "running" else progress["state"]
            yield f"event: {kind}\ndata: {json.dumps(progress)}\n\n"
