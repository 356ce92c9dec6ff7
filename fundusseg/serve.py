"""Segment photographs over HTTP: the same numbers as `predict`, from a browser or a script.

    python -m fundusseg.serve
    curl -F photographs=@eye.jpg http://127.0.0.1:8000/v1/predictions
    FUNDUSSEG_TOKEN=... python -m fundusseg.serve --host 0.0.0.0

The page for readers is at /, the API's documentation at /docs. Only this machine reaches the service, unless --host
names another address; then every request needs the token (Authorization: Bearer TOKEN) of --token_file or of the
environment variable FUNDUSSEG_TOKEN. Encryption is a proxy's: put nginx or Caddy before it.

More requests in hand than --queue are told to come again (503 with Retry-After). SIGTERM and Ctrl-C end the service
once everything accepted is answered. Where --checkpoint is a link that is moved to another bundle, as improve's
current.bundle, the workers take that one up, and no request is lost. Nothing is written to a disk unless --store names
a folder, which then keeps photographs, predictions and gradings in one file; no file's name is logged.

On a Ray cluster (--cluster, the extra `cluster`) the same API is answered by --cluster_jobs replicas [as many as fit]
behind the proxy of its head, each with a worker of --cluster_cpus cores or --cluster_gpus GPUs; without jobs and store,
which are one machine's. --queue then bounds what waits for a replica.
"""

import logging
import os
from dataclasses import fields
from pathlib import Path

from jsonargparse import Namespace

from fundusseg.cli import Parser, add_trust, console, parse_trusting, run
from fundusseg.cluster.resources import add_cluster, resources_of
from fundusseg.errors import ConfigurationError
from fundusseg.inference.pretrained import pretrained_bundle

PACKAGES = ("fastapi", "uvicorn", "multipart", "prometheus_client")
"""What the extra `serve` brings."""


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg serve", description=__doc__)
    parser.add_argument(
        "--checkpoint", default=None, type=str | None, help="What fit or bundle wrote [the package's own]."
    )
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, tpu, ...")
    parser.add_argument("--host", default="127.0.0.1", type=str, help="Address to listen on.")
    parser.add_argument("--port", default=8000, type=int, help="Port; 0 takes a free one.")
    parser.add_argument("--workers", default=1, type=int, help="Processes that compute, a photograph at a time each.")
    parser.add_argument("--queue", default=32, type=int, help="Requests in hand, beyond which others get 503.")
    parser.add_argument("--connections", default=256, type=int, help="Open connections, beyond which others get 503.")
    parser.add_argument("--megabytes", default=32.0, type=float, help="Of a request's body.")
    parser.add_argument("--megapixels", default=64.0, type=float, help="Of a photograph.")
    parser.add_argument("--job_megabytes", default=512.0, type=float, help="Of all jobs, photographs and results.")
    parser.add_argument("--header_seconds", default=10.0, type=float, help="For a request's head, then 408.")
    parser.add_argument("--body_seconds", default=30.0, type=float, help="For a request's body, then 408.")
    parser.add_argument("--photograph_seconds", default=120.0, type=float, help="For one photograph, then 503.")
    parser.add_argument("--token_file", default=None, type=str | None, help="File that holds the token.")
    parser.add_argument("--store", default=None, type=str | None, help="Folder that keeps photographs and gradings.")
    parser.add_argument("--cors", default=[], nargs="+", type=str, help="Origins of other sites' pages that may ask.")
    add_cluster(parser, "each replica")
    add_trust(parser)
    return parser


OF_ONE_MACHINE = ("workers", "connections", "header_seconds", "job_megabytes", "store")
"""Options without a meaning on a cluster: of our own HTTP server, or of what one machine keeps."""


def main(arguments: list[str]) -> int:
    """Serve until told to stop; returns the exit code."""
    settings = parse_trusting(parser(), arguments)
    _check_packages()
    resources = resources_of(settings)
    if settings.workers < 1:
        raise ConfigurationError(f"{settings.workers} workers", "1 or more", "correct --workers")
    checkpoint = settings.checkpoint or str(pretrained_bundle())
    from fundusseg.service.access import Access, read_token
    from fundusseg.service.app import create_app
    from fundusseg.service.limits import Limits
    from fundusseg.service.server import listen, make_server
    from fundusseg.service.store import Store
    from fundusseg.service.worker import WorkerSettings
    from fundusseg.service.worker_pool import WorkerPool

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # who sends what is no HTTP would fill the log
    limits = Limits(**{field.name: settings[field.name] for field in fields(Limits) if field.name in settings})
    access = Access(settings.host, read_token(settings.token_file), tuple(settings.cors))
    # One worker computes with as many threads as `predict` does: their number decides the last digits.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = 0 if settings.workers == 1 else max(1, cores // settings.workers)
    worker = WorkerSettings(checkpoint, settings.device, threads, settings.megapixels, tuple(settings.trust))
    if resources is not None:
        _refuse_of_one_machine(settings)
        from fundusseg.cluster.serving import serve_on_cluster

        serve_on_cluster(worker, limits, access, settings.port, resources)
        return 0
    pool = WorkerPool(worker, settings.workers, limits.photograph_seconds)
    store = None if settings.store is None else Store(Path(settings.store))
    app = create_app(pool, limits, access, store)
    with listen(settings.host, settings.port) as listener:
        host, port = listener.getsockname()[:2]
        console.print(f"http://{f'[{host}]' if ':' in host else host}:{port}", soft_wrap=True, markup=False)
        make_server(app, limits, pool).run([listener])
    if pool.failure is not None and not pool.facts:
        raise pool.failure
    return 0


def _refuse_of_one_machine(settings: Namespace) -> None:
    for name in OF_ONE_MACHINE:
        if settings[name] != parser().get_default(name):
            raise ConfigurationError(
                f"--{name} with --cluster", "one of them: it is of a service of one machine", f"leave --{name} out"
            )


def _check_packages() -> None:
    """Refuse where the extra is not installed."""
    from importlib.util import find_spec

    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise ConfigurationError(
            f"no package {', '.join(missing)}", "what serving needs", "install it by: pip install 'fundusseg[serve]'"
        )


if __name__ == "__main__":
    run(main)
