"""`serve` on a cluster: the same application in replicas of Ray Serve, behind the one HTTP proxy of its head.

A replica reads, checks and answers, and has one worker process for the photographs, as a service of one machine has.
Ray Serve starts a replica anew where it is lost; a request that it had in hand gets 500.
"""

import asyncio
import logging
from dataclasses import replace
from importlib import import_module
from typing import Any

from fundusseg.cli import console
from fundusseg.cluster.connection import connected
from fundusseg.cluster.resources import Resources
from fundusseg.errors import FundusSegError
from fundusseg.service.access import Access
from fundusseg.service.app import create_app
from fundusseg.service.limits import Limits
from fundusseg.service.server import listen
from fundusseg.service.worker import WorkerSettings
from fundusseg.service.worker_pool import WorkerPool
from fundusseg.studies.job_runner import told_to_stop

NAME = "fundusseg"

AT_ONCE = 4
"""Requests that a replica reads and answers while its worker has one photograph in hand; others wait in the proxy."""

_LOOK = 0.1


class Replica:
    """One of the processes that answer.

    Args:
        worker: Its worker process.
        limits: What it takes on.
        access: Who may ask.
        alone: Whether Ray was started for this service, on this machine.
    """

    def __init__(self, worker: WorkerSettings, limits: Limits, access: Access, alone: bool) -> None:
        if alone:
            _keep_to_loopback()
        self._pool = WorkerPool(worker, 1, limits.photograph_seconds)
        self._application = create_app(self._pool, limits, access, jobs=False)

    def __serve_build_asgi_app__(self) -> Any:
        """The application that Ray Serve runs."""
        return self._application

    def reconfigure(self, settings: dict[str, bool]) -> None:
        """Take nothing more from here on, where the service ends."""
        self._application.state.load.draining = settings["draining"]

    async def loaded(self) -> FundusSegError | None:
        """Wait for the networks; why they cannot be loaded, if so."""
        while not (self._pool.ready or self._pool.failure):
            await asyncio.sleep(_LOOK)
        return self._pool.failure


def serve_on_cluster(worker: WorkerSettings, limits: Limits, access: Access, port: int, resources: Resources) -> None:
    """Serve until told to stop; what is accepted is answered before the end.

    Args:
        worker: The worker process of each replica; its checkpoint lies where all nodes see it.
        limits: What the service takes on; ``queue`` bounds what waits for a replica.
        access: Who may ask, and the address to listen on.
        port: To listen on; 0 takes a free one.
        resources: Where it runs, what each replica takes, and how many there are.

    Raises:
        ConfigurationError: The cluster or the address cannot be had.
        FundusSegError: The checkpoint cannot be loaded.
    """
    with listen(access.host, port) as free:
        port = free.getsockname()[1]
    patience = limits.body_seconds + 2 * limits.photograph_seconds  # a photograph is tried twice
    with connected(resources) as count, told_to_stop() as told:
        serve = _started(access.host, port, patience)
        replicas = serve.deployment(
            serve.ingress()(Replica),
            name=NAME,
            num_replicas=count,
            max_ongoing_requests=AT_ONCE,
            max_queued_requests=limits.queue,
            graceful_shutdown_timeout_s=patience,
            ray_actor_options={"num_cpus": resources.cpus, "num_gpus": resources.gpus},
        )
        worker = replace(worker, threads=max(1, int(resources.cpus)))
        made_of = (worker, limits, access, resources.address == "local")

        def run(draining: bool) -> Any:
            settings = {"draining": draining}
            return serve.run(replicas.options(user_config=settings).bind(*made_of), name=NAME)

        try:
            if failure := run(draining=False).loaded.remote().result():
                raise failure
            host = f"[{access.host}]" if ":" in access.host else access.host
            console.print(f"http://{host}:{port}", soft_wrap=True, markup=False)
            told.wait()
            run(draining=True)  # in place: the replicas live on
        finally:
            serve.delete(NAME)  # waits for what they have in hand
            if not serve.status().applications:  # none of somebody else's
                serve.shutdown()


def _keep_to_loopback() -> None:
    """Let this replica's port for calls between replicas be this machine's own; Ray opens it on every interface."""
    replica: Any = import_module("ray.serve._private.replica")
    opened = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, address: opened(server, address.replace("[::]", "127.0.0.1"))


def _started(host: str, port: int, patience: float) -> Any:
    """Ray Serve with its proxy at an address, which says nothing of requests: paths and names may be patients'."""
    from ray import serve
    from ray.serve.schema import LoggingConfig

    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # of this process
    http = {"host": host, "port": port, "request_timeout_s": patience}
    quiet = LoggingConfig(log_level="ERROR", enable_access_log=False)
    serve.start(proxy_location="HeadOnly", http_options=http, logging_config=quiet)
    return serve
