"""The HTTP server of a stand-in."""

import json
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.providers.habits import SERVE, Habit, Reply

CONTROL = "/stand-in/"  # what a program's user asks of the stand-in itself


@dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    target: str
    headers: Message
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self) -> str:
        """The path, without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the query."""
        return dict(parse_qsl(urlsplit(self.target).query))

    def object(self) -> dict[str, Any]:
        """Return the JSON object in the body; an empty one if the body is none."""
        with suppress(ValueError):
            if isinstance(found := json.loads(self.body), dict):
                return found
        return {}


class Served(Protocol):
    """What answers the requests."""

    closing: threading.Event

    def take(self) -> Habit:
        """Return the habit for a request."""

    def handle(self, request: Request, habit: Habit) -> tuple[Reply, Habit]:
        """Return the answer to a request, and the habit to send it with."""

    def control(self, request: Request) -> Reply:
        """Return the answer to a request that is about the stand-in itself."""


class Server(ThreadingHTTPServer):
    """A server whose connections can be closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, standin: Served) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.standin, self.connections = standin, set[socket.socket]()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that went away."""

    def close(self) -> None:
        """Refuse connections from now on, and close those that are open."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Does with each request what the stand-in's habits say."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        """Note the connection."""
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def serve(self) -> None:
        """Answer a request, or do what a habit says."""
        standin, is_control = self.server.standin, self.path.startswith(CONTROL)
        habit = SERVE if is_control else standin.take()
        if habit.cut == "before the body":
            self.close_connection = True
            return
        length = int(self.headers["Content-Length"] or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client died on the way: nothing was sent
            self.close_connection = True
            return
        request = Request(self.command, self.path, self.headers, body)
        if is_control:
            self.send(standin.control(request), SERVE)
        else:
            self.send(*standin.handle(request, habit))

    do_GET = do_POST = serve  # noqa: N815 - the names that the base class calls

    def send(self, reply: Reply, habit: Habit) -> None:
        """Send the answer, all of it unless the habit cuts it."""
        self.server.standin.closing.wait(min(habit.delay, threading.TIMEOUT_MAX))
        content = reply.content()
        if habit.cut:
            self.close_connection = True
        if habit.cut != "before the answer":
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.write(content[: len(content) // 2] if habit.cut else content, habit.drip)

    def write(self, content: bytes, drip: float) -> None:
        """Send the body at once, or byte by byte."""
        size = 1 if drip else len(content) or 1
        for start in range(0, len(content), size):
            self.server.standin.closing.wait(drip)
            self.wfile.write(content[start : start + size])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""
