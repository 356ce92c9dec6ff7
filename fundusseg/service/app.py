"""The application: every route over one engine, without state outside of it.

Any ASGI server runs it, and several may run in one process: nothing is kept in a module.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from fundusseg import __version__
from fundusseg.errors import FundusSegError
from fundusseg.service.access import Access, AccessCheck
from fundusseg.service.admission import Admission, Load
from fundusseg.service.client import ClientLeft
from fundusseg.service.desk import Desk
from fundusseg.service.early_refusal import EarlyRefusal
from fundusseg.service.health_routes import health_routes
from fundusseg.service.job_routes import job_routes
from fundusseg.service.jobs import Jobs
from fundusseg.service.limits import Limits
from fundusseg.service.measure_routes import measure_routes
from fundusseg.service.metrics import Metrics
from fundusseg.service.prediction_routes import Predictions, prediction_routes
from fundusseg.service.problem import Refusal, response_of
from fundusseg.service.response_headers import ResponseHeaders
from fundusseg.service.store import Store
from fundusseg.service.store_routes import store_routes
from fundusseg.service.worker_pool import Engine

DESCRIPTION = "Optic disc and cup in fundus photographs: outlines, cup/disc ratios, the rim, and how far to trust them."

_CLIENT_LEFT = 499
"""Counted by the metrics; nobody gets it."""


def create_app(
    engine: Engine,
    limits: Limits | None = None,
    access: Access | None = None,
    store: Store | None = None,
    jobs: bool = True,
) -> FastAPI:
    """Make an application.

    Args:
        engine: That computes; it is started and closed with the application.
        limits: What it takes on.
        access: Who may ask.
        store: Where photographs and gradings are kept; it is closed with the application. Without one nothing is.
        jobs: Whether jobs are taken, whose results lie in this process's memory: not where others answer beside it.
    """
    limits, access = limits or Limits(), access or Access()
    load, metrics = Load(limits.queue), Metrics()
    predictions = Predictions(engine, metrics)
    accepted = Jobs(predictions, limits, load)

    @asynccontextmanager
    async def alive(app: FastAPI) -> AsyncIterator[None]:
        await engine.start()
        yield
        accepted.close()
        await engine.close()
        if store is not None:
            store.close()

    app = FastAPI(
        title="fundusseg", version=__version__, description=DESCRIPTION, lifespan=alive, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.load = load
    # Another site's page may read an answer by headers of CORS alone, which come from the application.
    app.state.early = None if access.origins else EarlyRefusal(load, lambda: engine.facts, metrics.answered)
    app.include_router(health_routes(app, engine, limits, load, metrics, kept=store is not None))
    app.include_router(prediction_routes(predictions, limits))
    app.include_router(measure_routes(limits))
    if jobs:
        app.include_router(job_routes(accepted, limits))
    if store is not None:
        app.include_router(store_routes(Desk(store, predictions)))
    _add_page(app)
    _add_errors(app)
    _observe(engine, load, metrics)
    # The last one added is asked first.
    app.add_middleware(Admission, limits=limits, load=load)
    app.add_middleware(AccessCheck, access=access)
    if access.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=access.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Accept"],
            expose_headers=["Retry-After", "X-Fundusseg-Bundle", "X-Fundusseg-Version"],
        )
    app.add_middleware(ResponseHeaders, facts=lambda: engine.facts, answered=metrics.answered)
    return app


def _add_page(app: FastAPI) -> None:
    """The page for readers at ``/``, and its files."""
    page = str(files("fundusseg.service") / "page")
    static: ASGIApp = StaticFiles(directory=page)
    app.mount("/page", static)

    @app.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return await StaticFiles(directory=page).get_response("index.html", request.scope)


def _add_errors(app: FastAPI) -> None:
    """Whatever is refused is a problem with one sentence."""

    async def refused(request: Request, error: Exception) -> Response:
        return response_of(error)

    async def wrong(request: Request, error: Exception) -> Response:
        return response_of(_validation(error.errors() if isinstance(error, RequestValidationError) else []))

    async def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = error.headers if isinstance(error, HTTPException) else None
        known = ", ".join(app.openapi()["paths"])
        what = {404: "a path that is not there", 405: "another method"}.get(status, "a request that is malformed")
        return response_of(Refusal(status, what, f"one of {known}", "see /docs", headers))

    async def left(request: Request, error: Exception) -> Response:
        return Response(status_code=_CLIENT_LEFT)

    app.add_exception_handler(FundusSegError, refused)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(HTTPException, unknown)
    app.add_exception_handler(ClientLeft, left)
    app.add_exception_handler(Exception, refused)


def _validation(errors: Any) -> Refusal:
    """The first thing wrong with a query or a body of JSON."""
    first: dict[str, Any] = next(iter(errors), {})
    place = ".".join(str(part) for part in first.get("loc", ())[1:]) or "the request"
    given = "" if first.get("type") in ("missing", "json_invalid") else f" {first.get('input')!r:.60}"
    # "Input should be greater than 0" is what was expected, said by the library.
    expected = str(first.get("msg", "")).removeprefix("Input should be ") or "as in /docs"
    return Refusal(422, f"{place}{given}", expected, "correct it; /docs tells what is taken")


def _observe(engine: Engine, load: Load, metrics: Metrics) -> None:
    """Tell the metrics of the load and of the workers."""
    metrics.gauge("admitted", "Requests with photographs in hand", lambda: load.admitted)
    metrics.gauge("queued", "Photographs that wait", lambda: engine.queued)
    metrics.gauge("running", "Photographs with a worker", lambda: engine.running)
    engine.waited = metrics.wait.observe
    engine.restarted = metrics.restarts.inc
