"""Bounds before a request is read: how many are in hand, how large its body is, how slowly it may come."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fundusseg.service.limits import MEGABYTE, Limits
from fundusseg.service.problem import Refusal, busy, refuse

PHOTOGRAPHS = ("/v1/predictions", "/v1/pictures", "/v1/store/photographs")
"""Paths whose POST asks for a worker: counted against the bound."""

JOBS = "/v1/jobs"

KEPT, PICTURE = "/v1/store/photographs/", "/picture"
"""Between the two a kept photograph's id: its picture is encoded by a worker."""

_PLAIN = 8 * MEGABYTE
"""Of bodies without photographs: outlines of many points."""


@dataclass(slots=True)
class Load:
    """How much is in hand, and whether more is taken; one for each application.

    Attributes:
        queue: See `limits.Limits`.
        admitted: Requests with photographs, from before their body is read to the end of their answer.
        jobs: Jobs whose result nobody has fetched yet.
        draining: The service ends: what is in hand is answered, no more is taken.
    """

    queue: int
    admitted: int = 0
    jobs: int = 0
    draining: bool = False

    def refusal(self, counted: bool) -> Refusal | None:
        """Why a request is not taken on, if it is not; `counted` by `asks_for_a_worker`."""
        if self.draining:
            return busy("a service that ends", "send it to another one, or again later")
        if counted and self.admitted >= self.queue:
            return busy(f"{self.admitted} requests in hand")
        return None


class Admission:
    """ASGI middleware: reads a request's body within bounds, and hands it on whole.

    503 where too much is in hand, 413 where the body is too large, 408 where it comes too slowly; in this order, and
    the first before a byte of the body is read.
    """

    def __init__(self, app: ASGIApp, limits: Limits, load: Load) -> None:
        self.app, self.limits, self.load = app, limits, load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        counted = asks_for_a_worker(scope["method"], scope["path"])
        if scope["method"] in ("GET", "HEAD", "OPTIONS") and not counted:
            await self.app(scope, receive, send)
            return
        if error := self.load.refusal(counted):
            await refuse(error, scope, receive, send)
            return
        self.load.admitted += counted
        try:
            await self._admitted(scope, receive, send)
        finally:
            self.load.admitted -= counted

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read(scope, receive)
        except Refusal as error:
            await refuse(error, scope, receive, send)
            return
        if body is None:  # the client left
            return
        rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        del body

        async def whole() -> Message:
            return rest.pop() if rest else await receive()

        await self.app(scope, whole, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """All of the body.

        Raises:
            Refusal: It is too large, too slow, or packed.
        """
        most = self._most(scope["path"])
        headers = dict(scope["headers"])
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refusal(415, "a packed body", "one as it is", "send it without Content-Encoding")
        if int(headers.get(b"content-length", b"0")) > most:  # h11 has made sure that it is a number
            raise _too_large(most)
        parts, size, more = [], 0, True
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise _too_large(most)
                    more = message.get("more_body", False)
        except TimeoutError:
            seconds = self.limits.body_seconds
            raise Refusal(
                408,
                f"a body that took longer than {seconds:g} seconds",
                "a quicker one",
                "send it again",
                {"Connection": "close"},
            ) from None
        return b"".join(parts)

    def _most(self, path: str) -> int:
        if path == JOBS:
            return int(self.limits.job_megabytes * MEGABYTE)
        return int(self.limits.megabytes * MEGABYTE) if path in PHOTOGRAPHS else _PLAIN


def asks_for_a_worker(method: str, path: str) -> bool:
    """Whether a request counts against the bound."""
    if method == "POST":
        return path in (*PHOTOGRAPHS, JOBS)
    return method == "GET" and path.startswith(KEPT) and path.endswith(PICTURE)


def _too_large(most: int) -> Refusal:
    return Refusal(
        413,
        "a body that is too large",
        f"up to {most / MEGABYTE:g} megabytes",
        "send fewer or smaller files, or start the service with a larger --megabytes",
    )
