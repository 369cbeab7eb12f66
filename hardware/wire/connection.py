"""The client's end: a request a connection, with the token, and every failure told as one of moco's errors.

A connection is opened for each request: a fork, a restart of the agent and an idle network break nothing then, and
samples are taken inside the agent, so that the handshake enters none of them.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from moco.errors import ConfigError, DeviceLostError, in_one_line

CONNECT_S, ANSWER_S = 10.0, 60.0
"""For the connection, and for each pause within an exchange; an agent answers within 20 s that one has to wait."""
MOST_BYTES = 1 << 30  # of an answer
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_UNKNOWN_HOST = frozenset(
    code for name in ("EAI_NONAME", "EAI_NODATA", "EAI_SERVICE") if (code := getattr(socket, name, None)) is not None
)

_OTHER_HOST, _OUTDATED = frozenset({62, 64}), frozenset({9, 10})
"""OpenSSL's codes: X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH; _CERT_NOT_YET_VALID, _CERT_HAS_EXPIRED."""


@dataclass(frozen=True)
class Reply:
    """What the agent answered; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def address_of(url: str, where: str) -> SplitResult:
    """The parts of an agent's address; a ConfigError at `where` if it is none, or has a path or a password."""
    expected = f"{where}: expected an address such as https://board:8080"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{expected}: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(f"{expected}, got '{url}'")
    if "@" in parts.netloc:
        raise ConfigError(f"{expected}, without a user or a password: the token is given by `token: ${{NAME}}`")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"{expected}, without a path, got '{url}'")
    return parts


@dataclass(frozen=True)
class Connection:
    """How an agent is reached.

    Attributes:
        where: key path of the address, for errors.
    """

    address: SplitResult
    token: str
    where: str = "target.url"

    def __repr__(self) -> str:
        return f"Connection({self.shown})"

    @property
    def shown(self) -> str:
        """The address for people."""
        return f"{self.address.scheme}://{self.address.netloc}"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """The agent's answer, whatever its status.

        A ConfigError where there can be no agent at this address, or none of this TLS; a DeviceLostError where it
        does not answer now.
        """
        try:
            return self._exchanged(method, path, body, headers or {})
        except ssl.SSLCertVerificationError as error:
            raise ConfigError(f"{self.where}: {self.shown}: {_distrust(error)}") from None
        except ssl.SSLError as error:
            raise ConfigError(
                f"{self.where}: {self.shown} does not speak TLS, or not this one: {error.reason}; is it http://?"
            ) from None
        except socket.gaierror as error:
            kind = ConfigError if error.errno in _UNKNOWN_HOST else DeviceLostError
            raise kind(
                f"{self.where}: the host '{self.address.hostname}' is not known here: {error.strerror}"
            ) from None
        except (OSError, HTTPException) as error:
            if self._speaks_tls():
                raise ConfigError(f"{self.where}: {self.shown} speaks TLS; write https://") from None
            raise DeviceLostError(f"the agent at {self.shown} does not answer: {in_one_line(error)}") from None

    def _exchanged(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        connection = self._opened(CONNECT_S)
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            given = {"Authorization": f"Bearer {self.token}", **headers}
            try:
                connection.request(method, path, body, given)
            except (BrokenPipeError, ConnectionResetError):  # refused while the body was sent: the answer says why
                return _read(connection.getresponse())
            return _read(connection.getresponse())
        finally:
            connection.close()

    def _opened(self, seconds: float) -> HTTPConnection:
        host, port = self.address.hostname or "", self.address.port
        if self.address.scheme == "https":
            return HTTPSConnection(host, port, timeout=seconds, context=self._trust)
        return HTTPConnection(host, port, timeout=seconds)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _speaks_tls(self) -> bool:
        """Whether an agent that plain HTTP got no answer from speaks TLS; nothing but the handshake is sent."""
        if self.address.scheme != "http":
            return False
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(OSError):
            host = self.address.hostname or "", self.address.port or 80
            with socket.create_connection(host, CONNECT_S) as plain, context.wrap_socket(plain):
                return True
        return False


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with a certificate, and what to do about it."""
    told = error.verify_message.rstrip(".")
    if error.verify_code in _OTHER_HOST:
        return f"its certificate is another host's: {told}; write a host that it names, or serve one for this host"
    if error.verify_code in _OUTDATED:
        return f"its certificate does not hold now: {told}; serve another one, or set this machine's date"
    return f"its certificate is not trusted here: {told}; name its authority's file in SSL_CERT_FILE"


def _read(response: HTTPResponse) -> Reply:
    body = response.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise HTTPException(f"an answer of more than {MOST_BYTES} bytes")
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
