"""The options of every command that can run on a cluster: where it is, and what each job takes of a machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice

from jsonargparse import Namespace

from fundusseg.cli import Parser
from fundusseg.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Resources:
    """Where jobs run, and what each takes.

    Attributes:
        address: ``local`` starts Ray on this machine and ends it, ``auto`` takes the cluster that this machine belongs
            to, HOST:PORT the one whose head is there.
        cpus: Cores of each job.
        gpus: GPUs of each job; a share, such as 0.5, where several jobs fit on one.
        jobs: Most at a time; None for as many as there is room for.
    """

    address: str
    cpus: float = 1.0
    gpus: float = 0.0
    jobs: int | None = None


def add_cluster(parser: Parser, job: str) -> None:
    """Add ``--cluster`` and its resources.

    Args:
        parser: The command's.
        job: What a job is there, in words.
    """
    parser.add_argument(
        "--cluster",
        type=str | None,
        default=None,
        help="Ray: local, auto (the cluster this machine belongs to) or HOST:PORT [this process, without Ray].",
    )
    parser.add_argument("--cluster_cpus", type=float, default=1.0, help=f"Cores of {job} on the cluster.")
    parser.add_argument("--cluster_gpus", type=float, default=0.0, help=f"GPUs of {job}; a share of one, too.")
    parser.add_argument("--cluster_jobs", type=int | None, default=None, help="Most at a time [as many as fit].")


def take_resources(arguments: Sequence[str], job: str) -> tuple[Resources | None, list[str]]:
    """Take ``--cluster...`` out of a command line whose other options are a configuration, in which they have no place.

    Args:
        arguments: The command line.
        job: As `add_cluster` takes it.

    Returns:
        What it says, see `resources_of`; and the other arguments.
    """
    own, rest = [], []
    given = iter(arguments)
    for argument in given:
        if not argument.startswith("--cluster"):
            rest.append(argument)
        else:
            own += [argument] if "=" in argument else [argument, *islice(given, 1)]
    parser = Parser(prog="fundusseg")
    add_cluster(parser, job)
    return resources_of(parser.parse_args(own)), rest


def require_installed() -> None:
    """Refuse now what would fail when the work begins.

    Raises:
        ConfigurationError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise ConfigurationError(
            "--cluster without Ray", "the extra `cluster`", 'install it: pip install "fundusseg[cluster]"'
        )


def resources_of(given: Namespace) -> Resources | None:
    """What the command line says; None where it asks for no cluster.

    Raises:
        ConfigurationError: A resource is out of range or given without a cluster, or Ray is not installed.
    """
    named = {"cpus": given.cluster_cpus, "gpus": given.cluster_gpus, "jobs": given.cluster_jobs}
    defaults = Resources("")
    if given.cluster is None:
        for name, value in named.items():
            if value != getattr(defaults, name):
                raise ConfigurationError(f"--cluster_{name} without --cluster", "both", "add --cluster auto")
        return None
    cpus, gpus, jobs = named.values()
    # Ray counts in ten-thousandths, and shares one GPU but not several.
    counted = all(value == round(value, 4) for value in (cpus, gpus)) and (gpus < 1 or gpus % 1 == 0)
    if not (cpus > 0 and gpus >= 0 and counted and (jobs is None or jobs > 0)):
        raise ConfigurationError(
            ", ".join(f"--cluster_{name} {value}" for name, value in named.items()),
            "more than 0 cores, a share of one GPU or whole ones, both of four decimals at most, 1 job or more",
            "correct them",
        )
    require_installed()
    return Resources(given.cluster, **named)
