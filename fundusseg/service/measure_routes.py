"""POST /v1/measures: the numbers of an outline that a reader draws, by the code that measures a network's."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from fundusseg.measures.contours import filled
from fundusseg.measures.cup_disc import measure
from fundusseg.reports.files import plain
from fundusseg.sample import CUP, DISC, Eye
from fundusseg.service.answers import Measured, problems
from fundusseg.service.documents import rim_document
from fundusseg.service.limits import Limits
from fundusseg.service.problem import Refusal

Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
Outline = Annotated[list[tuple[Number, Number]], Field(max_length=10_000)]


class Outlines(BaseModel):
    """Closed curves: x to the right, y down, whole numbers at pixel centres; the last point joins the first."""

    model_config = ConfigDict(extra="forbid")

    disc: Outline = []
    cup: Outline = []


class Drawn(BaseModel):
    """Outlines on a photograph of this size."""

    model_config = ConfigDict(extra="forbid")

    width: int = Field(ge=1, le=65_500)
    height: int = Field(ge=1, le=65_500)
    contours: Outlines
    eye: Eye | None = None
    millimetres_per_pixel: float | None = Field(None, gt=0, le=1)


def measured(drawn: Drawn) -> dict[str, Any]:
    """Measures and rim of outlines, in plain types.

    Raises:
        ImageError: An outline that cannot be one.
    """
    labels = filled(
        {DISC: np.array(drawn.contours.disc), CUP: np.array(drawn.contours.cup)}, (drawn.height, drawn.width)
    )
    found = measure(labels, eye=drawn.eye, millimetres_per_pixel=drawn.millimetres_per_pixel)
    return {"measures": plain(found), "rim": rim_document(labels, drawn.eye)}


def measure_routes(limits: Limits) -> APIRouter:
    """The route under some limits."""
    router = APIRouter(tags=["photographs"])

    @router.post(
        "/v1/measures",
        summary="Measure an outline that a reader drew",
        response_model=None,
        responses={200: {"model": Measured}, **problems(400, 408, 413, 415, 422, 503)},
    )
    async def measures(drawn: Drawn) -> dict[str, Any]:
        """As `predict` measures a network's outline; what of a cup lies outside the disc is cut off."""
        if drawn.width * drawn.height > limits.megapixels * 1e6:
            size = f"{drawn.width} x {drawn.height} pixels"
            raise Refusal(413, f"outlines on {size}", f"up to {limits.megapixels:g} megapixels", "scale them down")
        return await run_in_threadpool(measured, drawn)

    return router
