"""The receiving side of the network: C-STORE of photographs and C-ECHO, from those who may."""

import logging
import ssl
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import ip_address
from socketserver import TCPServer
from typing import Any
from weakref import WeakKeyDictionary

from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from fundusseg.dicom.dataset_files import opened, text
from fundusseg.dicom.decoders import PLUGINS
from fundusseg.dicom.frames import NATIVE
from fundusseg.dicom.sop_classes import PHOTOGRAPHS
from fundusseg.errors import ConfigurationError

VERIFICATION = "1.2.840.10008.1.1"
"""C-ECHO."""

SYNTAXES = [*NATIVE, *PLUGINS]
"""Those that can be decoded; a sender is told in the negotiation, and may convert."""

LARGEST_OBJECT = 2**30
"""Bytes that a sender may send for one object; they are in memory until they are kept."""

_SUCCESS, _CANNOT_UNDERSTAND, _OUT_OF_RESOURCES = 0x0000, 0xC000, 0xA700

log = logging.getLogger("fundusseg.listen")
# One line for each message of the protocol is no user's business, and may name patients.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may send.

    Attributes:
        titles: Calling AE titles; empty lets all.
        addresses: IP addresses; empty lets all.
        tls: Of the listening side; None speaks without encryption.
    """

    titles: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None


def server_tls(certificate: str, key: str, clients: str | None) -> ssl.SSLContext:
    """TLS of a listening side.

    Args:
        certificate: PEM file.
        key: PEM file.
        clients: PEM file of who signs the certificates that senders must show; None asks for none.

    Raises:
        ConfigurationError: A file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _loaded(context, certificate, key, clients, required=clients is not None)


def client_tls(certificate: str | None, key: str | None, servers: str) -> ssl.SSLContext:
    """TLS of a sending side; the other one's certificate must be signed by ``servers``, whatever name is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # archives are named by address
    return _loaded(context, certificate, key, servers, required=True)


def _loaded(
    context: ssl.SSLContext, certificate: str | None, key: str | None, others: str | None, required: bool
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if certificate:
            context.load_cert_chain(certificate, key)
        if others:
            context.load_verify_locations(others)
    except OSError as error:
        names = ", ".join(filter(None, (certificate, key, others)))
        raise ConfigurationError(f"unusable TLS files ({error}): {names}", "PEM files", "check them") from error
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_NONE
    return context


class Receiver:
    """An AE that photographs are sent to.

    Args:
        title: Its AE title.
        address: IP address and port; port 0 takes a free one.
        access: Who may send.
        keep: Takes UID and file content of a photograph; False where it came before. What it raises is told to the
            sender, who will try again.
        count: Told of each outcome: ``received``, ``again``, ``refused``.
    """

    def __init__(
        self,
        title: str,
        address: tuple[str, int],
        access: Access,
        keep: Callable[[str, bytes], bool],
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._keep, self._count = keep, count
        self._sent: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        entity = AE(ae_title=title)
        entity.maximum_associations = 20
        entity.require_called_aet = True
        entity.require_calling_aet = list(access.titles)
        entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = 30, 60, 60
        for uid in PHOTOGRAPHS:
            entity.add_supported_context(uid, SYNTAXES)
        entity.add_supported_context(VERIFICATION)
        handlers: list[Any] = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, lambda event: _SUCCESS),
            (evt.EVT_DATA_RECV, self._weigh),
        ]
        try:
            self._server = entity.make_server(
                address, ssl_context=access.tls, evt_handlers=handlers, server_class=_only(access.addresses)
            )
        except OSError as error:
            where = "{}:{}".format(*address)
            raise ConfigurationError(
                f"no way to listen at {where} ({error.strerror})", "a free port", "choose another"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Take no more."""
        TCPServer.shutdown(self._server)  # pynetdicom's own looks for servers that its `start_server` made
        self._server.server_close()

    def _weigh(self, event: Event) -> None:
        """Hang up on who sends more than any photograph holds."""
        self._sent[event.assoc] = self._sent.get(event.assoc, 0) + len(event.data)
        if self._sent[event.assoc] > LARGEST_OBJECT:
            log.warning("a sender was cut off after %d MB of one object", LARGEST_OBJECT >> 20)
            if event.assoc.dul.socket:
                event.assoc.dul.socket.close()

    def _store(self, event: Event) -> int:
        """C-STORE: success once the photograph is safe."""
        self._sent.pop(event.assoc, None)
        try:
            uid = str(getattr(event.request, "AffectedSOPInstanceUID", ""))
            content = event.encoded_dataset()
            with opened(content) as (_, dataset):  # within bounds, which `event.dataset` has not
                if text(dataset, "SOPInstanceUID") != uid:  # by which the next object of that UID would be left out
                    raise ValueError("an object of another UID than it is sent under")
        except Exception:  # whatever a peer may send in place of a dataset
            self._count("refused")
            return _CANNOT_UNDERSTAND
        try:
            self._count("received" if self._keep(uid, content) else "again")
        except ValueError:
            self._count("refused")
            return _CANNOT_UNDERSTAND
        except OSError as error:
            log.error("a photograph could not be kept: %s", error.strerror)
            self._count("refused")
            return _OUT_OF_RESOURCES
        return _SUCCESS


HANDSHAKE = 15.0
"""Seconds that a caller may take to begin TLS."""


def plain_address(address: str) -> str:
    """An IP address as it is compared: one of IPv4 that comes to a socket of IPv6 as what it is.

    Raises:
        ValueError: It is none.

    >>> plain_address("::ffff:10.0.0.5"), plain_address("0:0::1")
    ('10.0.0.5', '::1')
    """
    known = ip_address(address.partition("%")[0])
    return str(getattr(known, "ipv4_mapped", None) or known)


def _only(addresses: Collection[str]) -> type[ThreadedAssociationServer]:
    """A server that hangs up on all others."""
    listed = {plain_address(address) for address in addresses}

    class Server(ThreadedAssociationServer):
        daemon_threads = True

        def get_request(self) -> Any:
            """Accept alone: a handshake here would let one silent caller keep all others out."""
            return self.socket.accept()  # type: ignore[union-attr]

        def finish_request(self, request: Any, client_address: Any) -> None:
            """Shake hands in the caller's own thread, with a limit of time, and talk."""
            if self.ssl_context:
                request.settimeout(HANDSHAKE)
                try:
                    request = self.ssl_context.wrap_socket(request, server_side=True)
                except OSError as error:
                    log.warning("no TLS handshake with %s: %s", client_address[0], error)
                    self.shutdown_request(request)
                    return
                request.settimeout(None)
            super().finish_request(request, client_address)

        def verify_request(self, request: Any, client_address: Any) -> bool:
            return not listed or plain_address(client_address[0]) in listed

    return Server
