"""A receiver of our requests on loopback that answers, hangs, drips, cuts and redirects as told."""

import json
import socket
import ssl
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import responses
from pathlib import Path
from typing import Any

from omnidesk.egress import Rules

PRODUCTION = Rules(development=False, ports=frozenset({443, 8443}))
DEVELOPMENT = Rules(development=True, ports=None)
DRIP_SECONDS = 0.02  # between the bytes of an answer that drips


@dataclass(frozen=True)
class Request:
    """A request as it arrived: header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Return what the body says."""
        return json.loads(self.body)


@dataclass
class Exchange:
    """A request that is answered now."""

    request: Request
    socket: socket.socket
    closing: threading.Event  # set when the receiver stops

    def answer(
        self,
        status: int = 200,
        body: bytes | object = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send an answer; a body that is not bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Content-Length": str(len(sent)), **(headers or {})}
        lines = [f"{name}: {value}" for name, value in all_headers.items()]
        first = f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"
        self.socket.sendall("\r\n".join([first, *lines, "", ""]).encode() + sent)


Behaviour = Callable[[Exchange], None]  # afterwards, the connection is closed


def answer(
    status: int = 200, body: bytes | object = b"", headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer with a status."""
    return lambda exchange: exchange.answer(status, body, headers)


def redirect(location: str, status: int = 307) -> Behaviour:
    """Send the caller somewhere else."""
    return answer(status, headers={"Location": location})


def raw(sent: bytes) -> Behaviour:
    """Send bytes as they are, such as a part of an answer, and close the connection."""
    return lambda exchange: exchange.socket.sendall(sent)


def cut(exchange: Exchange) -> None:
    """Close the connection without an answer, once the whole request has been read."""


def hang(exchange: Exchange) -> None:
    """Say nothing until the receiver stops."""
    exchange.closing.wait()


def drip(exchange: Exchange) -> None:
    """Send the bytes of an endless header one by one, until the caller or the receiver stops."""
    exchange.socket.sendall(b"HTTP/1.1 200 OK\r\nX-Endless: ")
    while not exchange.closing.wait(DRIP_SECONDS):
        exchange.socket.sendall(b"x")


@dataclass
class Receiver:
    """Records requests, and answers each as told, or as `otherwise` says."""

    certificate: Path | None = None  # a file of `make_certificate`, for HTTPS
    port: int = 0  # one that is free
    otherwise: Behaviour = field(default_factory=answer)
    reads_requests: bool = True  # False: closes each connection as soon as it is open

    def __post_init__(self) -> None:
        self.connections = 0
        self.requests: list[Request] = []
        self.behaviours: deque[Behaviour] = deque()
        self.arrived = threading.Condition()
        self.start()

    @property
    def url(self) -> str:
        """The origin of the receiver; its certificate is for the name localhost."""
        return (
            f"https://localhost:{self.port}"
            if self.certificate
            else f"http://127.0.0.1:{self.port}"
        )

    def start(self) -> None:
        """Accept connections, also again after `stop`."""
        self.closing = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, args=[self.listener, self.closing], daemon=True).start()

    def stop(self) -> None:
        """Refuse connections, and end those that hang."""
        self.closing.set()
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def will(self, *behaviours: Behaviour) -> None:
        """Answer the next requests so, one after the other."""
        self.behaviours.extend(behaviours)

    def wait_for(self, count: int, seconds: float = 10) -> list[Request]:
        """Return all requests, once there are so many; raise TimeoutError."""
        with self.arrived:
            if not self.arrived.wait_for(lambda: len(self.requests) >= count, seconds):
                raise TimeoutError(f"{len(self.requests)} of {count} requests arrived")
            return list(self.requests)

    def serve(self, listener: socket.socket, closing: threading.Event) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                connected, _ = listener.accept()
                self.connections += 1
                threading.Thread(target=self.handle, args=[connected, closing], daemon=True).start()

    def handle(self, connected: socket.socket, closing: threading.Event) -> None:
        """Read a request and answer it, on a connection that is closed afterwards."""
        with suppress(OSError), self.secured(connected) as opened:
            if self.reads_requests and (request := read_request(opened)):
                with self.arrived:
                    self.requests.append(request)
                    behaviour = self.behaviours.popleft() if self.behaviours else self.otherwise
                    self.arrived.notify_all()
                behaviour(Exchange(request, opened, closing))

    def secured(self, connected: socket.socket) -> socket.socket:
        """Return the connection with TLS, if there is a certificate."""
        if self.certificate is None:
            return connected
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        with connected:
            return context.wrap_socket(connected, server_side=True)


def read_request(connected: socket.socket) -> Request | None:
    """Return the request that arrives on a connection; None if it is closed before its end."""
    with connected.makefile("rb") as file:
        method, _, rest = file.readline().decode().partition(" ")
        headers = {}
        for line in iter(file.readline, b"\r\n"):
            if not line:
                return None
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        body = file.read(length)
    path = rest.rpartition(" ")[0]
    return Request(method, path, headers, body) if len(body) == length else None


@contextmanager
def receiver(certificate: Path | None = None, **kwargs: Any) -> Iterator[Receiver]:
    """Run a receiver."""
    running = Receiver(certificate, **kwargs)
    try:
        yield running
    finally:
        running.stop()


def make_certificate(folder: Path, name: str = "localhost") -> Path:
    """Return the file of a new key and its certificate for a name, signed by the key itself."""
    path = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += [
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={name}",
        "-addext",
        f"subjectAltName=DNS:{name}",
    ]
    subprocess.run([*command, "-keyout", path, "-out", path], check=True, capture_output=True)
    return path
