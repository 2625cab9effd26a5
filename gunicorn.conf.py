"""What `gunicorn wsgi:app` reads."""

import ctypes
import gc
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from logging.config import dictConfig
from pathlib import Path
from typing import Any

from gunicorn import glogging, util
from gunicorn.http import wsgi
from werkzeug.http import HTTP_STATUS_CODES

sys.path.insert(0, str(Path(__file__).parent))
settings = import_module("config").from_environment()  # a bad one ends the start here
app, logs = import_module("omnidesk.api.app"), import_module("omnidesk.logs")
on_every_answer = (*app.ON_ALL, app.CLOSED, app.PRIVATE)

bind = f"127.0.0.1:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
worker_class = "gthread"
threads = settings.THREADS
keepalive = 75  # longer than nginx keeps an idle connection to us, so that nginx closes first
timeout = 30
graceful_timeout = 30
max_requests = 100_000
max_requests_jitter = 10_000
preload_app = True  # one copy of the code for all workers; bad settings end the start
control_socket_disable = True
limit_request_line = 8190  # more than nginx lets through: its limits bite first
limit_request_field_size = 8190
forwarder_headers = ""  # nothing that a client sends may move the app to another path
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a heartbeat file


# What hashing a password takes, 19 MB, goes back to the system at once: glibc would keep as much
# for each thread. (mallopt's M_MMAP_THRESHOLD is -3; other C libraries have no mallopt.)
with suppress(AttributeError, OSError):
    ctypes.CDLL(None).mallopt(-3, 1024 * 1024)


def write_error(sock: Any, status: int, reason: str, _message: str) -> None:
    """Answer a request that never reaches the app in the API's envelope."""
    reason = HTTP_STATUS_CODES.get(status, reason)
    body = f'{{"detail":"{reason}"}}\n'
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json"
    for name, value in on_every_answer:
        head += f"\r\n{name}: {value}"
    util.write_nonblock(sock, f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


util.write_error = write_error  # gunicorn has no setting for this page


class Log(glogging.Logger):  # type: ignore[misc]
    """gunicorn's log in our own lines. Of requests the app keeps one, so gunicorn need not."""

    def setup(self, cfg: Any) -> None:
        """Set up the loggers, gunicorn's among them."""
        super().setup(cfg)
        dictConfig(logs.config(settings.ENV))


logger_class = Log


class OnePacket(wsgi.Response):  # type: ignore[misc]
    """An answer whose head waits for its body: the client and nginx wake up once, not twice."""

    head = b""
    headers_sent: bool
    sound = frozenset((*on_every_answer, ("Content-Type", "application/json")))

    def process_headers(self, headers: list[tuple[str, str]]) -> None:
        """Take the app's headers, and look only at those that are not on every answer."""
        self.headers += [header for header in headers if header in self.sound]
        super().process_headers([header for header in headers if header not in self.sound])

    def send_headers(self) -> None:
        """Make the head, which is sent with what comes first."""
        if not self.headers_sent:
            fields = (f"{name}: {value}\r\n" for name, value in self.headers)
            self.head = "".join((*self.default_headers(), *fields, "\r\n")).encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            self.flush()
            super()._emit_body(data)
        else:
            self.head, whole = b"", self.head + data
            util.write(self.sock, whole)

    def flush(self) -> None:
        """Send the head, if it has not been."""
        if self.head:
            self.head, head = b"", self.head
            util.write(self.sock, head)

    def sendfile(self, respiter: Any) -> Any:
        """Send a file, its head before it."""
        self.send_headers()
        self.flush()
        return super().sendfile(respiter)

    def close(self) -> None:
        """End the answer, which may have had no body."""
        self.send_headers()
        self.flush()
        super().close()


wsgi.Response = OnePacket  # gunicorn has no setting for this class


def when_ready(server: Any) -> None:
    """Say what is open, so that no operator has to guess; share with the workers what is there."""
    if sys.platform == "linux":
        for listener in server.LISTENERS:
            # A connection on which nothing is asked, as browsers open them, waits in the kernel
            # and not in a thread. The number is how many seconds at most.
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, keepalive)
    gc.collect()
    gc.freeze()  # a collector that never looks at it leaves it where all workers see it
    readable = ", ".join(settings.PUBLIC_READS) or "nothing"
    server.log.info("%s mode; readable without a token: %s", settings.ENV, readable)


def post_fork(server: Any, _worker: Any) -> None:
    """Let no worker use a connection that another process opened, or miss an early stop."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # gunicorn's own handler comes later
    from omnidesk.db import db

    app = server.app.wsgi()
    with app.app_context():
        db.engine.dispose(close=False)
