"""Take photographs from cameras and archives over the DICOM network, and send segmentation and report back.

    python -m fundusseg.listen --send_to PACS@10.0.0.5:104 --host 0.0.0.0 --callers CAMERA1 CAMERA2
    python -m fundusseg.listen --send_to https://archive.example/dicomweb --fetch_from https://archive.example/dicomweb
        --studies 1.2.840.1 1.2.840.2

Receives by C-STORE (and answers C-ECHO), segments as `predict --dicom true` does, and sends a segmentation (SEG) and a
structured report (SR) of every photograph to the AE, or the DICOMweb archive, of --send_to. A sender's success means
that the photograph is on the disk: the folder of --spool is a queue that survives a kill, and the same command goes on
where it was. No photograph is answered twice, however often it comes; answers that nobody takes are tried again, at
first after a second and later every five minutes. What cannot be read, or is refused for a day, lies in SPOOL/dead with
the reason, until --requeue true begins by trying all of it again.

Without --host only this machine reaches it. TLS: --certificate and --key of its own, --authority signs those of the
others, which must then show one, and of the AE that is sent to. Metrics for Prometheus: --metrics_port.
"""

import logging
import re
import signal
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fundusseg.cli import Parser, add_trust, console, parse_trusting, run, stop_signals
from fundusseg.errors import ConfigurationError
from fundusseg.imaging.dicom_files import is_installed
from fundusseg.inference.pretrained import pretrained_bundle

if TYPE_CHECKING:
    from fundusseg.dicom.spool import Spool

log = logging.getLogger("fundusseg.listen")

_TITLE = re.compile(r"[ -\[\]-~]{1,16}")


def parser() -> Parser:
    """The command's arguments."""
    parser = Parser(prog="fundusseg listen", description=__doc__)
    parser.add_argument("--send_to", required=True, type=str, help="TITLE@HOST:PORT, or the URL of a DICOMweb archive.")
    parser.add_argument("--spool", default="spool", type=str, help="Folder of the queue.")
    parser.add_argument("--requeue", default=False, type=bool, help="Begin with what was put aside in SPOOL/dead.")
    parser.add_argument(
        "--checkpoint", default=None, type=str | None, help="What fit or bundle wrote [the package's own]."
    )
    parser.add_argument("--device", default="cpu", type=str, help="cpu, cuda, cuda:1, tpu, ...")
    parser.add_argument("--title", default="FUNDUSSEG", type=str, help="AE title.")
    parser.add_argument("--host", default="127.0.0.1", type=str, help="Address to listen on.")
    parser.add_argument("--port", default=11112, type=int, help="Port; 0 takes a free one.")
    parser.add_argument("--callers", default=[], nargs="+", type=str, help="AE titles that may send [all].")
    parser.add_argument("--addresses", default=[], nargs="+", type=str, help="IP addresses that may send [all].")
    parser.add_argument("--certificate", default=None, type=str | None, help="PEM file; speaks TLS.")
    parser.add_argument("--key", default=None, type=str | None, help="PEM file of the certificate's key.")
    parser.add_argument("--authority", default=None, type=str | None, help="PEM file that signs the others'.")
    parser.add_argument("--fetch_from", default=None, type=str | None, help="DICOMweb archive of --studies.")
    parser.add_argument("--studies", default=[], nargs="+", type=str, help="UIDs of studies to fetch at first.")
    parser.add_argument("--metrics_port", default=None, type=int | None, help="Of http://127.0.0.1:PORT/metrics.")
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Listen until told to stop; returns the exit code."""
    settings = parse_trusting(parser(), arguments)
    _check(settings)
    checkpoint = Path(settings.checkpoint) if settings.checkpoint else pretrained_bundle()
    from fundusseg.dicom.answering import Answering
    from fundusseg.dicom.destinations import destination
    from fundusseg.dicom.listen_metrics import ListenMetrics
    from fundusseg.dicom.receiver import Access, Receiver, client_tls, server_tls
    from fundusseg.dicom.spool import Spool
    from fundusseg.inference.dicom_results import algorithm_of, answer_photograph
    from fundusseg.inference.predictor import Predictor
    from fundusseg.xla.process import compute_device, prepare_process

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    own, key, authority = settings.certificate, settings.key, settings.authority
    tls = client_tls(own, key, authority) if authority else None
    target = destination(settings.send_to, settings.title, tls)
    access = Access(
        tuple(settings.callers), tuple(settings.addresses), server_tls(own, key, authority) if own else None
    )
    spool = Spool(Path(settings.spool))
    if settings.requeue:
        console.print(f"{spool.requeue()} photographs that were put aside are tried again", soft_wrap=True)
    prepare_process()
    predictor = Predictor.from_checkpoint(checkpoint, compute_device(settings.device))
    algorithm = algorithm_of(checkpoint)

    def answer(path: Path) -> Mapping[str, bytes]:
        return answer_photograph(predictor, algorithm, path, partial(log.warning, "%s: %s", path.stem))

    metrics = ListenMetrics(spool)
    if settings.metrics_port is not None:
        metrics.serve(settings.metrics_port)
    answering = Answering(spool, answer, target, metrics.count)
    receiver = Receiver(settings.title, (settings.host, settings.port), access, spool.receive, metrics.count)
    stop = threading.Event()
    for number in stop_signals():
        signal.signal(number, lambda *_: stop.set())
    console.print(f"{settings.title} listens at {settings.host}:{receiver.port}", soft_wrap=True, markup=False)
    answering.start()
    try:
        _fetch(settings.fetch_from, settings.studies, spool, stop)
        stop.wait()
    finally:
        receiver.close()
        answering.close()
        spool.close()
    return 0


def _fetch(url: str | None, studies: list[str], spool: "Spool", stop: threading.Event) -> None:
    """Take the photographs of some studies into the queue, until told to stop; reports among them are none."""
    if url is None:
        return
    from fundusseg.dicom.destinations import fetch
    from fundusseg.dicom.header import read_header
    from fundusseg.errors import ImageError

    for study in studies:
        taken = known = others = 0
        for uid, content in fetch(url, study):
            if stop.is_set():
                return
            try:
                read_header(content)
                new = spool.receive(uid, content)
                taken, known = taken + new, known + (not new)
            except (ImageError, ValueError):  # another object, or one whose UID is none
                others += 1
        console.print(
            f"study {study}: {taken} photographs taken, {known} taken before, {others} other objects left out",
            soft_wrap=True,
        )


def _check(settings: Any) -> None:
    """Refuse settings that do not fit one another."""
    if not is_installed():
        raise ConfigurationError("listen without the extra dicom", "it", "pip install 'fundusseg[dicom]'")
    if bool(settings.certificate) != bool(settings.key):
        raise ConfigurationError("one of --certificate and --key", "both or none", "give the other")
    if settings.authority and not settings.certificate:
        raise ConfigurationError(
            "--authority without --certificate, which would receive without encryption",
            "TLS in both directions, or in none",
            "give --certificate and --key, or leave --authority out",
        )
    if bool(settings.fetch_from) != bool(settings.studies):
        raise ConfigurationError("one of --fetch_from and --studies", "both or none", "give the other")
    for title in (settings.title, *settings.callers):
        if not _TITLE.fullmatch(title) or not title.strip():
            raise ConfigurationError(f"AE title {title!r}", "1 to 16 characters of ASCII, no backslash", "correct it")
    from fundusseg.dicom.receiver import plain_address

    for address in settings.addresses:
        try:
            plain_address(address)
        except ValueError as error:
            raise ConfigurationError(f"address {address!r}", "an IP address", "correct --addresses") from error


if __name__ == "__main__":
    run(main)
