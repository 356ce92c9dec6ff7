"""A running service of known answer: a bundle whose networks read disc and cup off the picture, and its process."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fundusseg.data.preparation import Preparation
from fundusseg.imaging.image_files import encode_png
from fundusseg.inference import model_bundle
from fundusseg.inference.conventions import Conventions
from fundusseg.models.checkpoint import KEY, Description
from tests.support.located import photograph

ROOT = Path(__file__).parents[2]

PHOTOGRAPH = encode_png(photograph())


def write_bundle(folder: Path, seconds: float = 0.0, readers: Conventions | None = None) -> str:
    """Localiser and segmenter of `tests.support.located` as one file; it is loaded with ``--trust tests``.

    Args:
        folder: Where to write it.
        seconds: That the segmenter takes for each pass.
        readers: By how large they draw the cup.
    """
    paths = []
    for channels, preparation in (
        ((1,), Preparation(regions=("disc",), image_size=128, roi="field_of_view")),
        ((1, 2), Preparation(image_size=192, roi="disc")),
    ):
        slow = seconds if len(channels) == 2 else 0.0
        network = {
            "class_path": "tests.support.located.Reader",
            "init_args": {"channels": list(channels), "seconds": slow},
        }
        thresholds = dict.fromkeys(preparation.regions, 0.5)
        description = Description("0.1", network, preparation, thresholds, {"made": "free"}, "", None)
        paths.append(folder / f"{len(channels)}.ckpt")
        torch.save({KEY: description.as_dict(), "state_dict": {}}, paths[-1])
    model_bundle.save(folder / "known.bundle", [paths[1]], paths[0], None, conventions=readers)
    return str(folder / "known.bundle")


@dataclass
class Answer:
    """Of one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """A running one."""

    process: subprocess.Popen[str]
    port: int

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, content: Any, **headers: str) -> Answer:
        """Bytes as they are, files by name as a form, anything else as JSON."""
        if isinstance(content, bytes):
            return self.ask("POST", path, content, headers)
        if isinstance(content, list):
            body, kind = form(content)
            return self.ask("POST", path, body, {"Content-Type": kind, **headers})
        return self.ask("POST", path, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})

    def figure(self, name: str) -> float:
        """One number of /metrics."""
        lines = self.get("/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    @property
    def workers(self) -> list[int]:
        """Process numbers of the workers."""
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [pid for pid in map(int, found) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def wait_until_alive(self) -> None:
        """Until it answers, ready or not."""
        self.wait_until_ready(path="/livez")

    def wait_until_ready(self, seconds: float = 120, path: str = "/readyz") -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended with {self.process.returncode}")
            try:
                if self.get(path).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError("the service did not get ready")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def form(files: list[tuple[str, bytes]], field: str = "photographs") -> tuple[bytes, str]:
    """A body of multipart/form-data, and its type."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@contextmanager
def service(checkpoint: str, *arguments: str, wait: bool = True, **environment: str) -> Iterator[Service]:
    """Run the real command on a free port of this machine, and end it.

    What it says goes to the console of the tests; its threads are few.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fundusseg.serve", "--checkpoint", checkpoint, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--trust", "tests", *(arguments or ())],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if environment.get("KEEP_ERRORS") else None,
        text=True,
    )
    running = Service(process, port)
    try:
        if wait:
            running.wait_until_ready()
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
