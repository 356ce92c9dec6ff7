"""The service's own predictor behind LitServe, for `tools/benchmark_serve.py` to measure beside ours.

    pip install litserve
    python tools/litserve_peer.py CHECKPOINT PORT

LitServe is Apache-2.0; it brings pyzmq (BSD), and with uvicorn[standard] uvloop, httptools, watchfiles (MIT),
websockets and python-dotenv (BSD). Install it in an environment of its own: with uvloop there, every uvicorn of the
environment runs on it.
"""

import sys
from typing import Any

import litserve
from fastapi import Request, Response

from fundusseg.service.worker import Photographer, Work, WorkerSettings


class Peer(litserve.LitAPI):  # type: ignore[misc]
    """One photograph of a form, decoded, segmented, measured and encoded as our workers do."""

    def __init__(self, checkpoint: str) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def setup(self, device: str) -> None:
        """Load the bundle, in the worker's process."""
        self.photographer = Photographer(WorkerSettings(self.checkpoint))

    def decode_request(self, request: Request) -> bytes:
        """The file's bytes."""
        form: Any = request  # what LitServe hands over for this annotation
        return bytes(form["photographs"].file.read())

    def predict(self, content: bytes) -> bytes:
        """The JSON document of `POST /v1/predictions`."""
        return self.photographer.do(Work(content)).products["document"]

    def encode_response(self, document: bytes) -> Response:
        """As it is."""
        return Response(document, media_type="application/json")


if __name__ == "__main__":
    peer = litserve.LitServer(Peer(sys.argv[1]), accelerator="cpu", timeout=120)
    peer.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="error")
