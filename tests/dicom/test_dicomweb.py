"""Answers go to a DICOMweb archive, and photographs come from it."""

import json
import threading

import pydicom
import pytest

from fundusseg import listen
from fundusseg.dicom.destinations import Postponed, Refused, Unreachable, WebDestination, destination, fetch
from fundusseg.dicom.spool import Spool
from fundusseg.errors import ConfigurationError
from tests.support.dicom_network import small
from tests.support.dicom_objects import write

PROXIES = (
    ("text/html", b"<html>please log in</html>"),
    ("application/dicom+json", b""),
    ("application/dicom+json", b"{}"),
    ("application/dicom+json", b"[]"),
    ("application/dicom+xml", b"<html>"),
)
"""Answers of 200 that no archive gives."""


def test_a_dicomweb_archive_takes_answers_and_gives_studies(web, tmp_path):
    path = write(small(1), tmp_path / "a.dcm")
    target = destination(f"{web.url}/", "FUNDUSSEG")
    assert isinstance(target, WebDestination)
    target.send(path)
    ((where, body),) = web.came
    assert where == "/studies" and pydicom.dcmread(path).PixelData in body
    for status, error in ((409, Refused), (503, Postponed)):
        web.status = status
        with pytest.raises(error, match=str(status)):
            target.send(path)
    web.status = 200
    for answer in PROXIES:
        web.answer = answer
        with pytest.raises(Postponed, match=r"answers what is no DICOM|does not say that it has taken"):
            target.send(path)
    duplicate = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0111]}}]}}
    web.answer = ("application/dicom+json", json.dumps(duplicate).encode())
    target.send(path)  # stored before a kill: no reason to put it aside
    nameless = small(3)
    del nameless.SOPInstanceUID
    nameless.save_as(tmp_path / "c.dcm")
    web.study = [path.read_bytes(), write(small(2), tmp_path / "b.dcm").read_bytes(), (tmp_path / "c.dcm").read_bytes()]
    found = {uid: content for uid, content in fetch(web.url, "1.2") if content}
    assert set(found) == {small(1).SOPInstanceUID, small(2).SOPInstanceUID}
    with pytest.raises(Unreachable):
        WebDestination("http://127.0.0.1:9").send(path)
    with pytest.raises(ConfigurationError, match=r"no study 1\.2"):
        list(fetch("http://127.0.0.1:9", "1.2"))
    web.study = [b"no DICOM"]
    with pytest.raises(ConfigurationError, match=r"no study 1\.2"):
        list(fetch(web.url, "1.2"))


def test_each_object_of_a_study_is_counted_and_a_stop_is_heard(web, tmp_path, capsys):
    spool, stop = Spool(tmp_path / "spool"), threading.Event()
    web.study = [write(small(number), tmp_path / "a").read_bytes() for number in (1, 2, 1)]
    listen._fetch(web.url, ["1.2"], spool, stop)
    assert "study 1.2: 2 photographs taken, 1 taken before, 0 other objects left out" in capsys.readouterr().out
    web.study = [write(small(3), tmp_path / "a").read_bytes()]
    stop.set()
    listen._fetch(web.url, ["1.3"], spool, stop)
    assert capsys.readouterr().out == "" and spool.counts()["received"] == 2
    spool.close()
