"""The shapes of answers, for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """RFC 9457: what is wrong, in one sentence (`detail`)."""

    type: str
    title: str
    status: int
    detail: str


class Maker(BaseModel):
    """Which bundle speaks."""

    digest: str
    version: str


class Rim(BaseModel):
    """By degree, of a right eye's clock: 0 superior, 90 nasal, 180 inferior, 270 temporal; a left eye is mirrored."""

    centre: tuple[float, float] | None
    width: list[float | None]
    share: list[float | None]
    disc_radius: list[float | None]


class Measured(BaseModel):
    """Numbers of an outline."""

    measures: dict[str, float | str | None] = Field(description="Columns of `predict`'s measures.csv.")
    rim: Rim


Contours = dict[str, list[tuple[float, float]]]


class PhotographAnswer(BaseModel):
    """One photograph; where it cannot be done, `error` alone beside its name."""

    file: str
    error: Problem | None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    measures: dict[str, float | str | None] | None = None
    contours: Contours | None = None
    rim: Rim | None = None


class PredictionsAnswer(BaseModel):
    """Photographs in the order in which they were sent."""

    bundle: Maker
    photographs: list[PhotographAnswer]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Entries of the OpenAPI document for what may be refused."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    always = (401, 403, 421)
    return {status: {"description": "Refused", "content": content} for status in (*statuses, *always)}


KEPT: dict[str, Any] = {"responses": problems(400, 404, 408, 409, 413, 415, 422, 503), "response_model": None}
"""Of every route of the store; what it answers is said in words, as its items grow."""
