"""How much a service takes on: sizes, counts and seconds, each refused beyond it and never queued without end."""

from dataclasses import dataclass, fields

from fundusseg.errors import ConfigurationError

MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one service.

    Attributes:
        queue: Requests with photographs in hand, those that run included; the next one gets 503.
        connections: Open connections; the next one gets 503.
        megabytes: Of one request's body.
        megapixels: Of one photograph, by its head, before a pixel is decoded.
        files: Photographs of one request.
        header_seconds: For a request's head.
        body_seconds: For a request's body.
        photograph_seconds: For one photograph's decoding and numbers, after which its worker is replaced.
        job_megabytes: Of all bodies and results of jobs together, which are held in memory.
        job_files: Photographs of one job.
        job_seconds: How long a finished job's result is kept.

    Raises:
        ConfigurationError: One of them is not above 0.
    """

    queue: int = 32
    connections: int = 256
    megabytes: float = 32.0
    megapixels: float = 64.0
    files: int = 16
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    photograph_seconds: float = 120.0
    job_megabytes: float = 512.0
    job_files: int = 500
    job_seconds: float = 900.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ConfigurationError(
                    f"{field.name} {getattr(self, field.name)}", "a number above 0", f"correct --{field.name}"
                )
