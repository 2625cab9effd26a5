"""The servers that are measured, each on loopback and kept to one core, the load on the other."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psycopg

from tests.postgres import free_port
from tests.postgres import running as running_postgres
from tests.servers import ROOT, environ, process, wait_for

OURS = ROOT / ".venv" / "bin"
PEERS = Path(sys.executable).parent
KEY = "a key of the benchmarks' own, of 32 bytes and more"
PASSWORD = "correct horse battery"
COUNTED = "1000000 per minute"  # more than anybody can, but counted all the same
OPEN = "events,tickets,conversations,clients"
GTHREAD = [
    "--no-control-socket",
    "-k",
    "gthread",
    "--threads",
    "4",
    "-w",
    "1",
    "--keep-alive",
    "75",
]
DURABLE = ("max_connections=60",)


class Plan(NamedTuple):
    """How much is measured."""

    sizes: tuple[int, ...]
    rounds: int
    seconds: int  # of load in a round
    warm: int  # rounds before those that count
    free: bool  # whether also with nobody kept to a core
    requests: int  # in which memory may not grow
    writing: float  # seconds


class Server(NamedTuple):
    """A server that answers on a port of loopback."""

    port: int
    process: subprocess.Popen[bytes]

    def pids(self) -> list[int]:
        """Give the processes that answer: the children, or the only one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()] or [self.process.pid]

    def keep_to(self, cores: set[int]) -> None:
        """Let every thread of it run on these cores only."""
        for pid in [self.process.pid, *self.pids()]:
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), cores)


class Caller:
    """Somebody who calls a server on one connection that is kept."""

    def __init__(self, server: Server, token: str = "") -> None:
        self.connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def close(self) -> None:
        """End the connection: a server that stops waits a while for those that are kept."""
        self.connection.close()

    def send(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str]:
        """Give the status, the body and the Link header of an answer."""
        kind = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, path, body, self.headers | kind)
        answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Link", "")

    def get(self, path: str) -> Any:
        """Give what a path has."""
        status, body, _ = self.send("GET", path)
        if status != 200:
            raise RuntimeError(f"{path}: {status} {body[:200]!r}")
        return orjson.loads(body)


def settings(database_url: str, reads: str = OPEN, limit: str = COUNTED) -> dict[str, str]:
    """Give the environment of a server on a database, with what may be read without a token."""
    return {
        "DATABASE_URL": database_url,
        "SECRET_KEY": KEY,
        "PUBLIC_READS": reads,
        "RATE_LIMIT_TOKEN": limit,
        "RATE_LIMIT_ANONYMOUS": limit,
    }


@contextmanager
def running(command: list[Any], env: dict[str, str], cwd: Path, path: str) -> Iterator[Server]:
    """Start a server whose command takes PORT from the environment."""
    port = free_port()
    command = [str(word).replace("PORT", str(port)) for word in command]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with process(command, log, env=environ({**env, "PORT": str(port)}), cwd=cwd) as server:
            wait_for(f"http://127.0.0.1:{port}{path}", log)
            yield Server(port, server)


@contextmanager
def ours(
    database_url: str,
    *options: str,
    workers: int = 1,
    reads: str = OPEN,
    limit: str = COUNTED,
) -> Iterator[Server]:
    """Serve the desk as it is."""
    env = settings(database_url, reads, limit) | {"WEB_CONCURRENCY": str(workers)}
    with running([OURS / "gunicorn", *options, "wsgi:app"], env, ROOT, "/healthz") as server:
        yield server


@contextmanager
def contenders(database_url: str, reads: str) -> Iterator[dict[str, Server]]:
    """Serve a desk's tickets in every way that is compared."""
    folder, env = ROOT / "benchmarks" / "peers", settings(database_url, reads)
    gunicorn = [PEERS / "gunicorn", *GTHREAD, "-b", "127.0.0.1:PORT"]
    uvicorn = [PEERS / "uvicorn", "--no-access-log", "--port", "PORT"]
    commands: dict[str, list[Any]] = {
        "FastAPI": [*uvicorn, "fastapi_desk:app"],
        "Django REST framework": [*gunicorn, "drf_desk:app"],
        "floor": [*gunicorn, "floor:app"],
    }
    with ExitStack() as stack:
        servers = {"OmniDesk": stack.enter_context(ours(database_url, reads=reads))}
        for name, command in commands.items():
            started = running(command, env, folder, "/api/tickets/1")
            servers[name] = stack.enter_context(started)
        yield servers


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Any]:
    """Give what makes the URL of a new database of a kind."""
    if kind == "SQLite":
        yield lambda name: f"sqlite:///{folder}/{name}.db"
        return
    with running_postgres(DURABLE) as url:

        def create(name: str) -> str:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return url.replace("/postgres", f"/{name}")

        yield create


def seeded(database_url: str, tickets: int) -> str:
    """Fill a database with that many tickets and messages; give the URL."""
    size = ["--tickets", str(tickets), "--messages", str(tickets), "--events", str(tickets // 10)]
    for command in (
        ["init-db"],
        ["create-user", "bench", "--role", "admin", "--password", PASSWORD],
        ["seed", *size],
    ):
        flask: list[Any] = [OURS / "flask", "--app", "wsgi", *command]
        env = environ(settings(database_url))
        subprocess.run(flask, env=env, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return database_url


def log_in(server: Server) -> str:
    """Give an access token."""
    body = orjson.dumps({"username": "bench", "password": PASSWORD})
    with closing(Caller(server)) as anybody:
        return str(orjson.loads(anybody.send("POST", "/api/login", body)[1])["access_token"])
