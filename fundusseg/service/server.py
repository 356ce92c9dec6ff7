"""The HTTP server: uvicorn with the protocol of `http_protocol`, an end that loses nothing, and exit code 0.

On SIGTERM the service is not ready at once and takes nothing more; everything accepted is answered; then it ends.
"""

import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from fundusseg.errors import ConfigurationError
from fundusseg.service.admission import Load
from fundusseg.service.http_protocol import protocol
from fundusseg.service.limits import Limits
from fundusseg.service.worker_pool import WorkerPool

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


def make_server(app: FastAPI, limits: Limits, pool: WorkerPool) -> Server:
    """A server that logs no request: paths and names in them may be patients'."""
    config = uvicorn.Config(
        app, http=protocol(limits, app.state.early), ws="none", log_config=None, access_log=False, server_header=False,
        timeout_keep_alive=_KEPT_ALIVE, h11_max_incomplete_event_size=_HEAD, backlog=_BACKLOG,
        loop="asyncio",  # the one that is tested; "auto" takes another where some other package has brought uvloop
    )  # fmt: skip
    return Server(config, app.state.load, pool)
