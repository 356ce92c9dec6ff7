"""POST /v1/predictions and /v1/pictures: photographs in, numbers or pictures out; nothing is kept."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from fundusseg import __version__
from fundusseg.errors import FundusSegError
from fundusseg.service.answers import PredictionsAnswer, problems
from fundusseg.service.client import unless_gone
from fundusseg.service.limits import Limits
from fundusseg.service.metrics import Metrics
from fundusseg.service.options import Options
from fundusseg.service.problem import Refusal, problem_of
from fundusseg.service.uploads import BODY, Upload, one_photograph, photographs
from fundusseg.service.worker import BOUNDARY, Done, Product, Work
from fundusseg.service.worker_pool import Engine

PRODUCTS: dict[str, Product] = {
    "application/json": "document",
    "image/png": "labels",
    "image/jpeg": "overlay",
    "multipart/related": "dicom",
}
"""What is made for whom, by Accept; the first is for who takes anything."""

_REFUSED = problems(400, 406, 408, 413, 415, 422, 503)


class Predictions:
    """Photographs through an engine, counted."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine, self.metrics = engine, metrics

    async def do(self, upload: Upload, options: Options, *products: Product) -> Done:
        """One photograph."""
        done = await self.engine.do(Work(upload.content, upload.name, options, products))
        if done.row:
            self.metrics.done(done)
        return done

    async def document(self, upload: Upload, options: Options, alone: bool) -> bytes:
        """JSON of one photograph; of several one that cannot be done says why and stops no other.

        Raises:
            FundusSegError: It is alone and cannot be done.
        """
        try:
            return (await self.do(upload, options, "document")).products["document"]
        except FundusSegError as error:
            # That there is no room is not the photograph's fault: all of the request is to be sent again.
            if alone or (isinstance(error, Refusal) and error.status == 503):
                raise
            return json.dumps({"file": upload.name, "error": problem_of(error)}).encode()

    async def documents(self, uploads: list[Upload], options: Options) -> bytes:
        """The answer for several, as JSON; one after the other, so that no request takes all workers."""
        alone = len(uploads) == 1
        parts = [await self.document(upload, options, alone) for upload in uploads]
        return b'{"bundle": %b, "photographs": [%b]}' % (json.dumps(self.maker).encode(), b", ".join(parts))

    @property
    def maker(self) -> dict[str, str]:
        """Which bundle speaks."""
        return {"digest": str(self.engine.facts.get("checkpoint", "")), "version": __version__}


def wanted(accept: str | None) -> str:
    """The media type of `PRODUCTS` that an Accept header likes best.

    Raises:
        Refusal: None of them.
    """
    liked: list[tuple[float, int, str]] = []
    for position, part in enumerate((accept or "*/*").split(",")):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
        try:
            liked.append((-float(quality), position, kind))
        except ValueError:
            continue
    for weight, _, kind in sorted(liked):
        for product in PRODUCTS:
            if weight < 0 and kind in (product, "*/*", f"{product.partition('/')[0]}/*"):
                return product
    raise Refusal(406, f"Accept: {str(accept)[:80]}", f"one of {', '.join(PRODUCTS)}", "ask for one of these")


def prediction_routes(predictions: Predictions, limits: Limits) -> APIRouter:
    """The routes over one engine."""
    router = APIRouter(tags=["photographs"])
    pictures: dict[str, Any] = {"image/png": {}, "image/jpeg": {}, "multipart/related": {}}

    @router.post(
        "/v1/predictions",
        openapi_extra=BODY,
        responses={200: {"model": PredictionsAnswer, "content": pictures}, **_REFUSED},
        summary="Segment and measure photographs",
    )
    async def predict(request: Request, options: Annotated[Options, Query()]) -> Response:
        """As `fundusseg predict` does.

        JSON for one or several photographs; of one also its label map (Accept: image/png; 0 background, 1 rim, 2 cup)
        or its overlay (Accept: image/jpeg), and of a DICOM file segmentation and report (Accept: multipart/related).
        """
        kind = wanted(request.headers.get("accept"))
        uploads = await photographs(request, limits.files)
        if PRODUCTS[kind] == "document":
            content = await unless_gone(request, predictions.documents(uploads, options))
        elif len(uploads) > 1:
            raise Refusal(406, f"{len(uploads)} photographs as {kind}", "one", "send them one by one, or ask for JSON")
        else:
            done = await unless_gone(request, predictions.do(uploads[0], options, PRODUCTS[kind]))
            content = done.products[PRODUCTS[kind]]
        media_type = f'{kind}; type="application/dicom"; boundary={BOUNDARY}' if PRODUCTS[kind] == "dicom" else kind
        return Response(content, media_type=media_type, headers={"Vary": "Accept"})

    @router.post(
        "/v1/pictures",
        openapi_extra=BODY,
        responses={200: {"content": {"image/jpeg": {}}}, **_REFUSED},
        response_class=Response,
        summary="A photograph as every browser shows it",
    )
    async def picture(request: Request) -> Response:
        """Upright, 8 bits, at full size, as JPEG; for formats that browsers do not know."""
        upload = await one_photograph(request)
        done = await unless_gone(request, predictions.do(upload, Options(), "picture"))
        return Response(done.products["picture"], media_type="image/jpeg")

    return router
