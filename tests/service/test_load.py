"""Many clients, dying workers, and the end of a service: nothing hangs, and what is accepted is answered."""

import http.client
import os
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.service import PHOTOGRAPH, service, write_bundle

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("FUNDUSSEG_LOAD_SECONDS", "0"))
"""For each number of clients; by hand, 10 or more."""

PASS = 0.3


@pytest.fixture(scope="module")
def slow_bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("slow"), PASS)


def timed(running):
    begun = time.monotonic()
    answer = running.post("/v1/predictions", PHOTOGRAPH)
    return answer, time.monotonic() - begun


def test_beyond_the_bound_503_comes_at_once_and_the_others_are_answered(slow_bundle):
    with service(slow_bundle, "--queue", "4") as running, ThreadPoolExecutor(20) as clients:
        accepted = [clients.submit(timed, running) for _ in range(4)]
        while running.figure("fundusseg_admitted") < 4:
            time.sleep(0.01)
        refused = [timed(running) for _ in range(10)]
        assert Counter(answer.status for answer, _ in refused) == {503: 10}
        assert all(answer.headers["retry-after"] == "2" for answer, _ in refused)
        assert sorted(seconds for _, seconds in refused)[5] < 0.05
        assert [future.result()[0].status for future in accepted] == [200] * 4
        assert timed(running)[0].status == 200


def test_a_first_line_is_refused_as_a_whole_request_is(slow_bundle):
    with service(slow_bundle, "--queue", "1") as running, ThreadPoolExecutor(1) as clients:
        kept_open = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        kept_open.request("GET", "/livez")
        kept_open.getresponse().read()
        asked = clients.submit(running.post, "/v1/predictions", [("a.png", PHOTOGRAPH)] * 16)
        while running.figure("fundusseg_admitted") < 1:
            time.sleep(0.01)
        early = running.post("/v1/predictions", PHOTOGRAPH)
        # The second request of a connection is the application's to refuse.
        kept_open.request("POST", "/v1/predictions", PHOTOGRAPH)
        late = kept_open.getresponse()
        assert (early.status, early.body) == (late.status, late.read())
        names = {name.lower(): value for name, value in late.getheaders()}
        assert {key: value for key, value in early.headers.items() if key != "connection"} == {
            key: value for key, value in names.items() if key not in ("connection", "date")
        }
        # Not a byte of the body is waited for.
        with socket.create_connection(("127.0.0.1", running.port), timeout=5) as connection:
            head = b"POST /v1/predictions?views=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
            connection.sendall(head)
            assert connection.recv(65536).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert running.figure('fundusseg_answers_total{route="other",status="503"}') >= 3
        kept_open.close()
        assert asked.result().status == 200


def test_another_site_s_page_may_read_that_there_is_no_room(slow_bundle):
    site = "https://elsewhere.example"
    with service(slow_bundle, "--queue", "1", "--cors", site) as running, ThreadPoolExecutor(1) as clients:
        asked = clients.submit(running.post, "/v1/predictions", [("a.png", PHOTOGRAPH)] * 8)
        while running.figure("fundusseg_admitted") < 1:
            time.sleep(0.01)
        answer = running.ask("POST", "/v1/predictions", PHOTOGRAPH, {"Origin": site})
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (503, site)
        assert asked.result().status == 200


def test_who_left_costs_no_pass_of_a_network(slow_bundle):
    with service(slow_bundle) as running, ThreadPoolExecutor(2) as clients:
        first = clients.submit(timed, running)
        while running.figure("fundusseg_running") < 1:
            time.sleep(0.01)
        left = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(8)]
        for connection in left:
            head = f"POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(PHOTOGRAPH)}\r\n\r\n"
            connection.sendall(head.encode() + PHOTOGRAPH)
        for connection in left:
            connection.close()
        assert first.result()[0].status == 200
        assert timed(running)[0].status == 200
        assert running.figure("fundusseg_photograph_seconds_count") == 2
        assert running.figure("fundusseg_admitted") == 0


def test_a_killed_worker_is_replaced_and_its_requests_are_answered(slow_bundle):
    with service(slow_bundle, "--workers", "1") as running, ThreadPoolExecutor(6) as clients:
        (worker,) = running.workers
        asked = [clients.submit(timed, running) for _ in range(6)]
        while running.figure("fundusseg_running") < 1:
            time.sleep(0.01)
        os.kill(worker, signal.SIGKILL)
        assert [future.result()[0].status for future in asked] == [200] * 6
        assert running.workers != [worker]
        assert running.figure("fundusseg_worker_restarts_total") == 1


def test_a_photograph_that_takes_too_long_is_refused_and_its_worker_replaced(tmp_path):
    with service(write_bundle(tmp_path, 3.0), "--photograph_seconds", "1") as running:
        (worker,) = running.workers
        answer, seconds = timed(running)
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")
        assert "longer than 1 seconds" in answer.json["detail"]
        assert seconds < 3
        running.wait_until_ready()
        assert running.workers != [worker]


def test_sigterm_answers_all_that_is_accepted_and_ends_with_0(slow_bundle):
    with service(slow_bundle) as running, ThreadPoolExecutor(8) as clients:
        accepted = [clients.submit(timed, running) for _ in range(8)]
        while running.figure("fundusseg_admitted") < 8:
            time.sleep(0.01)
        begun = time.monotonic()
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert running.get("/readyz").status == 503
        assert timed(running)[0].status == 503
        assert [future.result()[0].status for future in accepted] == [200] * 8
        assert running.process.wait(20) == 0
        assert time.monotonic() - begun < 8 * PASS + 15


def test_a_bundle_that_cannot_be_loaded_ends_the_service_with_its_sentence(tmp_path):
    (tmp_path / "no.bundle").write_bytes(b"nothing")
    with service(str(tmp_path / "no.bundle"), wait=False, KEEP_ERRORS="1") as running:
        _, said = running.process.communicate(timeout=60)
        assert running.process.returncode == 2
        assert "no.bundle" in said
        assert "Traceback" not in said


def test_no_worker_outlives_its_service(bundle):
    with service(bundle) as running:
        (worker,) = running.workers
        running.stop(signal.SIGKILL)
        for _ in range(100):
            if not os.path.exists(f"/proc/{worker}"):  # noqa: PTH110
                break
            time.sleep(0.1)
        else:
            raise AssertionError("a worker is left")


def under_load(running, clients, seconds, photograph=PHOTOGRAPH):
    """Statuses and seconds of all answers; the error's name where the connection broke or nothing came."""
    end = time.monotonic() + seconds
    found = []

    def client(_):
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                status = running.post("/v1/predictions", photograph).status
            except OSError as error:
                status = type(error).__name__
            found.append((status, time.monotonic() - begun))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 120)
    assert not any(thread.is_alive() for thread in threads), "a client hangs"
    return found


def memory(running):
    """Megabytes of all processes of the service."""
    pages = 0
    for pid in (running.process.pid, *running.workers):
        with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123
            pages += int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.skipif(not SECONDS, reason="takes a quiet machine and a while (set FUNDUSSEG_LOAD_SECONDS)")
def test_one_to_many_clients(bundle):
    checkpoint = os.environ.get("FUNDUSSEG_SERVICE_CHECKPOINT", bundle)
    photograph = PHOTOGRAPH
    if path := os.environ.get("FUNDUSSEG_LOAD_PHOTOGRAPH"):
        with open(path, "rb") as file:  # noqa: PTH123
            photograph = file.read()
    with service(checkpoint, *os.environ.get("FUNDUSSEG_LOAD_OPTIONS", "").split()) as running:
        for clients in (1, 8, 32, 128):
            found = under_load(running, clients, SECONDS, photograph)
            done, refused = (sorted(s for status, s in found if status == wanted) for wanted in (200, 503))
            assert {status for status, _ in found} <= {200, 503}
            for name, times in (("200", done), ("503", refused)):
                if times:
                    p50, p99 = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
                    rate = len(times) / SECONDS
                    print(f"{clients} clients, {name}: {rate:.1f}/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms")
            print(f"{clients} clients: {memory(running):.0f} MB")


@pytest.mark.skipif(not SECONDS, reason="takes a quiet machine and a while (set FUNDUSSEG_LOAD_SECONDS)")
def test_workers_killed_under_load(bundle):
    with service(bundle, "--workers", "2") as running:
        loading = ThreadPoolExecutor(1).submit(under_load, running, 16, SECONDS)
        kills = 0
        while not loading.done():
            time.sleep(2)
            for worker in running.workers[:1]:
                os.kill(worker, signal.SIGKILL)
                kills += 1
        statuses = Counter(status for status, _ in loading.result())
        print(kills, "kills:", statuses)
        assert set(statuses) <= {200, 503}
