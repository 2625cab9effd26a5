"""Behind PgBouncer: in session mode all works, in transaction mode nothing starts."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from sqlalchemy.engine import make_url

from tests import postgres
from tests.conftest import KEY
from tests.faults import pgbouncer
from tests.postgres import free_port
from tests.servers import BIN, ROOT, environ, flask, gunicorn, run_concurrently

WHY = "set pool_mode=session for this database."
SETTINGS = ("statement_timeout", "synchronous_commit", "plan_cache_mode", "timezone")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A PostgreSQL with the demo."""
    with postgres.running(("fsync=off", "max_connections=80", "timezone=Asia/Tokyo")) as url:
        assert flask(environment(url), "init-db", "--demo").returncode == 0
        yield url


def environment(url: str) -> dict[str, str]:
    """Return the settings of a server on a database."""
    return {"DATABASE_URL": url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"}


def shown(url: str) -> list[Any]:
    """Return what settings another program finds on a connection of the pooler's."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in SETTINGS]
    return [row and row[0] for row in rows]


def test_session_mode_works_and_leaks_no_setting(database: str, tmp_path: Path) -> None:
    with pgbouncer.running(database, "session", free_port()) as url:
        before = shown(url)
        with gunicorn(environment(url), tmp_path) as address:
            login = {"username": "user1", "password": "secret"}
            token = requests.post(f"{address}/api/login", json=login, timeout=20).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}

            def use(number: int) -> int:
                new = {"client_id": 55, "subject": f"Number {number}"}
                url = f"{address}/api/tickets"
                made = requests.post(url, json=new, headers=headers, timeout=30)
                url += f"/{made.json()['ticket_id']}"
                read = requests.get(url, headers=headers, timeout=30)
                assert read.json()["subject"] == new["subject"]
                return int(made.status_code)

            statuses = [use(number) for number in range(10)] + run_concurrently(16, use)
            assert set(statuses) == {201}
            assert requests.get(f"{address}/readyz", timeout=20).status_code == 200
        log = (tmp_path / "gunicorn.log").read_text()
        assert "does not answer" not in log
        assert before == ["0", "on", "auto", "Asia/Tokyo"]
        assert [shown(url) for _ in range(3)] == [before] * 3


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_other_modes_are_refused_in_one_line(database: str, mode: str) -> None:
    with pgbouncer.running(database, mode, free_port()) as url:
        before = shown(url)
        started = subprocess.run(
            [BIN / "gunicorn", "wsgi:app"],
            env=environ(environment(url) | {"PORT": str(free_port())}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        made = flask(environment(url), "init-db")
        after = [shown(url) for _ in range(5)]

    assert started.returncode == made.returncode == 1
    *_, line = started.stderr.splitlines()
    assert line.startswith("omnidesk cannot start: ")
    assert line.endswith(WHY)
    assert made.stderr.count("\n") == 1
    assert made.stderr.strip() == line
    assert after == [before] * 5


def test_transaction_mode_that_comes_later_is_refused(database: str, tmp_path: Path) -> None:
    port = free_port()
    url = make_url(database).set(port=port).render_as_string(hide_password=False)
    with gunicorn(environment(url), tmp_path) as address:
        with pgbouncer.running(database, "transaction", port):
            before = shown(url)
            login = {"username": "user1", "password": "secret"}
            refused = [
                requests.get(f"{address}/api/tickets", timeout=20),
                requests.post(f"{address}/api/login", json=login, timeout=20),
            ]
            ready = requests.get(f"{address}/readyz", timeout=20)
            assert [shown(url) for _ in range(5)] == [before] * 5
        assert [answer.status_code for answer in refused] == [503, 503]
        assert ready.status_code == 503
        assert ready.json()["errors"]["database"][0].endswith(WHY)
        with pgbouncer.running(database, "session", port):
            assert requests.post(f"{address}/api/login", json=login, timeout=20).status_code == 200
