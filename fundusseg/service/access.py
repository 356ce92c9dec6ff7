"""Who may ask: token, host name and origin are looked at before anything else of a request."""

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from fundusseg.errors import ConfigurationError
from fundusseg.service.problem import Refusal, refuse

TOKEN_VARIABLE = "FUNDUSSEG_TOKEN"

_SHORTEST = 16
"""Characters of a token: shorter ones can be guessed."""

OPEN = ("/livez", "/readyz", "/docs", "/openapi.json", "/favicon.ico", "/page/")
"""Paths, beside ``/``, that need no token: a browser cannot send one for a page, and nothing there is a patient's."""

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True)
class Access:
    """Rules of one service.

    Attributes:
        host: The address it listens on.
        token: None where none is needed.
        origins: Pages of other hosts that may ask (CORS).
    """

    host: str = "127.0.0.1"
    token: str | None = None
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise ConfigurationError(
                f"the address {self.host} without a token",
                "a token where others reach the service",
                f"give --token_file, or set {TOKEN_VARIABLE}",
            )
        if self.token is not None and (len(self.token) < _SHORTEST or not self.token.isascii()):
            raise ConfigurationError(
                f"a token of {len(self.token)} characters",
                f"{_SHORTEST} or more, of ASCII",
                "make one by: python -c 'import secrets; print(secrets.token_urlsafe())'",
            )


def read_token(path: str | None) -> str | None:
    """The token of a file or, without one, of the environment.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    if path is None:
        return os.environ.get(TOKEN_VARIABLE)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"no token in {path} ({error})", "a file that holds it", "check --token_file"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class AccessCheck:
    """ASGI middleware: 401 without the token, 421 for another host's name, 403 for another site's page."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self.digest = hashlib.sha256((access.token or "").encode()).digest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse or pass on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if error := self._wrong(scope["path"], headers):
            await refuse(error, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _wrong(self, path: str, headers: Mapping[str, str]) -> Refusal | None:
        host = headers.get("host", "")
        # A page of another site whose name is made to point at this machine (DNS rebinding) shows here.
        if self.access.token is None and _name(host) not in {*_LOOPBACK_NAMES, _name(self.access.host)}:
            return Refusal(421, "a request for another host's name", "this machine's own", "ask for localhost")
        origin = headers.get("origin")
        ours = {f"{scheme}://{host}" for scheme in ("http", "https")}
        if origin is not None and origin not in ours and origin not in self.access.origins:
            return Refusal(403, "a request from another site's page", "the service's own", "start it with --cors")
        if self.access.token is None or path == "/" or path.startswith(OPEN):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        # Digests are of one length, so that the time tells nothing of the token's.
        given = hashlib.sha256(token.strip().encode("latin-1")).digest()
        if scheme.lower() == "bearer" and hmac.compare_digest(given, self.digest):
            return None
        do = "send Authorization: Bearer TOKEN"
        return Refusal(401, "no token, or a wrong one", "the service's token", do, {"WWW-Authenticate": "Bearer"})


def _name(host: str) -> str:
    """A host's name without its port, in lower case.

    >>> _name("LocalHost:8000"), _name("[::1]:8000"), _name("::1")
    ('localhost', '[::1]', '[::1]')
    """
    host = host.lower()
    if host.count(":") > 1 and not host.startswith("["):
        return f"[{host}]"
    return host if host.endswith("]") else host.rpartition(":")[0] or host
