"""Start the servers that are measured, and call them."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from benchmarks.desks import COUNTED, OPEN, PASSWORD, Desks, settings
from tests.postgres import free_port
from tests.servers import ROOT, STOP, environ, process, wait_for

PEERS = Path(sys.executable).parent
GTHREAD = (
    *("--no-control-socket", "--worker-class", "gthread", "--threads", "4", "--workers", "1"),
    *("--keep-alive", "75"),
)
OUR_WORKER = "omnidesk.http.gunicorn_worker.KeepAliveWorker"


class Server(NamedTuple):
    """A server process on a port of loopback, with the file it logs to."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        """Return the processes that answer: the children, or the only one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()] or [self.process.pid]

    def keep_to(self, cores: set[int]) -> None:
        """Run every thread of it on these cores only."""
        for pid in [self.process.pid, *self.pids()]:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores)


class Caller:
    """A client that calls a server on one connection, which it keeps."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def close(self) -> None:
        """Close the connection: a server that stops waits for those that are open."""
        self.connection.close()

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str]:
        """Send a request; return the status, the body and the Link header of the answer."""
        kind = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, path, body, self.headers | kind)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Link", "")

    def get(self, path: str) -> Any:
        """Return the JSON at a path; raise RuntimeError if the status is not 200."""
        return self.expect(200, "GET", path)

    def post(self, path: str, status: int, **fields: Any) -> Any:
        """Post a JSON object and return the answer; raise RuntimeError on another status."""
        return self.expect(status, "POST", path, orjson.dumps(fields))

    def expect(self, expected: int, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the JSON of an answer; raise RuntimeError if it has another status."""
        status, answer, _ = self.send(method, path, body)
        if status != expected:
            raise RuntimeError(f"{method} {path}: {status} {answer[:200]!r}")
        return orjson.loads(answer)


@contextmanager
def starting(command: list[Any], env: dict[str, str], cwd: Path) -> Iterator[Server]:
    """Start a server whose command holds PORT, and yield it before it answers."""
    port = free_port()
    command = [str(word).replace("PORT", str(port)) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with process(command, log, env=environ({**env, "PORT": str(port)}), cwd=cwd) as started:
            yield Server(port, started, log)


@contextmanager
def together(
    starts: dict[str, AbstractContextManager[Server]], path: str = "/api/tickets/1"
) -> Iterator[dict[str, Server]]:
    """Start several servers at once, and yield them by name when all answer at a path."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(start) for name, start in starts.items()}
        for server in servers.values():
            wait_for(f"http://127.0.0.1:{server.port}{path}", server.log)
        yield servers


def gunicorn(
    database_url: str,
    *options: str,
    workers: int = 1,
    reads: str = OPEN,
    limit: str = COUNTED,
    checkout: Path = ROOT,
) -> AbstractContextManager[Server]:
    """Start the application of a checkout, as in production, and do not wait."""
    env = settings(database_url, reads, limit) | {"WEB_CONCURRENCY": str(workers)}
    return starting([checkout / ".venv/bin/gunicorn", *STOP, *options, "wsgi:app"], env, checkout)


@contextmanager
def ours(database_url: str, *options: str, workers: int = 1) -> Iterator[Server]:
    """Serve the application, and yield the server when it answers."""
    start = gunicorn(database_url, *options, workers=workers)
    with together({"OmniDesk": start}, "/healthz") as servers:
        yield servers["OmniDesk"]


def both(desks: Desks, size: int, reads: str) -> dict[str, AbstractContextManager[Server]]:
    """Start the application as it was before, if that is compared, and as it is now."""
    starts = {}
    if desks.before:
        before = desks.before
        starts["before"] = gunicorn(before[size], reads=reads, checkout=before.checkout)
    return {**starts, "OmniDesk": gunicorn(desks[size], reads=reads)}


@contextmanager
def contenders(desks: Desks, size: int, reads: str) -> Iterator[dict[str, Server]]:
    """Serve a desk's tickets in every way that is compared; the peers come last."""
    peers, env = ROOT / "benchmarks" / "peers", settings(desks[size], reads)
    wsgi = [PEERS / "gunicorn", *GTHREAD, "-b", "127.0.0.1:PORT"]
    uvicorn = [PEERS / "uvicorn", "--no-access-log", "--port", "PORT"]
    starts = both(desks, size, reads)
    starts["FastAPI"] = starting([*uvicorn, "fastapi_desk:app"], env, peers)
    starts["Django REST framework"] = starting([*wsgi, "drf_desk:app"], env, peers)
    if reads:  # the floor checks no tokens
        same = [ROOT / ".venv/bin/gunicorn", *GTHREAD, "--worker-class", OUR_WORKER]
        path = {"PYTHONPATH": str(ROOT)}
        starts["floor"] = starting([*same, "-b", "127.0.0.1:PORT", "floor:app"], env | path, peers)
    with together(starts) as servers:
        yield servers


def log_in(server: Server, username: str = "bench") -> str:
    """Return a new access token."""
    with closing(Caller(server)) as caller:
        credentials = {"username": username, "password": PASSWORD}
        return str(caller.post("/api/login", 200, **credentials)["access_token"])
