"""What every answer carries: which bundle speaks, and what a browser may not do with it."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fundusseg import __version__

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_FIXED = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Fundusseg-Version": __version__,
}


def mark(headers: MutableHeaders, facts: Mapping[str, Any]) -> None:
    """Add them to one answer's own; `facts` are of the bundle, empty until they are known."""
    headers.update(_FIXED)
    headers["X-Fundusseg-Bundle"] = str(facts.get("checkpoint", ""))
    headers.setdefault("Cache-Control", "no-store")


class ResponseHeaders:
    """ASGI middleware, the outermost: headers on every answer, and word of its status to the metrics.

    Args:
        app: What answers.
        facts: Of the bundle, once they are known.
        answered: Told route and status of each answer.
    """

    def __init__(
        self, app: ASGIApp, facts: Callable[[], dict[str, Any]], answered: Callable[[Scope, int], None]
    ) -> None:
        self.app, self.facts, self.answered = app, facts, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and mark the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                mark(headers, self.facts())
                message = {**message, "headers": headers.raw}
                self.answered(scope, message["status"])
            await send(message)

        await self.app(scope, receive, marked)
