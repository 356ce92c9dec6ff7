"""Where answers go: an AE by C-STORE, or a DICOMweb archive by STOW-RS; and photographs that are fetched by WADO-RS."""

import io
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pydicom
from dicomweb_client.api import DICOMwebClient
from pynetdicom import AE

from fundusseg.errors import ConfigurationError

_AE = re.compile(r"(?P<title>[^@\s\\]{1,16})@(?P<host>[^\s@]+):(?P<port>\d{1,5})")


DUPLICATE = 0x0111
"""Status and failure reason of an object that is there already (PS3.7 C.5.5)."""


class Unreachable(Exception):
    """Nobody answers, whatever would be sent: the same will do later."""


class Postponed(Exception):
    """This object was not taken, now; others may be."""


class Refused(Exception):
    """The other side does not want this object; it may be set up wrong."""


class Destination(Protocol):
    """Takes objects."""

    def send(self, path: Path) -> None:
        """Deliver one DICOM file; returns once it was acknowledged.

        Raises:
            Unreachable: Nobody answers.
            Postponed: The other side has no room, or breaks off.
            Refused: It is not wanted.
        """


@dataclass(frozen=True, slots=True)
class AeDestination:
    """An application entity of the DICOM network.

    Attributes:
        title: Its AE title.
        host: Its address.
        port: Its port.
        own_title: Ours, as it is told.
        tls: None speaks without encryption.
    """

    title: str
    host: str
    port: int
    own_title: str
    tls: ssl.SSLContext | None = None

    def send(self, path: Path) -> None:
        """Deliver one file by C-STORE."""
        try:
            self._send(path)
        except OSError as error:  # no such host, no route
            raise Unreachable(f"{self.title} at {self.host}:{self.port}: {error.strerror or error}") from error

    def _send(self, path: Path) -> None:
        dataset = pydicom.dcmread(path)
        entity = AE(ae_title=self.own_title)
        entity.connection_timeout = entity.acse_timeout = 15
        entity.dimse_timeout = entity.network_timeout = 60
        entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        tls = (self.tls, self.host) if self.tls else None
        link = entity.associate(self.host, self.port, ae_title=self.title, tls_args=tls)
        try:
            if not link.is_established:
                if link.is_rejected:
                    raise Unreachable(f"{self.title} rejects the association")
                if link.rejected_contexts:
                    raise Refused(f"{self.title} takes no {dataset.SOPClassUID.name}")
                raise Unreachable(f"nobody answers as {self.title} at {self.host}:{self.port}")
            status = link.send_c_store(dataset).get("Status")
        finally:
            if link.is_established:
                link.release()
        if status is None or 0xA700 <= status < 0xA800:
            raise Postponed(f"{self.title} has no room" if status else f"{self.title} hung up")
        # Bxxx are warnings: it was stored. A duplicate was stored before we were stopped.
        if status not in (0, DUPLICATE) and status & 0xF000 != 0xB000:
            raise Refused(f"{self.title} refuses it with status {status:04X}")


@dataclass(frozen=True, slots=True)
class WebDestination:
    """An archive that speaks DICOMweb.

    Attributes:
        url: Of its service, up to ``/studies``.
    """

    url: str

    def send(self, path: Path) -> None:
        """Deliver one file by STOW-RS."""
        import requests

        dataset = pydicom.dcmread(path)
        try:
            answer = _client(self.url).store_instances([dataset])
        except requests.HTTPError as error:
            code = error.response.status_code if error.response is not None else 0
            # 409: the archive has it already, or does not want it; 4xx else is a request that will never do.
            if 400 <= code < 500 and code not in (408, 429):
                raise Refused(f"{self.url} answers {code}") from error
            raise Postponed(f"{self.url} answers {code}") from error
        except (requests.RequestException, OSError) as error:
            raise Unreachable(f"{self.url}: {type(error).__name__}") from error
        except Exception as error:  # a success whose body is no DICOM JSON or XML: whatever parsing it meets first
            raise Postponed(f"{self.url} answers what is no DICOM ({type(error).__name__})") from error
        if failed := answer.get("FailedSOPSequence"):
            if (reason := failed[0].get("FailureReason")) != DUPLICATE:
                raise Refused(f"{self.url} refuses it with {reason}")
        # A proxy's login page is a success too: only an archive names what it has taken.
        elif dataset.SOPInstanceUID not in {item.get("ReferencedSOPInstanceUID") for item in _taken(answer)}:
            raise Postponed(f"{self.url} does not say that it has taken the object")


def _taken(answer: pydicom.Dataset) -> list[pydicom.Dataset]:
    """Objects that an archive says it has stored."""
    return list(answer.get("ReferencedSOPSequence") or [])


def _client(url: str) -> DICOMwebClient:
    """A client that tries once: who sends backs off by itself."""
    client = DICOMwebClient(url)
    client.set_http_retry_params(retry=False)
    return client


def fetch(url: str, study: str) -> Iterator[tuple[str, bytes]]:
    """Fetch a study's objects by WADO-RS, one after the other.

    Args:
        url: Of the archive's service, up to ``/studies``.
        study: Study instance UID.

    Yields:
        SOP instance UID and file content; both empty of what is no whole object.

    Raises:
        ConfigurationError: The archive does not answer, has no such study, or sends what is no DICOM.
    """
    try:
        for dataset in _client(url).iter_study(study):
            yield _encoded(dataset)
    except Exception as error:  # what requests raises, and whatever parsing an answer meets first
        raise ConfigurationError(
            f"no study {study} from {url} ({type(error).__name__}: {error})", "a DICOMweb archive", "check both"
        ) from error


def _encoded(dataset: pydicom.Dataset) -> tuple[str, bytes]:
    stream = io.BytesIO()
    try:
        pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
        return str(dataset.SOPInstanceUID), stream.getvalue()
    except Exception:  # one object that cannot be kept is no reason to leave the others
        return "", b""


def destination(name: str, own_title: str, tls: ssl.SSLContext | None = None) -> Destination:
    """The destination that a command line names: ``TITLE@HOST:PORT`` or a DICOMweb URL.

    Raises:
        ConfigurationError: It is neither.
    """
    if name.startswith(("http://", "https://")):
        return WebDestination(name.rstrip("/"))
    match = _AE.fullmatch(name)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ConfigurationError(f"destination {name!r}", "TITLE@HOST:PORT or a DICOMweb URL", "correct --send_to")
    return AeDestination(match["title"], match["host"], int(match["port"]), own_title, tls)
