"""The settings of `gunicorn wsgi:app`."""

import ctypes
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from logging.config import dictConfig
from pathlib import Path
from threading import Thread
from typing import Any

from gunicorn import glogging, util
from werkzeug.http import HTTP_STATUS_CODES

# Where standard output or error is closed, no socket may take its number: the log would go there.
while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
    pass
os.close(opened)

# SQLite counts every byte that it allocates, and all threads share the lock of that count, which
# nobody here reads. This must be said before `sqlite3` is imported; SQLITE_CONFIG_MEMSTATUS is 9.
with suppress(AttributeError, OSError):
    driver = find_spec("_sqlite3")
    if driver and driver.origin:
        ctypes.CDLL(driver.origin).sqlite3_config(9, 0)

sys.path.insert(0, str(Path(__file__).parent))
settings = import_module("config").from_environment()  # an invalid one ends the start here
middleware = import_module("omnidesk.http.middleware")
log_format = import_module("omnidesk.log_format")
shared_metrics = import_module("omnidesk.http.shared_metrics")
unread_bodies = import_module("omnidesk.http.unread_bodies")

bind = f"127.0.0.1:{settings.PORT}"
workers = settings.WEB_CONCURRENCY
worker_class = "omnidesk.http.gunicorn_worker.KeepAliveWorker"  # see "Shortcuts"
threads = settings.THREADS
keepalive = 75  # seconds; longer than nginx keeps an idle connection to us, so nginx closes first
timeout = 30
graceful_timeout = 30
max_requests = 100_000
max_requests_jitter = 10_000
preload_app = True  # one copy of the code for all workers; invalid settings end the start
control_socket_disable = True
limit_request_line = 8190  # bytes; more than nginx accepts, so its limits apply first
limit_request_field_size = 8190
limit_request_fields = 50  # gunicorn's time grows with the square of all their bytes
forwarder_headers = ""  # no header of a client may move the app to another path
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a heartbeat file

if settings.METRICS_TOKEN:
    shared_metrics.share(worker_tmp_dir)  # before the app is loaded


# Return the 19 MB that hashing a password takes to the system at once: glibc would keep as much
# for each thread. (mallopt's M_MMAP_THRESHOLD is -3; other C libraries have no mallopt.)
with suppress(AttributeError, OSError):
    ctypes.CDLL(None).mallopt(-3, 1024 * 1024)


def write_error(sock: Any, status: int, reason: str, _message: str) -> None:
    """Answer a request that gunicorn cannot parse in the API's JSON form of errors."""
    reason = HTTP_STATUS_CODES.get(status, reason)
    body = f'{{"detail":"{reason}"}}\n'
    head = f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json"
    headers = [*middleware.SECURITY_HEADERS, middleware.NO_CONTENT, middleware.PRIVATE]
    if settings.ENV == "development":  # in production nginx knows the Origin
        headers.append(("Access-Control-Allow-Origin", "*"))
    for name, value in headers:
        head += f"\r\n{name}: {value}"
    util.write_nonblock(sock, f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())


util.write_error = write_error  # gunicorn has no setting for this; see "Shortcuts" in CONTRIBUTING


def pre_request(_worker: Any, request: Any) -> None:
    """Announce a closed connection where a body stays unread; see "Shortcuts" in CONTRIBUTING."""
    unread_bodies.close_if_unread(request)


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's messages in our format. The app logs requests, so gunicorn does not."""

    def setup(self, cfg: Any) -> None:
        """Set up the loggers, gunicorn's among them."""
        super().setup(cfg)
        dictConfig(log_format.logging_config(settings.ENV))


logger_class = Logger


def on_starting(server: Any) -> None:
    """End the start with one line if something that it needs cannot be had."""
    require_free_ports(server)
    require_suitable_database(server)


def require_free_ports(server: Any) -> None:
    """End the start with one line if a port cannot be had; gunicorn would try for five seconds."""
    if server.master_pid or "LISTEN_FDS" in os.environ:
        return  # the port is handed over by the process that this one replaces, or by systemd
    for host, port in (place for place in server.cfg.address if isinstance(place, tuple)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise SystemExit(
                f"omnidesk cannot start on port {port}: {reason}. Choose another with PORT=NUMBER."
            ) from None


def require_suitable_database(server: Any) -> None:
    """End the start where the database cannot be worked with, but not where it is away."""
    from sqlalchemy.exc import SQLAlchemyError

    from omnidesk.db.requirements import require_suitable

    with asking_database(server), suppress(SQLAlchemyError):
        require_suitable()


@contextmanager
def asking_database(server: Any) -> Iterator[None]:
    """Let the database be asked before the workers begin, which use no connection of others."""
    from omnidesk.db.request_deadline import within_deadline
    from omnidesk.db.statements import drop_idle_connections

    with server.app.wsgi().app_context(), within_deadline():
        try:
            yield
        finally:
            drop_idle_connections()


def when_ready(server: Any) -> None:
    """Log what is public, and keep the loaded code in memory that the workers share."""
    for listener in server.LISTENERS:
        if sys.platform == "linux" and listener.sock.family != socket.AF_UNIX:
            # A connection without a request, as browsers open them, waits in the kernel and holds
            # no thread, for as many seconds at most.
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, keepalive)
    report_database(server)
    gc.collect()
    gc.freeze()  # the collector would write to these objects, and so copy them in each worker
    readable = ", ".join(settings.PUBLIC_READS) or "nothing"
    server.log.info("%s mode; readable without a token: %s", settings.ENV, readable)


def report_database(server: Any) -> None:
    """Log why the database is not ready, if so; its workers then know the file of SQLite."""
    from sqlalchemy.exc import SQLAlchemyError

    from omnidesk.db.constraints import error_message
    from omnidesk.health import database_problem

    with asking_database(server):
        try:
            problem = database_problem()
        except SQLAlchemyError as error:
            problem = error_message(error)
    if problem:
        server.log.error("The database is not ready. %s", problem)


def pre_fork(server: Any, worker: Any) -> None:
    """Assign a worker a place among those that share their metrics."""
    taken = (other.metrics_place for other in server.WORKERS.values())
    worker.metrics_place = shared_metrics.take_place(taken)


def post_worker_init(worker: Any) -> None:
    """Let requests that wait for changes be answered when their worker stops, and connect."""
    worker.wsgi.extensions["waiting"].is_stopping = lambda: not worker.alive
    Thread(target=connect, args=(worker.wsgi,), daemon=True).start()


def connect(app: Any) -> None:
    """Open the first connection before a request does: `restore` refuses while there is one."""
    from sqlalchemy.exc import SQLAlchemyError

    from omnidesk.db.request_deadline import within_deadline
    from omnidesk.health import database_problem

    with app.app_context(), within_deadline(), suppress(SQLAlchemyError, OSError):
        database_problem()


def worker_exit(server: Any, _worker: Any) -> None:
    """Count the last requests of a worker."""
    if metrics := server.app.wsgi().extensions.get("metrics"):
        metrics.count_all()


def child_exit(_server: Any, worker: Any) -> None:
    """Free the place of a worker that has ended."""
    shared_metrics.leave_place(worker.metrics_place)


def on_exit(_server: Any) -> None:
    """Leave no files."""
    shared_metrics.remove_files()


def post_fork(server: Any, _worker: Any) -> None:
    """Let no worker use a connection of another process, or miss an early SIGTERM."""
    os.environ.pop("SCRIPT_NAME", None)  # gunicorn answers 500 to other paths; the app knows it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # gunicorn sets its own handler later
    from omnidesk.db import db
    from omnidesk.db.statements import read_pool

    read_pool.cache_clear()
    app = server.app.wsgi()
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose(close=False)
