"""One request on one connection, in two steps between which a caller can act.

Connections are not used again: whether a server had closed an idle one before or after it read a
request cannot be told, and a message must neither be lost nor sent twice. It costs two round trips.

The standard library is enough, and urllib3 would take 6 MB more of the worker's memory.
"""

import re
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from http.client import HTTPException
from types import TracebackType
from typing import Any, Self

from omnidesk.egress.answers import Answer, read_answer
from omnidesk.egress.deadlines import Deadline
from omnidesk.egress.errors import NoAnswer, NotConnected
from omnidesk.egress.resolving import resolve
from omnidesk.egress.urls import Rules, Url, parse_url

CONNECT_SECONDS = 10.0  # for the name, TCP and TLS together
REQUEST_SECONDS = 15.0  # for the request and the whole answer
HEADER = re.compile(r"[!#$%&'*+.^_`|~A-Za-z0-9-]+: [\t\x20-\x7e]*")  # RFC 9110, section 5


def connect(text: str, rules: Rules, timeout: float = CONNECT_SECONDS) -> "Connection":
    """Return a connection to the host of a URL; raise NotConnected, ForbiddenUrl among them."""
    url, deadline = parse_url(text), Deadline(timeout)
    rules.check(url)
    found = resolve(url, rules, deadline)
    try:
        connected = connect_to_one(found, deadline)
        return Connection(url, secured(connected, url, deadline))
    except OSError as error:
        raise NotConnected(f"{url.origin}: {reason(error)}.") from None


def connect_to_one(found: list[Any], deadline: Deadline) -> socket.socket:
    """Return a TCP connection to the first of some addresses that takes one; raise OSError.

    Each gets its share of the time, so that one which is silent does not hide the next.
    """
    for remaining in range(len(found), 0, -1):
        try:
            return connect_to(found[-remaining], deadline.left() / remaining)
        except OSError as error:
            last = error
    raise last


def connect_to(address: Any, timeout: float) -> socket.socket:
    """Return a TCP connection to an address that the resolver has found; raise OSError."""
    family, kind, protocol, _, place = address
    connected = socket.socket(family, kind, protocol)
    try:
        connected.settimeout(timeout)
        connected.connect(place)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connected.close()
        raise
    return connected


def secured(connected: socket.socket, url: Url, deadline: Deadline) -> socket.socket:
    """Return the connection with TLS, if the URL wants it; raise OSError, and close it."""
    if url.scheme == "http":
        return connected
    try:
        connected.settimeout(deadline.left())
        return tls().wrap_socket(connected, server_hostname=url.host.strip("[]"))
    except BaseException:
        connected.close()
        raise


@cache
def tls() -> ssl.SSLContext:
    """Return what certificates are checked with: the certificate authorities of the system."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


REASONS = {
    TimeoutError: "it took too long",
    ssl.SSLEOFError: "it closed the connection",
    ssl.SSLError: "TLS failed",
    ConnectionRefusedError: "it refused the connection",
    ConnectionError: "it closed the connection",
    OSError: "it cannot be reached",
    Exception: "its answer was cut, or is not valid HTTP",
}


def reason(error: Exception) -> str:
    """Return why there is no connection or no answer, without anything that was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message.rstrip('.')})"
    return next(text for kind, text in REASONS.items() if isinstance(error, kind))


class Connection:
    """A connection for one request, to be closed by `with`."""

    def __init__(self, url: Url, connected: socket.socket) -> None:
        self.url, self.socket = url, connected

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; no request can follow."""
        self.socket.close()

    def request(
        self,
        headers: Mapping[str, str],
        body: bytes,
        *,
        method: str = "POST",
        timeout: float = REQUEST_SECONDS,
    ) -> Answer:
        """Send the one request, to the path of the URL; return the answer, also a redirect's.

        Raises NotConnected if nothing was sent, and NoAnswer if anything may have been.
        """
        deadline, sent = Deadline(timeout), self.head(method, headers, body) + body
        self.require_open()
        try:
            self.send(sent, deadline)
            return read_answer(self.socket, method, deadline)
        except (OSError, ValueError, HTTPException) as error:
            raise NoAnswer(f"{self.url.origin}: {reason(error)}.") from None
        finally:
            self.close()

    def head(self, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """Return the request line and the headers; raise NotConnected for what none can be."""
        own = {
            "Host": self.url.authority,
            "User-Agent": "OmniDesk",
            "Accept-Encoding": "identity",
            "Content-Length": str(len(body)),
            "Connection": "close",
        }
        lines = [f"{name}: {value}" for name, value in {**headers, **own}.items()]
        if not all(HEADER.fullmatch(line) for line in lines):
            raise NotConnected("A header has characters that cannot be sent.")
        return "\r\n".join([f"{method} {self.url.target} HTTP/1.1", *lines, "", ""]).encode()

    def require_open(self) -> None:
        """Raise NotConnected if the other side has closed the connection meanwhile.

        Nothing is sent yet, so that there is nothing to be received either.
        """
        try:
            self.socket.settimeout(0)
            self.socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            pass
        self.close()
        raise NotConnected(f"{self.url.origin}: it closed the connection.")

    def send(self, sent: bytes, deadline: Deadline) -> None:
        """Send all bytes; raise OSError."""
        rest = memoryview(sent)
        while rest:
            self.socket.settimeout(deadline.left())
            rest = rest[self.socket.send(rest) :]
