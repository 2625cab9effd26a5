"""PostgreSQL frozen, slow, stopped or full: requests end in time, and nothing needs a restart."""

import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import requests
from sqlalchemy.engine import make_url

from tests import postgres
from tests.conftest import KEY
from tests.relay import Relay, relay
from tests.servers import flask, gunicorn, run_concurrently

LOGIN = {"username": "user1", "password": "secret"}
TICKET = {"client_id": 55, "subject": "Help"}
MAX_CONNECTIONS = 45


class Desk(NamedTuple):
    """A server with the demo, whose database is behind a relay."""

    address: str
    headers: dict[str, str]
    database_url: str  # without the relay
    network: Relay
    log: Path

    def ask(self, number: int = 0) -> tuple[int, float]:
        """Read, or write with an odd number; return the status and how many seconds it took."""
        url, started_at = f"{self.address}/api/tickets", time.monotonic()
        if number % 2:
            answer = requests.post(url, json=TICKET, headers=self.headers, timeout=60)
        else:  # with a token, and without one
            headers = self.headers if number % 4 else {}
            answer = requests.get(url, headers=headers, timeout=60)
        return answer.status_code, time.monotonic() - started_at

    def ask_for(self, seconds: float, callers: int = 16) -> list[tuple[int, float]]:
        """Let callers ask again and again for some time; return what they got."""
        end, seen = time.monotonic() + seconds, []

        def keep_asking(number: int) -> None:
            while time.monotonic() < end:
                seen.append(self.ask(number))
                time.sleep(0.1)

        run_concurrently(callers, keep_asking)
        return seen

    def recovers(self, seconds: float = 10) -> bool:
        """Return whether all requests succeed again within some seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if all(self.ask(number)[0] < 300 for number in range(16)):
                return True
            time.sleep(0.3)
        return False


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A server with the demo whose connections are all open."""
    settings = ("fsync=off", f"max_connections={MAX_CONNECTIONS}")
    with postgres.running(settings) as url, relay(make_url(url).port or 0) as network:
        behind = make_url(url).set(port=network.port).render_as_string(hide_password=False)
        limits = dict.fromkeys(("RATE_LIMIT_TOKEN", "RATE_LIMIT_ANONYMOUS"), "90000 per minute")
        environment = {"DATABASE_URL": behind, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"}
        assert flask(environment, "init-db", "--demo").returncode == 0
        with gunicorn(environment | limits, tmp_path) as address:
            token = requests.post(f"{address}/api/login", json=LOGIN, timeout=20).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            desk = Desk(address, headers, url, network, tmp_path / "gunicorn.log")
            desk.ask_for(2)
            yield desk
        assert "Traceback" not in desk.log.read_text()


@contextmanager
def health(address: str) -> Iterator[list[float]]:
    """Ask `/healthz` again and again meanwhile; yield how many seconds each answer took."""
    done, seconds = threading.Event(), []

    def watch() -> None:
        while not done.wait(0.5):
            started_at = time.monotonic()
            assert requests.get(f"{address}/healthz", timeout=60).status_code == 200
            seconds.append(time.monotonic() - started_at)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seconds
    finally:
        done.set()
        watcher.join()


@contextmanager
def frozen(database_url: str) -> Iterator[None]:
    """Stop all processes of a PostgreSQL meanwhile."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        row: Any = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    server = row[0].split()[0]
    command = ["ps", "-o", "pid=", "--ppid", server]
    children = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    processes = [int(server), *map(int, children)]
    try:
        send(signal.SIGSTOP, processes)
        yield
    finally:
        send(signal.SIGCONT, processes)


def send(number: signal.Signals, processes: list[int]) -> None:
    """Send a signal to all of these processes that still run."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def test_a_frozen_server_holds_no_request_up(desk: Desk) -> None:
    with frozen(desk.database_url), health(desk.address) as seconds:
        seen = desk.ask_for(25)

    assert {status for status, _ in seen} == {503}
    assert max(took for _, took in seen) < 20
    assert len(seconds) > 10
    assert max(seconds) < 6
    assert "The database does not answer: " in desk.log.read_text()
    assert desk.recovers()


def test_connections_that_went_silent_are_replaced(desk: Desk) -> None:
    desk.network.silence()

    with health(desk.address) as seconds:
        seen = desk.ask_for(14)

    statuses = Counter(status < 300 for status, _ in seen)
    assert statuses[True] > statuses[False], "others are answered on new connections meanwhile"
    assert max(took for _, took in seen) < 20
    assert max(seconds) < 6
    assert desk.recovers()


@pytest.mark.parametrize("delay", [0.3, 3])
def test_a_slow_network_ends_in_time(desk: Desk, delay: float) -> None:
    desk.network.delay = delay

    seen = desk.ask_for(10, callers=8)

    assert {status for status, _ in seen} <= {200, 201, 503}
    assert max(took for _, took in seen) < 20
    desk.network.delay = 0
    assert desk.recovers()


def test_a_server_that_is_away_for_a_while_is_found_again(desk: Desk) -> None:
    desk.network.refuse()

    with health(desk.address) as seconds:
        seen = desk.ask_for(5)

    assert {status for status, _ in seen} == {503}
    assert max(took for _, took in seen) < 5
    assert max(seconds) < 5
    desk.network.listen()
    assert desk.recovers()


def test_a_server_without_free_connections_is_used_again_when_it_has_some(desk: Desk) -> None:
    held: list[psycopg.Connection] = []
    take_all(held, desk.database_url)
    held[0].execute(
        "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE query ~ 'ticket'"
        " AND pid <> pg_backend_pid()"
    )
    take_all(held, desk.database_url)

    seen = desk.ask_for(3)

    assert 503 in {status for status, _ in seen}
    assert {status for status, _ in seen} <= {200, 201, 503}
    for connection in held:
        connection.close()
    assert desk.recovers()


def take_all(held: list[psycopg.Connection], url: str) -> None:
    """Take all connections that a server has left."""
    with suppress(psycopg.OperationalError):
        while len(held) < MAX_CONNECTIONS:
            held.append(psycopg.connect(url, autocommit=True))
