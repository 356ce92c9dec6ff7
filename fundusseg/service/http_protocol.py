"""HTTP/1.1 as uvicorn speaks it, with what it lacks: a time-out for a request's head, and a cap that answers."""

import json
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from fundusseg.service.early_refusal import EarlyRefusal
from fundusseg.service.limits import Limits
from fundusseg.service.problem import DISCARDED, MEDIA_TYPE, RETRY_SECONDS, Refusal, problem, refuse

_ABORTED = 2
"""Times the cap of connections from which on they are cut without an answer."""


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": str(RETRY_SECONDS), "Connection": "close"}
    await refuse(
        Refusal(503, "too many connections", "a service with room", "send it again", headers), scope, receive, send
    )


class Protocol(H11Protocol):
    """One connection; `protocol` makes the class of one server.

    Attributes:
        limits: Of the server.
        early: Refuses the first request of a connection by its first bytes; None where the application alone does.
        head_timer: Runs while a request's head is on its way, or what follows a refused one.
        fresh: Whether nothing has come yet.
        discarded: Bytes that came after an early refusal; None where there was none.
    """

    limits: Limits
    early: EarlyRefusal | None
    head_timer: Any = None
    fresh: bool = True
    discarded: int | None = None

    def connection_made(self, transport: Any) -> None:
        """Count it, and let the clock run."""
        super().connection_made(transport)
        count = len(self.connections)
        if count > _ABORTED * self.limits.connections:
            transport.abort()
            return
        if count > self.limits.connections:
            self.app = _full
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse at once, or hand on."""
        if self.discarded is not None:
            self.discarded += len(data)
            if self.discarded > DISCARDED:
                self.transport.abort()
        elif answer := self._refused(data):
            # The rest is thrown away as it comes: closing now would reset the connection, and with it the answer.
            self.discarded = 0
            self.transport.write(answer)
            self.transport.write_eof()
        else:
            super().data_received(data)
            self._watch_head()

    def _refused(self, data: bytes) -> bytes | None:
        fresh, self.fresh = self.fresh, False
        return self.early(data) if fresh and self.early is not None else None

    def _watch_head(self) -> None:
        """Let the clock run while a request's head is on its way; what trickles in does not set it back."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self.head_timer is None and not self.transport.is_closing():
            self.head_timer = self.loop.call_later(self.limits.header_seconds, self._late)

    def _unwatch(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _late(self) -> None:
        self.head_timer = None
        if self.discarded is not None:
            self.transport.abort()
        elif not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            seconds = f"{self.limits.header_seconds:g} seconds"
            self._answer(408, f"got a request that took longer than {seconds}; expected a quicker one; send it again.")

    def send_400_response(self, msg: str) -> None:
        """In our one sentence."""
        self._answer(400, "got a request that is no HTTP; expected HTTP/1.1; send one.")

    def _answer(self, status: int, detail: str) -> None:
        """Answer without an application, and close."""
        body = json.dumps(problem(status, detail)).encode()
        headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def protocol(limits: Limits, early: EarlyRefusal | None = None) -> type[Protocol]:
    """The protocol of one server."""

    class Bounded(Protocol):
        """Of one server."""

    Bounded.limits, Bounded.early = limits, early
    return Bounded
