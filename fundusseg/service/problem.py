"""What is wrong with a request, as RFC 9457 has it (application/problem+json), with our one sentence as its detail."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fundusseg.errors import FundusSegError

MEDIA_TYPE = "application/problem+json"

RETRY_SECONDS = 2
"""What a client is told to wait after 503: some photographs are done by then."""

EXPECTED_CONTINUE = (b"expect", b"100-continue")

DISCARDED = 64 * 2**20
"""Bytes of a refused request's body that are read and thrown away, so that the answer is not lost in a reset."""


class Refusal(FundusSegError):
    """A request that is not done, with its HTTP status.

    Args:
        status: 4xx, or 503.
        got: As `FundusSegError`.
        expected: As `FundusSegError`.
        do: As `FundusSegError`.
        headers: Of the answer.
    """

    def __init__(self, status: int, got: str, expected: str, do: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(got, expected, do)
        self.status, self.headers = status, dict(headers or {})

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        """Pickle by its parts, as it comes from a worker process."""
        return type(self), (self.status, self.got, self.expected, self.do, self.headers)


def busy(got: str, do: str = "send it again") -> Refusal:
    """503 with Retry-After."""
    return Refusal(503, got, "a service with room", do, {"Retry-After": str(RETRY_SECONDS)})


def problem(status: int, detail: str) -> dict[str, Any]:
    """The members of a problem."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def problem_of(error: BaseException) -> dict[str, Any]:
    """The problem of a refusal, of a photograph that cannot be used (422), or of what nobody foresaw (500)."""
    if isinstance(error, Refusal):
        return problem(error.status, str(error))
    if isinstance(error, FundusSegError):
        return problem(422, " ".join(str(error).split()))
    return problem(500, "got a request that the service stumbled over; expected none such; report it.")


def response_of(error: BaseException) -> Response:
    """The answer that says so."""
    content = problem_of(error)
    headers = error.headers if isinstance(error, Refusal) else {}
    return Response(json.dumps(content), content["status"], headers, MEDIA_TYPE)


async def refuse(error: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, before a request's body is read, in such a way that the client gets to see the answer.

    A server that closes while the client is still sending resets the connection, and the client may lose the answer:
    so the body is thrown away behind it, up to `DISCARDED`.
    """
    response = response_of(error)
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    # Who waits for a word before sending sends nothing now.
    left, more = DISCARDED, EXPECTED_CONTINUE not in scope["headers"]
    while more and left > 0:
        message = await receive()
        left -= len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)
    await send({"type": "http.response.body"})
