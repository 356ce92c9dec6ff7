"""The service on Ray Serve: the API of one machine, and nobody who asks waits for a replica that was killed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest

from fundusseg import serve
from fundusseg.errors import ConfigurationError
from tests.cluster.conftest import below, words
from tests.support.service import PHOTOGRAPH, service, write_bundle

CLUSTER = ("--cluster=local", "--cluster_jobs=2", "--cluster_cpus=0.5")


def replicas(service):
    """Process numbers of the replicas below a service's process."""
    return [pid for pid in below(service.process.pid) if words(pid)[:1] and "ServeReplica:fundusseg" in words(pid)[0]]


def heard(service):
    """Addresses beside loopback on which a service's process, or what it started, listens."""
    said = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    own = [f"pid={pid}," for pid in (service.process.pid, *below(service.process.pid))]
    ours = [line.split()[3] for line in said if any(pid in line for pid in own)]
    assert ours
    return {address for address in ours if not address.startswith(("127.", "[::1]", "[::ffff:127."))}


class Load:
    """Clients that each ask one thing after the other; what came of it."""

    def __init__(self, service, clients, each):
        self.said = []
        self.threads = [threading.Thread(target=self._ask, args=(service, each)) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, service, each):
        for _ in range(each):
            try:
                self.said.append(service.post("/v1/predictions", [("eye.png", PHOTOGRAPH)]).status)
            except ConnectionRefusedError:
                self.said.append("refused")
            except OSError as error:
                self.said.append(type(error).__name__)

    def end(self):
        for thread in self.threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in self.threads), "somebody waits"
        return Counter(self.said)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ss") is None, reason="`ss` shows who listens (Debian package iproute2)")
@pytest.mark.skipif(sys.platform != "linux", reason="finds and kills processes by Linux's means")
def test_two_replicas_of_which_one_is_killed(tmp_path):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    bundle = write_bundle(tmp_path, seconds=0.1)
    with service(bundle) as alone:
        wanted = alone.post("/v1/predictions", [("eye.png", PHOTOGRAPH)]).json
    with service(bundle, *CLUSTER, "--queue=16") as running:
        assert len(replicas(running)) == 2
        answer = running.post("/v1/predictions", [("eye.png", PHOTOGRAPH)])
        assert answer.status == 200 and answer.json == wanted
        assert running.post("/v1/predictions", b"no picture").status == 422
        assert running.get("/v1/jobs/1").status == 404, "a job would lie in one replica's memory"
        assert heard(running) == set(), "only this machine reaches it"
        load = Load(running, clients=4, each=10)
        time.sleep(1)
        os.kill(replicas(running)[0], signal.SIGKILL)
        said = load.end()
        print(f"one of two replicas killed: {dict(said)}")
        assert said.total() == 40 and set(said) <= {200, 500, 503} and said[500] <= 8, said
        assert said[200] >= 30
        full = Load(running, clients=40, each=1).end()
        print(f"40 at a time: {dict(full)}")
        assert set(full) == {200, 503}
        load = Load(running, clients=4, each=10)
        time.sleep(1)
        assert running.stop() == 0
        said = load.end()
        print(f"stopped: {dict(said)}")
        assert said[200] >= 4 and set(said) <= {200, 503, "refused"}, "what was accepted is answered"


@pytest.mark.skipif("FUNDUSSEG_BY_HAND" not in os.environ, reason="starts Ray once more; FUNDUSSEG_BY_HAND=1 runs it")
def test_a_checkpoint_that_cannot_be_loaded_is_one_sentence(tmp_path, capfd):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    (tmp_path / "a.bundle").write_bytes(b"nothing")
    with service(str(tmp_path / "a.bundle"), *CLUSTER, wait=False) as running:
        assert running.process.wait(90) == 2
    assert "fundusseg: error: got" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--workers=2", "--store=kept", "--connections=3", "--job_megabytes=1"])
def test_what_is_of_one_machine_is_refused(tmp_path, option):
    pytest.importorskip("ray", reason="the extra `cluster` is not installed")
    with pytest.raises(ConfigurationError, match=f"{option.partition('=')[0]} with --cluster"):
        serve.main(["--cluster=local", "--checkpoint=x", option])
