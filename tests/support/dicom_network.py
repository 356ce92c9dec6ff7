"""The other side of the DICOM network, and small photographs that travel on it."""

import io
import json
import time
from http.server import BaseHTTPRequestHandler

import numpy as np
import pydicom
from pynetdicom import AE, AllStoragePresentationContexts, evt

from tests.support.dicom_objects import OP8, VL, dicom_photograph


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


def send(port, datasets, title="FUNDUSSEG", caller="CAMERA", tls=None, host="127.0.0.1") -> list[int | None]:
    """C-STORE; the statuses, None where the other side hung up or would not associate."""
    entity = AE(ae_title=caller)
    for uid in {dataset.SOPClassUID for dataset in datasets}:
        entity.add_requested_context(uid, datasets[0].file_meta.TransferSyntaxUID)
    link = entity.associate(host, port, ae_title=title, tls_args=(tls, "localhost") if tls else None)
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
