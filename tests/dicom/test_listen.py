"""The listener on the network: each photograph answered once, whoever vanishes, refuses, kills or sends garbage.

Full size, once by hand: ``FUNDUSSEG_DICOM_KILLS=500,20 python -m pytest tests/dicom/test_listen.py -k killed``.
"""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from fundusseg.dicom.destinations import (
    AeDestination,
    Postponed,
    Refused,
    Unreachable,
    destination,
)
from fundusseg.dicom.receiver import Access, Receiver, client_tls, server_tls
from fundusseg.dicom.spool import Spool
from fundusseg.errors import ConfigurationError
from tests.support.dicom_network import Archive, send, small, until
from tests.support.dicom_objects import OP8, VL, dicom_photograph, write
from tests.support.painter import photograph, write_checkpoint

ROOT = Path(__file__).parents[2]
OBJECTS, KILLS = map(int, os.environ.get("FUNDUSSEG_DICOM_KILLS", "8,1").split(","))


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
    [
        (0xA700, Postponed),
        (0x0110, Refused),
        (0x0124, Refused),
        (0xC000, Refused),
        (0xA900, Refused),
        (0xB000, None),
        (0x0000, None),
    ],
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


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x02\0\0\0\1\0" + bytes(400), b"\xff" * 99]
)
def test_garbage_in_place_of_an_association_is_nobody(tmp_path, answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk():
            line, _ = server.accept()
            with line:
                line.recv(4096)
                line.sendall(answer)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(Unreachable, match="nobody answers as PACS"):
            AeDestination("PACS", "127.0.0.1", server.getsockname()[1], "A").send(write(small(1), tmp_path / "a"))


def test_a_host_that_has_no_address_is_told_in_one_sentence(tmp_path):
    with pytest.raises(Unreachable, match=r"PACS at no\.such\.host\.invalid:104: .*not"):
        AeDestination("PACS", "no.such.host.invalid", 104, "A").send(write(small(1), tmp_path / "a"))


def test_an_object_of_another_uid_than_it_is_sent_under_is_refused(receiver):
    one = receiver()
    entity = AE(ae_title="CAMERA")
    entity.add_requested_context(VL)
    link = entity.associate("127.0.0.1", one.port, ae_title="FUNDUSSEG")
    (context,) = link.accepted_contexts
    link._reactor_checkpoint.clear()  # as its own sending does, so that the answer comes here
    for affected, dataset in (("1.2.3", small(1)), ("..", small(2))):
        message = C_STORE()
        message.MessageID, message.Priority, message.AffectedSOPClassUID = 1, 2, VL
        message._affected_sop_instance_uid = pydicom.uid.UID(affected)  # which its own setter would refuse
        plain = context.transfer_syntax[0].is_implicit_VR
        message.DataSet = io.BytesIO(encode(dataset, plain, True))
        link.dimse.send_msg(message, context.context_id)
        _, answer = link.dimse.get_msg(block=True)
        assert answer.Status == 0xC000
    link._reactor_checkpoint.set()
    link.release()
    assert receiver.spool.counts()["received"] == 0


def test_a_sender_of_an_endless_object_is_cut_off(receiver, monkeypatch):
    from fundusseg.dicom import receiver as module

    monkeypatch.setattr(module, "LARGEST_OBJECT", 100_000)
    one = receiver()
    large = dicom_photograph(np.zeros((300, 300, 3), np.uint8), VL, number=1)
    assert send(one.port, [large]) == [None]
    assert send(one.port, [small(number) for number in range(60)]) == [0] * 60  # together more than one may be
    assert receiver.spool.counts()["received"] == 60


def test_a_deflated_object_that_would_fill_the_memory_is_refused(receiver, monkeypatch):
    from fundusseg.dicom import dataset_files as module

    black = dicom_photograph(np.zeros((300, 300, 3), np.uint8), VL, "1.2.840.10008.1.2.1.99")
    one = receiver()
    monkeypatch.setattr(module, "LARGEST_INFLATED", 100_000)
    assert send(one.port, [black]) == [0xC000]
    monkeypatch.undo()
    assert send(one.port, [black]) == [0] and receiver.spool.counts()["received"] == 1


def test_addresses_are_compared_as_what_they_are(receiver, tmp_path):
    spool = Spool(tmp_path / "other")
    one = Receiver("FUNDUSSEG", ("::", 0), Access(addresses=("127.0.0.1",)), spool.receive)
    assert send(one.port, [small(1)]) == [0]  # which comes as ::ffff:127.0.0.1
    one.close()
    two = Receiver("FUNDUSSEG", ("::", 0), Access(addresses=("0:0::1",)), spool.receive)
    assert send(two.port, [small(2)]) == [None] and send(two.port, [small(2)], host="::1") == [0]
    two.close()
    spool.close()


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
    more = ["--fetch_from", web.url, "--studies", "1.2", "--requeue", "true"]
    aside = Spool(tmp_path / "spool")  # an earlier run put a third one aside
    aside.receive("1.2.3", write(dicom_photograph(photograph(), OP8, number=3), tmp_path / "c").read_bytes())
    aside.bury(*aside.waiting(), "the network was missing")
    aside.close()
    where = f"PACS@127.0.0.1:{archive.port}"
    listener = Listener(checkpoint, tmp_path / "spool", where, "--metrics_port", str(metrics), *more)
    sent = dicom_photograph(photograph(), OP8)
    assert send(listener.port, [sent, sent, sent]) == [0, 0, 0]
    until(lambda: len(archive.came) >= 6)
    page = urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics").read().decode()
    assert listener.end() == 0
    assert sorted(dataset.Modality for dataset in archive.came) == ["SEG"] * 3 + ["SR"] * 3
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
        (["--send_to", "A@b:1", "--title", "a\\b"], "AE title"),
        (["--send_to", "A@b:1", "--callers", " "], "AE title"),
        (["--send_to", "A@b:1", "--addresses", "camera"], "an IP address"),
        (["--send_to", "A@b:1", "--authority", "a"], "--authority without --certificate"),
    ],
)
def test_settings_that_do_not_fit_are_refused(arguments, said, checkpoint, tmp_path):
    from fundusseg import listen

    with pytest.raises(ConfigurationError, match=said):
        listen.main([*arguments, "--checkpoint", checkpoint, "--spool", str(tmp_path)])
