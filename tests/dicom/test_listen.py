"""The listener and its spool: each photograph answered once, whoever vanishes, refuses, kills or sends garbage.

Full size, once by hand: ``FUNDUSSEG_DICOM_KILLS=500,20 python -m pytest tests/dicom/test_listen.py -k killed``.
"""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt

from fundusseg.dicom.answering import MOST_REFUSALS, Answering
from fundusseg.dicom.destinations import AeDestination, Refused, Unreachable, WebDestination, destination
from fundusseg.dicom.receiver import Access, Receiver, client_tls, server_tls
from fundusseg.dicom.spool import MOST_TRIES, Spool
from fundusseg.errors import ConfigurationError, ImageError
from tests.support.dicom_objects import OP8, VL, dicom_photograph, write
from tests.support.painter import photograph, write_checkpoint

ROOT = Path(__file__).parents[2]
OBJECTS, KILLS = map(int, os.environ.get("FUNDUSSEG_DICOM_KILLS", "8,1").split(","))


class Archive:
    """An AE that takes everything, or what it is told to; remembers what came."""

    def __init__(self, status=0x0000, contexts=None, tls=None, port=0, title="PACS"):
        self.came: list[pydicom.Dataset] = []
        self.status = status
        self.entity = AE(ae_title=title)
        self.entity.supported_contexts = contexts or AllStoragePresentationContexts
        for name in ("1.2.840.10008.1.1", VL, OP8):
            self.entity.add_supported_context(name)
        handlers = [(evt.EVT_C_STORE, self.take)]
        self.server = self.entity.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=handlers, ssl_context=tls, ae_title=title
        )
        self.port = self.server.server_address[1]

    def take(self, event):
        if self.status == 0x0000:
            self.came.append(event.dataset)
        return self.status

    def close(self):
        self.server.shutdown()


@pytest.fixture
def archive():
    one = Archive()
    yield one
    one.close()


def send(port, datasets, title="FUNDUSSEG", caller="CAMERA", tls=None) -> list[int | None]:
    """C-STORE; the statuses, None where the other side hung up or would not associate."""
    entity = AE(ae_title=caller)
    for uid in {dataset.SOPClassUID for dataset in datasets}:
        entity.add_requested_context(uid, datasets[0].file_meta.TransferSyntaxUID)
    link = entity.associate("127.0.0.1", port, ae_title=title, tls_args=(tls, "localhost") if tls else None)
    if not link.is_established:
        return [None] * len(datasets)
    statuses = [link.send_c_store(dataset).get("Status") for dataset in datasets]
    link.release()
    return statuses


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def small(number: int):
    return dicom_photograph(np.full((16, 16, 3), number % 255, np.uint8), VL, number=number)


# The spool


def test_a_photograph_passes_through_the_spool_once(tmp_path):
    spool = Spool(tmp_path / "spool")
    assert spool.receive("1.2.3", b"photograph") and not spool.receive("1.2.3", b"photograph")
    (path,) = spool.waiting()
    assert spool.begin(path)
    spool.answer(path, {"sr": b"report", "seg": b"segments"})
    assert spool.waiting() == [] and not spool.receive("1.2.3", b"photograph")
    (folder,) = spool.to_send()
    for answer in sorted(folder.iterdir()):
        spool.sent(answer)
    assert spool.counts() == {"received": 0, "outgoing": 0, "answered": 1, "dead": 0}
    assert not spool.receive("1.2.3", b"photograph")
    with pytest.raises(ConfigurationError, match="another listener"):
        Spool(tmp_path / "spool")
    spool.close()
    for wrong in ("", "../../x", "1.2/3", "a", "1" * 65):
        with pytest.raises(ValueError, match="no UID"):
            spool.receive(wrong, b"x")


def test_a_spool_that_was_killed_between_two_renames_goes_on(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    (path,) = spool.waiting()
    spool.answer(path, {"sr": b"report"})
    path.write_bytes(b"a")  # as if it had been killed before the photograph was removed
    (spool.received / "1.2.dcm").write_bytes(b"b")
    (tmp_path / "partial" / "rest").write_bytes(b"half")
    spool.close()
    again = Spool(tmp_path)
    assert [path.name for path in again.waiting()] == ["1.2.dcm"] and len(again.to_send()) == 1
    assert list((tmp_path / "partial").iterdir()) == []


def test_what_ends_the_process_again_and_again_is_put_aside(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    (path,) = spool.waiting()
    assert [spool.begin(path) for _ in range(MOST_TRIES + 1)] == [True] * MOST_TRIES + [False]
    assert "the process ended 10 times" in (tmp_path / "dead" / "1.1.txt").read_text()
    assert spool.receive("1.1", b"a")  # a person sends it again: it is tried again


# Answering and sending


class Fickle:
    """A destination that behaves as it is told, one answer after the other."""

    def __init__(self, *behaviour):
        self.behaviour, self.got = list(behaviour), []

    def send(self, path):
        how = self.behaviour.pop(0) if self.behaviour else None
        if how is not None:
            raise how
        self.got.append(path.name)


def run(spool, answer, target, until_counts) -> dict[str, int]:
    counts: dict[str, int] = {}

    def count(outcome):
        counts[outcome] = counts.get(outcome, 0) + 1

    answering = Answering(spool, answer, target, count, first_wait=0.01, longest_wait=0.05)
    answering.start()
    until(lambda: until_counts(spool.counts()))
    answering.close()
    return counts


def test_answers_are_tried_again_until_somebody_takes_them(tmp_path):
    spool = Spool(tmp_path)
    spool.receive("1.1", b"a")
    target = Fickle(*[Unreachable("nobody")] * 7)
    counts = run(spool, lambda path: {"sr": b"x", "seg": b"y"}, target, lambda found: found["answered"] == 1)
    assert target.got == ["seg.dcm", "sr.dcm"] and counts == {"answered": 1, "unreachable": 7, "sent": 2}


def test_what_is_refused_for_good_and_what_cannot_be_read_is_put_aside_and_the_rest_goes_on(tmp_path):
    spool = Spool(tmp_path)
    for uid in ("1.1", "1.2", "1.3"):
        spool.receive(uid, b"a")
        time.sleep(0.01)

    def answer(path):
        if path.stem == "1.2":
            raise ImageError("a broken photograph", "a whole one", "send it again")
        return {"sr": b"x"}

    target = Fickle(*[Refused("status C000")] * MOST_REFUSALS)
    run(spool, answer, target, lambda found: found["dead"] == 2 and found["answered"] == 1)
    assert (tmp_path / "dead" / "1.1.txt").read_text() == "status C000\n"
    assert "a broken photograph" in (tmp_path / "dead" / "1.2.txt").read_text() and target.got == ["sr.dcm"]


# The network


@pytest.fixture
def receiver(tmp_path):
    spool = Spool(tmp_path / "spool")
    made = []

    def make(access=Access()):  # noqa: B008
        made.append(Receiver("FUNDUSSEG", ("127.0.0.1", 0), access, spool.receive))
        return made[-1]

    make.spool = spool
    yield make
    for one in made:
        one.close()
    spool.close()


def test_only_those_who_may_send(receiver):
    listed = receiver(Access(titles=("CAMERA",)))
    assert send(listed.port, [small(1)]) == [0] and send(listed.port, [small(2)], caller="OTHER") == [None]
    assert send(listed.port, [small(2)], title="SOMEBODY") == [None]
    assert send(receiver(Access(addresses=("10.9.8.7",))).port, [small(3)]) == [None]
    assert send(receiver(Access(addresses=("127.0.0.1",))).port, [small(4)]) == [0]
    assert receiver.spool.counts()["received"] == 2


def test_what_is_no_photograph_is_refused_before_it_is_sent(receiver):
    assert send(receiver().port, [dicom_photograph(photograph(), "1.2.840.10008.5.1.4.1.1.2")]) == [None]


def test_a_peer_that_vanishes_or_sends_garbage_leaves_the_queue_as_it_was(receiver):
    one = receiver()
    for content in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff", os.urandom(5000), b"\x04\0" * 900):
        with socket.create_connection(("127.0.0.1", one.port)) as line:
            line.sendall(content)
    entity = AE(ae_title="CAMERA")
    entity.add_requested_context(VL)
    link = entity.associate("127.0.0.1", one.port, ae_title="FUNDUSSEG")
    link.abort()
    assert receiver.spool.counts()["received"] == 0
    assert send(one.port, [small(1), small(1), small(2)]) == [0, 0, 0]
    assert receiver.spool.counts()["received"] == 2


def test_a_full_disk_is_told_to_the_sender(tmp_path):
    def keep(uid, content):
        raise OSError(28, "No space left on device")

    one = Receiver("FUNDUSSEG", ("127.0.0.1", 0), Access(), keep)
    assert send(one.port, [small(1)]) == [0xA700]
    one.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(0xA700, Unreachable), (0xC000, Refused), (0xA900, Refused), (0xB000, None), (0x0000, None)],
)
def test_what_an_archive_answers(tmp_path, status, error):
    one = Archive(status)
    target = AeDestination("PACS", "127.0.0.1", one.port, "FUNDUSSEG")
    path = write(small(1), tmp_path / "a.dcm")
    if error is None:
        target.send(path)
    else:
        with pytest.raises(error):
            target.send(path)
    one.close()
    with pytest.raises(Unreachable):
        target.send(path)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine to make certificates with")
    folder = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*make, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
    return folder


def test_tls_in_both_directions(receiver, certificates, tmp_path):
    own, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    one = receiver(Access(tls=server_tls(own, key, own)))
    known = client_tls(own, key, own)
    with socket.create_connection(("127.0.0.1", one.port)):  # says nothing, and keeps nobody out
        assert send(one.port, [small(1)], tls=known) == [0]
    assert send(one.port, [small(2)]) == [None]  # without encryption
    assert send(one.port, [small(2)], tls=client_tls(None, None, own)) == [None]  # without a certificate
    there = Archive(tls=server_tls(own, key, own))
    AeDestination("PACS", "127.0.0.1", there.port, "FUNDUSSEG", known).send(write(small(3), tmp_path / "a.dcm"))
    assert len(there.came) == 1
    there.close()
    with pytest.raises(ConfigurationError, match="unusable TLS files"):
        server_tls(str(tmp_path / "none.pem"), key, None)


def test_dcmtk_sends_to_us_and_takes_from_us(receiver, certificates, tmp_path, dcmtk):
    one, path = receiver(), write(dicom_photograph(photograph(), OP8), tmp_path / "a.dcm")
    peer = ["-aet", "CAMERA", "-aec", "FUNDUSSEG", "127.0.0.1", str(one.port)]
    subprocess.run([dcmtk("echoscu"), *peer], check=True, capture_output=True)
    subprocess.run([dcmtk("storescu"), *peer, path], check=True, capture_output=True)
    (kept,) = receiver.spool.waiting()
    assert pydicom.dcmread(kept).PixelData == pydicom.dcmread(path).PixelData
    own, key = str(certificates / "cert.pem"), str(certificates / "key.pem")
    safe = receiver(Access(tls=server_tls(own, key, own)))
    tls = ["+tls", key, own, "+cf", own, "-ic"]
    write(dicom_photograph(photograph(), OP8, number=2), path)
    peer[-1] = str(safe.port)
    subprocess.run([dcmtk("storescu"), *tls, *peer, path], check=True, capture_output=True)
    assert receiver.spool.counts()["received"] == 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    there = subprocess.Popen([dcmtk("storescp"), *tls, "-aet", "PACS", "-od", tmp_path, "+B", str(port)])
    try:
        target = AeDestination("PACS", "127.0.0.1", port, "FUNDUSSEG", client_tls(own, key, own))

        def sent():
            try:
                target.send(path)
            except Unreachable:  # it has only just started
                return False
            return True

        until(sent)
    finally:
        there.terminate()
        there.wait()
    uid = pydicom.dcmread(path).SOPInstanceUID
    assert any(uid in found.name for found in tmp_path.iterdir())


@pytest.mark.parametrize("name", ["PACS", "PACS@host", "PACS@host:0", "a b@host:1", "ftp://x", "@host:1"])
def test_a_destination_that_is_none_is_refused(name):
    with pytest.raises(ConfigurationError, match="TITLE@HOST:PORT"):
        destination(name, "FUNDUSSEG")


# DICOMweb


class Web(BaseHTTPRequestHandler):
    """A small DICOMweb archive: STOW-RS, and WADO-RS of one study."""

    def do_POST(self):
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.path, sent))
        taken = pydicom.dcmread(io.BytesIO(sent.partition(b"\r\n\r\n")[2]), stop_before_pixels=True)
        named = {"00081155": {"vr": "UI", "Value": [taken.SOPInstanceUID]}}
        whole = json.dumps({"00081199": {"vr": "SQ", "Value": [named]}}).encode()
        kind, body = self.server.answer or ("application/dicom+json", whole)
        self.send_response(self.server.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n%s\r\n" % one for one in self.server.study)
        self.send_response(200)
        self.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=b')
        self.send_header("Content-Length", str(len(parts) + 5))
        self.end_headers()
        self.wfile.write(parts + b"--b--")

    def log_message(self, *_):
        pass


PROXIES = (
    ("text/html", b"<html>please log in</html>"),
    ("application/dicom+json", b""),
    ("application/dicom+json", b"{}"),
    ("application/dicom+json", b"[]"),
    ("application/dicom+xml", b"<html>"),
)
"""Answers of 200 that no archive gives."""


@pytest.fixture
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.came, server.study, server.status, server.answer = [], [], 200, None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield server
    server.shutdown()
    server.server_close()


def test_a_dicomweb_archive_takes_answers_and_gives_studies(web, tmp_path):
    from fundusseg.dicom.destinations import fetch

    path = write(small(1), tmp_path / "a.dcm")
    target = destination(f"{web.url}/", "FUNDUSSEG")
    assert isinstance(target, WebDestination)
    target.send(path)
    ((where, body),) = web.came
    assert where == "/studies" and pydicom.dcmread(path).PixelData in body
    for status, error in ((409, Refused), (503, Unreachable)):
        web.status = status
        with pytest.raises(error, match=str(status)):
            target.send(path)
    web.status = 200
    for answer in PROXIES:
        web.answer = answer
        with pytest.raises(Unreachable, match=r"answers what is no DICOM|does not say that it has taken"):
            target.send(path)
    duplicate = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0111]}}]}}
    web.answer = ("application/dicom+json", json.dumps(duplicate).encode())
    target.send(path)  # stored before a kill: no reason to put it aside
    web.study = [path.read_bytes(), write(small(2), tmp_path / "b.dcm").read_bytes()]
    found = dict(fetch(web.url, "1.2"))
    assert set(found) == {small(1).SOPInstanceUID, small(2).SOPInstanceUID}
    with pytest.raises(Unreachable):
        WebDestination("http://127.0.0.1:9").send(path)
    with pytest.raises(ConfigurationError, match=r"no study 1\.2"):
        list(fetch("http://127.0.0.1:9", "1.2"))


# The command


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "a.ckpt")


class Listener:
    """`listen` in a process of its own."""

    def __init__(self, checkpoint, spool, send_to, *more):
        command = [sys.executable, "-m", "fundusseg.listen", "--trust", "tests", "--checkpoint", checkpoint]
        command += ["--spool", str(spool), "--send_to", send_to, "--port", "0", *more]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = []
        while not (self.said and "listens at" in self.said[-1]):
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            self.said.append(line)
        self.port = int(self.said[-1].strip().rsplit(":", 1)[1])

    def end(self, number=signal.SIGTERM) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.slow
def test_a_photograph_comes_back_as_segmentation_and_report(checkpoint, tmp_path, archive, web):
    metrics = free_port()
    web.study = [write(dicom_photograph(photograph(), OP8, number=2), tmp_path / "b").read_bytes()]
    fetching = ["--fetch_from", web.url, "--studies", "1.2"]
    where = f"PACS@127.0.0.1:{archive.port}"
    listener = Listener(checkpoint, tmp_path / "spool", where, "--metrics_port", str(metrics), *fetching)
    sent = dicom_photograph(photograph(), OP8)
    assert send(listener.port, [sent, sent, sent]) == [0, 0, 0]
    until(lambda: len(archive.came) >= 4)
    page = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics").read().decode()
    assert listener.end() == 0
    assert sorted(dataset.Modality for dataset in archive.came) == ["SEG", "SEG", "SR", "SR"]
    assert {dataset.PatientID for dataset in archive.came} == {"P-0001"}
    assert 'fundusseg_dicom_total{outcome="again"} 2.0' in page and 'outcome="received"} 1.0' in page
    assert "P-0001" not in page and str(sent.SOPInstanceUID) not in page


@pytest.mark.slow
def test_a_listener_that_is_killed_answers_each_photograph_once(checkpoint, tmp_path, archive):
    chance = np.random.default_rng(0)
    where = f"PACS@127.0.0.1:{archive.port}"
    left = [dicom_photograph(photograph(200, 215), VL, number=n) for n in range(OBJECTS)]
    every = -(-OBJECTS // (KILLS + 1))
    uids = {str(one.SOPInstanceUID) for one in left}
    for kill in range(KILLS + 1):
        listener = Listener(checkpoint, tmp_path / "spool", where)
        batch, left = left[:every], left[every:]
        assert send(listener.port, batch) == [0] * len(batch)
        if kill < KILLS:
            time.sleep(chance.uniform(0.0, 1.5))
            listener.end(signal.SIGKILL)
    folder = tmp_path / "spool"
    until(lambda: len(list((folder / "answered").iterdir())) == OBJECTS, 300 + OBJECTS)
    assert listener.end() == 0
    assert {path.name for path in (folder / "answered").iterdir()} == uids
    assert list((folder / "dead").iterdir()) == list((folder / "received").iterdir()) == []
    objects: dict[str, list[pydicom.Dataset]] = {}
    for dataset in archive.came:
        objects.setdefault(str(dataset.SOPInstanceUID), []).append(dataset)
    assert len(objects) == 2 * OBJECTS  # a segmentation and a report each
    # What was acknowledged just before a kill may come once more: the very same object.
    assert all(one == same[0] for same in objects.values() for one in same)
    assert len(archive.came) - len(objects) <= KILLS
    referred = [
        str(d.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID)
        for d in archive.came
        if d.Modality == "SEG"
    ]
    assert set(referred) == uids


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--send_to", "x"], "TITLE@HOST:PORT"),
        (["--send_to", "A@b:1", "--certificate", "a"], "--certificate and --key"),
        (["--send_to", "A@b:1", "--studies", "1.2"], "--fetch_from and --studies"),
        (["--send_to", "A@b:1", "--title", "x" * 17], "AE title"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, said, checkpoint, tmp_path):
    from fundusseg import listen

    with pytest.raises(ConfigurationError, match=said):
        listen.main([*arguments, "--checkpoint", checkpoint, "--spool", str(tmp_path)])
