"""How much the service answers, how fast, in how much memory; how fast it refuses; and whether its memory stays flat.

    python tools/benchmark_serve.py PHOTOGRAPHS
    python tools/benchmark_serve.py PHOTOGRAPHS --clients 128 --seconds 60 --litserve --output load.jsonl
    python tools/benchmark_serve.py PHOTOGRAPHS --soak 30

On this machine's loopback, with the real command and the shipped bundle. Each client sends one photograph after the
other as a form, over a connection of its own each time as curl does, and sends the next one at once, whether the last
was answered or refused: that is harder than what Retry-After asks for, which --patient clients keep to. With --litserve
the same predictor stands behind LitServe (see tools/litserve_peer.py), and its steps alternate with ours. Clients and
servers share the processor, so the figures are of the machine, not of the server alone.

Memory is the proportional set size (PSS, Linux) of a server's processes together, the most that was seen.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fundusseg.inference.photograph_list import find_photographs
from fundusseg.inference.pretrained import pretrained_bundle

HERE = Path(__file__).parent

PATHS = {"fundusseg": ("/v1/predictions", "/readyz"), "litserve": ("/predict", "/health")}
"""Where photographs go, and what says that the server is ready."""

SOAKED = 10.0
"""Seconds between two looks at the memory of a soak."""

WARM = 0.2
"""Share of a soak that fills caches and is left out."""


@dataclass
class Step:
    """What one number of clients saw.

    Attributes:
        answered: Seconds of each answer with numbers.
        refused: Seconds of each 503.
        others: Other statuses, and how connections broke, with how many.
        late: How many came after the time was over; no part of a rate.
    """

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    late: Counter[int | str] = field(default_factory=Counter)

    def add(self, status: int | str, seconds: float, late: bool) -> None:
        """Sort in one answer."""
        self.late[status] += late
        if status in (200, 503):
            (self.answered if status == 200 else self.refused).append(seconds)
        else:
            self.others[str(status)] += 1


@dataclass
class Peer:
    """A running server.

    Attributes:
        name: Of `PATHS`.
        process: That was started; others may be its children.
        port: On loopback.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    port: int

    def pids(self) -> list[int]:
        """Of all its processes."""
        found, rest = [], [self.process.pid]
        while rest:
            pid = rest.pop()
            with contextlib.suppress(OSError):
                found.append(pid)
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    rest += [int(child) for child in children.read_text().split()]
        return found

    def memory(self) -> float:
        """Megabytes (2^20 bytes) of all its processes, what they share counted once."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return total / 1024

    def request(self, content: bytes) -> bytes:
        """Head and body of one photograph as a form."""
        boundary = uuid.uuid4().hex
        part = 'Content-Disposition: form-data; name="photographs"; filename="photograph"'
        body = f"--{boundary}\r\n{part}\r\n\r\n".encode() + content + f"\r\n--{boundary}--\r\n".encode()
        head = f"POST {PATHS[self.name][0]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        kind = f"Content-Type: multipart/form-data; boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n"
        return (head + kind).encode() + body


@contextlib.contextmanager
def running(name: str, checkpoint: str, options: Sequence[str]) -> Iterator[Peer]:
    """A server that is ready; it and whatever it leaves behind is ended."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    commands = {
        "fundusseg": ["-m", "fundusseg.serve", "--checkpoint", checkpoint, "--port", str(port), *options],
        "litserve": [str(HERE / "litserve_peer.py"), checkpoint, str(port)],
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(HERE.parent), os.environ.get("PYTHONPATH", "")))}
    process = subprocess.Popen([sys.executable, *commands[name]], env=environment, stdout=subprocess.DEVNULL)
    peer = Peer(name, process, port)
    try:
        asyncio.run(_ready(peer))
        yield peer
    finally:
        left = peer.pids()
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        for pid in left:  # of LitServe some outlive the one that was told to end
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


async def _ready(peer: Peer) -> None:
    request = f"GET {PATHS[peer.name][1]} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    while (await ask(peer.port, request))[0] != 200:
        if peer.process.poll() is not None:
            sys.exit(f"{peer.name} ended with {peer.process.returncode}")
        await asyncio.sleep(0.2)


async def ask(port: int, request: bytes) -> tuple[int | str, float]:
    """Status, or how the connection broke; and seconds to wait before the next one, as the answer says."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        content = b""
        try:
            await loop.sock_connect(connection, ("127.0.0.1", port))
            await loop.sock_sendall(connection, request)
            while more := await loop.sock_recv(connection, 2**18):
                content += more
        except OSError as error:
            if not content:
                return type(error).__name__, 0.0
    head = content.partition(b"\r\n\r\n")[0].lower()
    if not head:
        return "no answer", 0.0
    wait = head.partition(b"retry-after: ")[2].partition(b"\r\n")[0]
    return int(head.split(b" ", 2)[1]), float(wait or 0)


async def load(peer: Peer, requests: Sequence[bytes], clients: int, seconds: float, patient: bool) -> Step:
    """Clients that send one request after the other until the time is over."""
    step, end = Step(), time.monotonic() + seconds

    async def client(number: int) -> None:
        for request in itertools.islice(itertools.cycle(requests), number, None):
            begun = time.monotonic()
            if begun >= end:
                return
            status, wait = await ask(peer.port, request)
            now = time.monotonic()
            step.add(status, now - begun, late=now > end)
            await asyncio.sleep(wait if patient else 0)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return step


async def watched(peer: Peer, work: Any, every: float, seen: Callable[[float], None]) -> Any:
    """Wait for work, and tell of the memory meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        seen(await asyncio.to_thread(peer.memory))
        await asyncio.wait({task}, timeout=every)
    return task.result()


def figures(step: Step, seconds: float) -> dict[str, Any]:
    """Rates a second, and milliseconds."""
    found: dict[str, Any] = {}
    for name, status, times in (("answered", 200, step.answered), ("refused", 503, step.refused)):
        if times:
            p50, p99 = np.percentile(times, (50, 99)) * 1000
            found[name] = {
                "per_second": round((len(times) - step.late[status]) / seconds, 2),
                "p50_ms": round(p50, 1),
                "p99_ms": round(p99, 1),
            }
    return {**found, "others": step.others}


def measure(peer: Peer, contents: Sequence[bytes], clients: int, settings: argparse.Namespace) -> None:
    """One step of the load, printed and written."""
    requests = [peer.request(content) for content in contents]
    memory: list[float] = []
    work = load(peer, requests, clients, settings.seconds, settings.patient)
    step = asyncio.run(watched(peer, work, 2.0, memory.append))
    found = {"server": peer.name, "clients": clients, "seconds": settings.seconds, "patient": settings.patient}
    found |= figures(step, settings.seconds)
    found |= {"megabytes": round(max(memory)), "processes": len(peer.pids())}
    print(json.dumps(found), flush=True)
    if settings.output:
        with Path(settings.output).open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")


def soak(peer: Peer, contents: Sequence[bytes], settings: argparse.Namespace) -> None:
    """A few clients for long; says how far the memory of the last third is above that of the first, once warm."""
    memory: list[float] = []

    def seen(megabytes: float) -> None:
        memory.append(megabytes)
        print(f"{len(memory) * SOAKED:.0f} s: {megabytes:.0f} MB", flush=True)

    requests = [peer.request(content) for content in contents]
    work = load(peer, requests, 2, settings.soak * 60, settings.patient)
    step = asyncio.run(watched(peer, work, SOAKED, seen))
    warm = memory[int(WARM * len(memory)) :]
    third = max(1, len(warm) // 3)
    before, after = statistics.median(warm[:third]), statistics.median(warm[-third:])
    print(f"{len(step.answered)} answered, {len(step.refused)} refused, others {step.others}")
    print(f"median of the first third {before:.0f} MB, of the last {after:.0f} MB: {100 * (after / before - 1):+.1f} %")


def main() -> None:
    """Load steps, or a soak."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", nargs="+")
    parser.add_argument("--checkpoint", default=None, help="[the package's own]")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each step")
    parser.add_argument("--limit", type=int, default=20, help="photographs")
    parser.add_argument("--patient", action="store_true", help="wait as long as Retry-After says")
    parser.add_argument("--litserve", action="store_true", help="measure LitServe beside it")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="two clients, and the memory")
    parser.add_argument("--options", default="", help="more for the service, as in --options='--workers 2'")
    parser.add_argument("--output", default=None, help="file to add a line of JSON to, for each step")
    settings = parser.parse_args()
    found = find_photographs(settings.photographs, Path("nowhere")).photographs[: settings.limit]
    contents = [photograph.path.read_bytes() for photograph in found]
    checkpoint = settings.checkpoint or str(pretrained_bundle())
    options = settings.options.split()
    if settings.soak:
        with running("fundusseg", checkpoint, options) as peer:
            soak(peer, contents, settings)
        return
    # One server at a time: a second one, idle, would still take its share of the processor and of the memory.
    for clients, name in itertools.product(settings.clients, list(PATHS)[: 1 + settings.litserve]):
        with running(name, checkpoint, options) as peer:
            measure(peer, contents, clients, settings)


if __name__ == "__main__":
    main()
