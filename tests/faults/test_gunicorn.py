"""Real gunicorn with two workers, and races that only real servers have."""

import select
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from omnidesk.db import db
from tests.conftest import Caller, make_conversation, on_postgresql, on_sqlite
from tests.faults.cluster import wait_until
from tests.postgres import free_port, new_database
from tests.servers import (
    BIN,
    ROOT,
    RawConnection,
    environ,
    flask,
    gunicorn,
    process,
    run_concurrently,
    wait_for,
)


@on_sqlite
def test_a_server_that_is_stopped_answers_what_was_begun(
    migrated_app: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "gunicorn.log"
    address, env = f"http://127.0.0.1:{port}", environ(environment | {"PORT": str(port)})
    with process([BIN / "gunicorn", "wsgi:app"], log, env=env, cwd=ROOT) as running:
        wait_for(f"{address}/healthz", log)
        with RawConnection(address) as connection:
            begin(connection, LOGIN + b"Content-Length: %d\r\n" % len(BODY))
            connection.send(BODY[:9])
            running.terminate()
            time.sleep(0.2)
            connection.send(BODY[9:])
            answer = connection.receive()
        running.wait(40)

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert running.returncode == 0


@on_sqlite
def test_a_server_that_is_stopped_lets_nobody_wait_for_changes(
    environment: dict[str, str], tmp_path: Path, agent: Caller
) -> None:
    port, log = free_port(), tmp_path / "gunicorn.log"
    address, env = f"http://127.0.0.1:{port}", environ(environment | {"PORT": str(port)})
    request = "GET /api/changes?after=latest&wait=25 HTTP/1.1\r\nHost: a\r\n"
    request += f"Authorization: {agent.headers['Authorization']}\r\n"
    with process([BIN / "gunicorn", "wsgi:app"], log, env=env, cwd=ROOT) as running:
        wait_for(f"{address}/healthz", log)
        with RawConnection(address) as first, RawConnection(address) as second:
            for connection in (first, second):
                begin(connection, request.encode())
            answered, _, _ = select.select([first.socket, second.socket], [], [], 0.5)
            running.terminate()
            answers = [first.receive(), second.receive()]
        running.wait(15)

    assert answered == []
    assert [(answer[:13], answer[-6:]) for answer in answers] == [
        (b"HTTP/1.1 200 ", b"\r\n\r\n[]")
    ] * 2
    assert running.returncode == 0


def begin(connection: RawConnection, head: bytes) -> None:
    """Send the head of a request, without the empty line; return when a thread has taken it."""
    connection.send(head + b"Expect: 100-continue\r\n\r\n")
    assert connection.receive(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.received = b""


def test_the_contract_is_served(server: str, agent: Caller) -> None:
    login = requests.post(
        f"{server}/api/login",
        json={"username": "emp1", "password": "correct horse"},
        timeout=5,
    )

    token = login.json()["access_token"]
    summary = requests.get(
        f"{server}/api/summary", headers={"Authorization": f"Bearer {token}"}, timeout=5
    )

    assert summary.json()["users_count"] == 1


def test_concurrent_retries_make_one_message(server: str, admin: Caller) -> None:
    conversation = make_conversation()
    url = f"{server}/api/conversations/{conversation.conversation_id}/messages"
    body = {"sender": "client", "content": "Hello", "external_message_id": "wamid.1"}

    def send(_: int) -> tuple[int, int]:
        answer = requests.post(url, json=body, headers=admin.headers, timeout=30)
        return answer.status_code, answer.json()["message_id"]

    answers = run_concurrently(20, send)

    assert Counter(status for status, _ in answers) == {201: 1, 200: 19}
    assert len({message_id for _, message_id in answers}) == 1


def raw(server: str, request: bytes) -> bytes:
    """Send bytes as they are and give what comes back until the server is done."""
    with RawConnection(server) as connection:
        connection.send(request)
        connection.socket.shutdown(socket.SHUT_WR)
        return connection.receive()


def test_a_static_file_is_sent_whole(server: str) -> None:
    answer = requests.get(f"{server}/api/docs/assets/swagger-ui.css", timeout=5)

    assert len(answer.content) == int(answer.headers["Content-Length"]) > 100_000


LOGIN = b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BODY = b'{"username":"nobody","password":"nothing"}'


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 500\r\n\r\n" + BODY,
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY + b"\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2a\r\n" + BODY + b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2a\r\n" + BODY + b"\r\n0\r\n:\r\n\r\n",
    ],
)
def test_a_body_that_is_not_as_announced_is_400(server: str, rest: bytes) -> None:
    answer = raw(server, LOGIN + rest)

    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b'{"detail":"Bad Request"' in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        b"GET /api/tickets HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /x\r\nConnection: close\r\n\r\n",
        b"GET /api/tickets HTTP/1.1\r\nHost: a\r\nPATH_INFO: /x\r\nConnection: close\r\n\r\n",
        b"GET http://evil/api/tickets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /api/tickets?x=%ff%fe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /api/tickets?\xff=\xfe HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /api/\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{",
        b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"garbage\r\n\r\n",
    ],
    ids=lambda request: repr(request[:40]),
)
def test_no_request_makes_a_500(server: str, request_: bytes) -> None:
    status = raw(server, request_).split(b"\r\n")[0]

    assert not status.startswith(b"HTTP/1.1 5"), status
    assert requests.get(f"{server}/healthz", timeout=5).status_code == 200


def test_init_db_may_run_three_times_concurrently(
    database_url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    if database_url.startswith("sqlite"):
        environment = environment | {"DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}
    else:
        environment = environment | {"DATABASE_URL": new_database(database_url)}

    runs = run_concurrently(3, lambda _: flask(environment, "init-db"))

    assert [run.returncode for run in runs] == [0, 0, 0], [run.stderr for run in runs]


@on_postgresql
def test_a_worker_has_one_connection_until_requests_need_more(
    app: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    url = environment["DATABASE_URL"] + "?application_name=counted"
    counted = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'counted'")

    def connections() -> int:
        db.session.rollback()  # the view shows what there was when the transaction began
        return db.session.scalar(counted) or 0

    with gunicorn(environment | {"DATABASE_URL": url}, tmp_path, workers=2) as address:
        wait_until(lambda: connections() >= 2, seconds=10)
        assert connections() == 2
        run_concurrently(8, lambda _: requests.get(f"{address}/api/tickets", timeout=5))
        assert 2 <= connections() <= 2 * 4
    db.session.rollback()


@on_sqlite
@pytest.mark.parametrize(
    ("env", "closed"),
    [
        ("production", "2>&-"),
        ("development", ">&- 2>&-"),
        ("production", "2>/dev/full"),
        ("development", "2>/dev/full"),
    ],
)
def test_a_log_that_cannot_be_written_stops_no_request(
    environment: dict[str, str], tmp_path: Path, env: str, closed: str
) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    with gunicorn(environment | {"OMNIDESK_ENV": env}, tmp_path, workers=1, prefix=shell) as url:
        statuses = [requests.get(f"{url}{path}", timeout=5).status_code for path in LOGGED]

    assert statuses == [200, 404, 401]


LOGGED = ("/healthz", "/nowhere", "/api/me")


@on_sqlite
def test_a_log_whose_reader_has_ended_stops_no_request(
    environment: dict[str, str], tmp_path: Path
) -> None:
    production = environment | {"OMNIDESK_ENV": "production"}
    shell = ["bash", "-c", 'exec "$@" 2> >(head -n 1 >/dev/null)', "bash"]
    with gunicorn(production, tmp_path, workers=1, prefix=shell) as url:
        statuses = [requests.get(f"{url}{path}", timeout=5).status_code for path in LOGGED]

    assert statuses == [200, 404, 401]


@on_sqlite
def test_no_control_socket_is_opened(environment: dict[str, str], tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    with gunicorn(environment | home, tmp_path):
        assert [path.name for path in tmp_path.rglob("*")] == ["gunicorn.log"]


@pytest.mark.parametrize(
    ("database_url", "zone"),
    [("sqlite", "America/Bogota"), ("postgresql", "Asia/Kathmandu")],
    indirect=["database_url"],
    scope="session",
)
def test_the_machines_time_zone_changes_nothing(
    environment: dict[str, str], tmp_path: Path, agent: Caller, zone: str
) -> None:
    event = {"title": "Call", "start_time": "2025-11-01T15:00:00Z"}
    event["end_time"] = "2025-11-01T17:30:00+02:00"
    with gunicorn(environment | {"TZ": zone}, tmp_path, workers=1) as address:
        url = f"{address}/api/events"
        made = requests.post(url, json=event, headers=agent.headers, timeout=5).json()
        found = requests.get(f"{url}?start=2025-11-01T15:00:00Z", timeout=5).json()

    assert made["end_time"] == "2025-11-01T15:30:00Z"
    assert found == [made]


@on_sqlite
@pytest.mark.parametrize("command", [[BIN / "gunicorn", "wsgi:app"], ["make", "run"]])
def test_a_port_that_is_in_use_is_named_in_one_line(
    environment: dict[str, str], command: list[Any]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        # Nothing is installed: `make` is told that .venv is there.
        start = subprocess.run(
            [*command, *(("-o", ".venv/runtime", f"PORT={port}") if command[0] == "make" else ())],
            env=environ(environment | {"PORT": port}),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    assert start.returncode != 0
    said = [line for line in start.stderr.splitlines() if " INFO " not in line]
    assert len(said) == 1, start.stderr
    assert port in said[0]
    assert "PORT=" in said[0]
    assert start.stdout == ""
