"""Many photographs at once: accepted as a job, done beside other requests, fetched as a ZIP. In memory, on no disk."""

import asyncio
import io
import secrets
import time
import zipfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fundusseg.errors import FundusSegError
from fundusseg.inference.output_files import measures_csv
from fundusseg.reports.files import plain
from fundusseg.service.admission import Load
from fundusseg.service.limits import MEGABYTE, Limits
from fundusseg.service.options import Options
from fundusseg.service.prediction_routes import Predictions
from fundusseg.service.problem import Refusal, busy
from fundusseg.service.uploads import Upload
from fundusseg.service.worker import Product

FILES: dict[Product, str] = {
    "labels": "labels.png",
    "contours": "contours.json",
    "overlay": "overlay.jpg",
    "chart": "chart.png",
}
"""What each photograph's files are called, behind its name, as `predict` calls them."""

_BEAT = 15.0
"""Seconds without progress after which a listener hears that the service is there."""


class Job:
    """Photographs that are done one after the other.

    Args:
        uploads: The photographs.
        options: How.
        charts: A chart of every eye.
    """

    def __init__(self, uploads: list[Upload], options: Options, charts: bool) -> None:
        self.id, self.options = secrets.token_urlsafe(16), options
        self.products: tuple[Product, ...] = ("labels", "contours", "overlay", *(("chart",) if charts else ()))
        self.waiting = list(reversed(list(zip(result_names(uploads), uploads, strict=True))))
        self.total, self.done, self.failed = len(uploads), 0, 0
        self.state, self.fetched, self.ended = "running", False, 0.0
        self.rows: list[dict[str, Any]] = []
        self.result = io.BytesIO()
        self.progressed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(len(upload.content) for _, upload in self.waiting) + self.result.getbuffer().nbytes

    @property
    def progress(self) -> dict[str, Any]:
        """How far it is."""
        return {name: getattr(self, name) for name in ("id", "total", "done", "failed", "state")}

    async def run(self, predictions: Predictions) -> None:
        """Do it all; a photograph that cannot be done is told in the table and stops no other."""
        with zipfile.ZipFile(self.result, "w") as archive:
            while self.waiting:
                await self._one(predictions, archive, *self.waiting[-1])
                self.waiting.pop()
                self._tell()
            archive.writestr("measures.csv", measures_csv(self.rows))
        self._end("done")

    async def _one(self, predictions: Predictions, archive: zipfile.ZipFile, name: str, upload: Upload) -> None:
        try:
            done = await predictions.do(upload, self.options, *self.products)
        except FundusSegError as error:
            self.failed += 1
            self.rows.append({"file": upload.name, "error": " ".join(str(error).split())})
            return
        for product in self.products:
            archive.writestr(f"{name}_{FILES[product]}", done.products[product])
        self.done += 1
        self.rows.append(plain(done.row))

    def cancel(self) -> None:
        """Let go of everything."""
        if self.task is not None:
            self.task.cancel()
        self.waiting.clear()
        self.result = io.BytesIO()
        self._end("cancelled")

    def _end(self, state: str) -> None:
        self.state, self.ended = state, time.monotonic()
        self._tell()

    def _tell(self) -> None:
        self.progressed.set()
        self.progressed = asyncio.Event()

    async def changes(self) -> AsyncIterator[dict[str, Any] | None]:
        """How far it is, each time that it goes on, until it ends; None where nothing has happened for a while."""
        while True:
            progressed = self.progressed
            yield self.progress
            if self.state != "running":
                return
            while not progressed.is_set():
                try:
                    await asyncio.wait_for(progressed.wait(), _BEAT)
                except TimeoutError:
                    yield None


class Jobs:
    """The jobs of one application.

    Args:
        predictions: That do them.
        limits: How much they may hold.
        load: Told of jobs that are still to be fetched.
    """

    def __init__(self, predictions: Predictions, limits: Limits, load: Load) -> None:
        self.predictions, self.limits, self.load = predictions, limits, load
        self._jobs: dict[str, Job] = {}

    def start(self, uploads: list[Upload], options: Options, charts: bool) -> Job:
        """Accept photographs.

        Raises:
            Refusal: Jobs hold as much as they may (503).
        """
        self._expire()
        job = Job(uploads, options, charts)
        if sum(one.size for one in (*self._jobs.values(), job)) > self.limits.job_megabytes * MEGABYTE:
            raise busy("jobs that fill the memory they may use", "fetch or delete finished ones, or send it later")
        self._jobs[job.id] = job
        job.task = asyncio.create_task(job.run(self.predictions))
        self._count()
        job.task.add_done_callback(lambda _: self._count())
        return job

    def get(self, identity: str) -> Job:
        """A job by its id.

        Raises:
            Refusal: There is none, or it was kept long enough (404).
        """
        self._expire()
        if identity not in self._jobs:
            raise Refusal(404, "a job that is not there", "the id of a job that is kept", "send the photographs again")
        return self._jobs[identity]

    def fetch(self, identity: str) -> bytes:
        """A finished job's ZIP.

        Raises:
            Refusal: It is not there (404), or still runs (409).
        """
        job = self.get(identity)
        if job.state != "done":
            raise Refusal(409, f"a job that is {job.state}", "one that is done", "follow its events")
        job.fetched = True
        self._count()
        return job.result.getvalue()

    def delete(self, identity: str) -> None:
        """Cancel a job, or forget its result."""
        self.get(identity).cancel()
        del self._jobs[identity]
        self._count()

    def close(self) -> None:
        """Let go of all of them."""
        for identity in list(self._jobs):
            self.delete(identity)

    def _count(self) -> None:
        self.load.jobs = sum(not job.fetched for job in self._jobs.values())

    def _expire(self) -> None:
        oldest = time.monotonic() - self.limits.job_seconds
        for identity, job in list(self._jobs.items()):
            if job.state != "running" and job.ended < oldest:
                del self._jobs[identity]
        self._count()


def result_names(uploads: list[Upload]) -> list[str]:
    """Names of results: without ending where that is one photograph's alone, numbered where two are still alike.

    >>> result_names([Upload(b"", name) for name in ("a.png", "b.png", "b.jpg", "b.jpg", "", "..")])
    ['a', 'b.png', 'b.jpg', 'b.jpg-2', 'photograph', 'photograph-2']
    """
    plain_names = [Path(upload.name).name.strip(". ") or "photograph" for upload in uploads]
    stems = Counter(Path(name).stem for name in plain_names)
    taken: set[str] = set()
    names = []
    for plain_name in plain_names:
        stem = Path(plain_name).stem
        wanted = stem if stems[stem] == 1 else plain_name
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name)
        names.append(name)
    return names
