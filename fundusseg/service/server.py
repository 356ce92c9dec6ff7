"""The HTTP server: uvicorn with what it lacks: a time-out for a request's head, a cap that answers, exit code 0.

On SIGTERM the service is not ready at once and takes nothing more; everything accepted is answered; then it ends.
"""

import json
import signal
import socket
import time
from types import FrameType
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from fundusseg.errors import ConfigurationError
from fundusseg.service.admission import Load
from fundusseg.service.limits import Limits
from fundusseg.service.problem import MEDIA_TYPE, RETRY_SECONDS, Refusal, problem, refuse
from fundusseg.service.worker_pool import WorkerPool

_ABORTED = 2
"""Times the cap of connections from which on they are cut without an answer."""

_LEAVING = 0.5
"""Seconds from SIGTERM until no connection is taken any more: those on their way are told 503 until then."""

_FETCHING = 60.0
"""Seconds from SIGTERM for jobs to be done and fetched."""

_HEAD = 64 * 1024
"""Bytes of a request's head."""

_BACKLOG = 512
"""Connections that the system holds until they are taken."""

_KEPT_ALIVE = 30
"""Seconds that a connection may be idle between two requests."""


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": str(RETRY_SECONDS), "Connection": "close"}
    await refuse(
        Refusal(503, "too many connections", "a service with room", "send it again", headers), scope, receive, send
    )


def protocol(limits: Limits) -> type[H11Protocol]:
    """The HTTP protocol of one server, under its limits."""

    class Protocol(H11Protocol):
        head_timer: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            count = len(self.connections)
            if count > _ABORTED * limits.connections:
                transport.abort()
                return
            if count > limits.connections:
                self.app = _full
            self._watch_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._unwatch()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch_head()

        def _watch_head(self) -> None:
            """Let the clock run while a request's head is on its way; what trickles in does not set it back."""
            if self.cycle is not None and not self.cycle.response_complete:
                self._unwatch()
            elif self.head_timer is None and not self.transport.is_closing():
                self.head_timer = self.loop.call_later(limits.header_seconds, self._late)

        def _unwatch(self) -> None:
            if self.head_timer is not None:
                self.head_timer.cancel()
                self.head_timer = None

        def _late(self) -> None:
            self.head_timer = None
            if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
                seconds = f"{limits.header_seconds:g} seconds"
                self._answer(
                    408, f"got a request that took longer than {seconds}; expected a quicker one; send it again."
                )

        def send_400_response(self, msg: str) -> None:
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

    return Protocol


class Server(uvicorn.Server):
    """One process's server.

    Args:
        config: Of uvicorn.
        load: Which is told of the end.
        pool: Whose workers may never come up.
    """

    def __init__(self, config: uvicorn.Config, load: Load, pool: WorkerPool) -> None:
        super().__init__(config)
        self.load, self.pool = load, pool

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take nothing more; a second Ctrl-C ends at once. The signal is not raised anew: the exit code is 0."""
        if self.load.draining and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True
        elif not self.load.draining:
            self.load.draining = True
            self.leaves = time.monotonic() + _LEAVING

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn's, ten times a second; also ends where no worker has ever come up."""
        hopeless = self.pool.failure is not None and not self.pool.facts
        # Who waits for a job fetches its result over a connection of its own.
        stays = _FETCHING if self.load.jobs else 0.0
        left = self.load.draining and time.monotonic() > self.leaves + stays
        return await super().on_tick(counter) or hopeless or left


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, so that a port in use is told before anything is loaded.

    Raises:
        ConfigurationError: The address cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"an address that cannot be had: {host} port {port} ({error})",
            "a free one",
            "give another --port or --host",
        ) from error


def make_server(app: ASGIApp, limits: Limits, load: Load, pool: WorkerPool) -> Server:
    """A server that logs no request: paths and names in them may be patients'."""
    config = uvicorn.Config(
        app, http=protocol(limits), ws="none", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=_KEPT_ALIVE, h11_max_incomplete_event_size=_HEAD, backlog=_BACKLOG,
    )  # fmt: skip
    return Server(config, load, pool)
