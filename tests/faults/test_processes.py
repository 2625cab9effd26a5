"""nginx, the server and its workers are killed, frozen or reloaded while users write."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
import requests

from tests import postgres
from tests.conftest import KEY
from tests.faults.writers import Writer, Writers, rows_of
from tests.postgres import free_port
from tests.reliability import record
from tests.servers import (
    BIN,
    ROOT,
    environ,
    flask,
    plain_site,
    process,
    start_nginx,
    wait_for,
)

DATABASES = ("sqlite", "postgresql")
TIMEOUT = 3  # seconds without a sign of life after which a worker is replaced
UNANSWERED = {502, 503, 504, "ConnectionError", "ChunkedEncodingError"}


@pytest.fixture(scope="module", params=DATABASES)
def database_url(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database with the demo."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('data')}/desk.db"
        else:
            url = stack.enter_context(postgres.running(("fsync=off",)))
        made = flask(settings(url), "init-db", "--demo")
        assert made.returncode == 0, made.stderr
        yield url


def settings(url: str) -> dict[str, str]:
    """Return the settings of a server on a database."""
    limits = dict.fromkeys(("RATE_LIMIT_TOKEN", "RATE_LIMIT_LOGIN"), "90000 per minute")
    return {"DATABASE_URL": url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"} | limits


class Site:
    """gunicorn behind nginx, each started anew when told so."""

    def __init__(self, url: str, folder: Path, stack: ExitStack) -> None:
        self.url, self.folder, self.stack = url, folder, stack
        self.port, self.upstream, self.starts = free_port(), free_port(), 0
        self.address = f"http://127.0.0.1:{self.port}"

    def start_gunicorn(self) -> None:
        """Start the server, on the port that it had."""
        command = [BIN / "gunicorn", "--timeout", str(TIMEOUT), "--graceful-timeout", "5"]
        env = environ(settings(self.url) | {"PORT": str(self.upstream)})
        log = self.next_log()
        started = process([*command, "wsgi:app"], log, env=env, cwd=ROOT)
        self.gunicorn = self.stack.enter_context(started)
        wait_for(f"http://127.0.0.1:{self.upstream}/healthz", log)

    def start_nginx(self) -> None:
        """Start nginx, on the port that it had."""
        site, log = plain_site(self.port, self.upstream), self.next_log()
        self.nginx = self.stack.enter_context(start_nginx(site, log.with_suffix(".nginx")))
        wait_for(self.address, log)

    def next_log(self) -> Path:
        """Return a new file for a log."""
        self.starts += 1
        log = self.folder / str(self.starts)
        log.touch()
        return log

    def workers(self) -> list[int]:
        """Return the processes of the workers."""
        return children(self.gunicorn)


def children(parent: Popen[bytes]) -> list[int]:
    """Return the processes that a process has started."""
    with suppress(OSError):
        text = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text()
        return [int(number) for number in text.split()]
    return []


def kill_all(processes: list[int]) -> None:
    """Kill processes that may have ended."""
    for number in processes:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)


def wait_for_end(processes: list[int], seconds: float) -> None:
    """Return when processes have ended; raise TimeoutError."""
    end = time.monotonic() + seconds
    while any(Path(f"/proc/{number}").exists() for number in processes):
        if time.monotonic() > end:
            raise TimeoutError(processes)
        time.sleep(0.1)


@pytest.fixture(scope="module")
def site(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running site, which each fault leaves as it was."""
    folder = tmp_path_factory.mktemp("site")
    with ExitStack() as stack:
        site = Site(database_url, folder, stack)
        site.start_gunicorn()
        site.start_nginx()
        yield site
    for log in folder.glob("[0-9]"):
        assert "Traceback" not in log.read_text()


def kill_workers(site: Site) -> None:
    """Kill both workers, three times."""
    for _ in range(3):
        kill_all(site.workers())
        time.sleep(1.5)


def kill_server(site: Site) -> None:
    """Kill gunicorn's master, and start it again when its workers have noticed."""
    workers = site.workers()
    kill_all([site.gunicorn.pid])
    site.gunicorn.wait()
    wait_for_end(workers, 10)
    site.start_gunicorn()


def freeze_worker(site: Site) -> None:
    """Stop a worker, until gunicorn kills it."""
    worker = site.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    wait_for_end([worker], TIMEOUT * 3)


def kill_nginx(site: Site) -> None:
    """Kill nginx and its workers, and start it again."""
    kill_all([site.nginx.pid, *children(site.nginx)])
    site.nginx.wait()
    time.sleep(0.5)
    site.start_nginx()


def reload_server(site: Site) -> None:
    """Let gunicorn replace its workers, as `systemctl reload` does."""
    workers = site.workers()
    site.gunicorn.send_signal(signal.SIGHUP)
    wait_for_end(workers, 20)


def reload_nginx(site: Site) -> None:
    """Let nginx read its settings again, three times."""
    for _ in range(3):
        site.nginx.send_signal(signal.SIGHUP)
        time.sleep(0.7)


FAULTS: dict[str, tuple[Callable[[Site], None], set[Any]]] = {
    "workers killed": (kill_workers, UNANSWERED),
    "server killed": (kill_server, UNANSWERED),
    "worker frozen": (freeze_worker, UNANSWERED),
    "nginx killed": (kill_nginx, UNANSWERED),
    "server reloaded": (reload_server, set()),
    "nginx reloaded": (reload_nginx, set()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_acknowledged_is_kept_and_the_site_comes_back(site: Site, fault: str) -> None:
    act, allowed = FAULTS[fault]
    users = [Writer.log_in(site.address, user) for user in ("admin", "user1", "agent2")]
    writers = Writers([site.address], users)

    with writers.writing():
        writers.write_more(20, 20)
        act(site)
        writers.write_more(20, 20)

    found = writers.faults(rows(site.url))
    database = "SQLite" if site.url.startswith("sqlite") else "PostgreSQL"
    record("fault", f"{fault} ({database})", *writers.figures(found))
    assert set(found.values()) == {0}, found
    assert set(writers.statuses) <= {200, 201} | allowed, writers.statuses
    assert writers.slowest < TIMEOUT * 3
    assert requests.get(f"{site.address}/readyz", timeout=10).status_code == 200


def rows(url: str) -> Callable[[str], Any]:
    """Return a function that returns the rows of a query."""
    if not url.startswith("sqlite"):
        return rows_of(url)

    def fetch(query: str) -> Any:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(query).fetchall()

    return fetch
