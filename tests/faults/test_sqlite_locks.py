"""Another process holds the write lock of a SQLite database for many seconds."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from tests.conftest import PASSWORD
from tests.faults.conftest import Desk, eventually
from tests.servers import run_concurrently

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def write_lock(desk: Desk) -> Iterator[None]:
    """Let another process hold the write lock."""
    command = [sys.executable, "-c", HOLD, str(desk.database)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:
        assert holder.stdout.readline() == b"held\n"  # type: ignore[union-attr]
        yield
        holder.communicate()


def timed(method: str, url: str, **kwargs: Any) -> tuple[int, float, str | None]:
    """Return the status of a response, its seconds, and when to retry."""
    started_at = time.monotonic()
    answer = requests.request(method, url, timeout=60, **kwargs)
    return answer.status_code, time.monotonic() - started_at, answer.headers.get("Retry-After")


def test_writers_are_told_to_retry_within_their_time(stopped_desk: Desk) -> None:
    desk, body = stopped_desk, {"full_name": "Ada"}
    desk.settings["THREADS"] = "16"

    def write(_: int) -> tuple[int, float, str | None]:
        return timed("POST", f"{desk.address}/api/clients", json=body, headers=desk.headers)

    with desk.serve() as desk.address:
        eventually(desk.write, 201)
        with write_lock(desk):
            answers = run_concurrently(16, write)
        eventually(desk.write, 201)

    assert {status for status, _, _ in answers} == {503}
    assert all(retry_after for _, _, retry_after in answers)
    assert max(seconds for _, seconds, _ in answers) < 7  # 5.5, and what a busy machine adds


def test_readers_wait_for_no_writer(stopped_desk: Desk) -> None:
    desk = stopped_desk
    desk.settings["RATE_LIMIT_TOKEN"] = "100 per minute"  # so small that each request is stored
    with desk.serve() as desk.address:
        clients, bot = f"{desk.address}/api/clients", api_token(desk)
        calls = [(clients, desk.headers), (clients, bot), (f"{desk.address}/readyz", {})] * 8
        with write_lock(desk):
            answers = [timed("GET", url, headers=headers) for url, headers in calls]

    assert {status for status, _, _ in answers} == {200}
    assert max(seconds for _, seconds, _ in answers) < 1.5


def api_token(desk: Desk) -> dict[str, str]:
    """Return the header of an API token that was never used."""
    body: dict[str, Any] = {"name": "bot", "scopes": ["clients:read"]}
    url = f"{desk.address}/api/tokens"
    made = requests.post(url, json=body, headers=desk.headers, timeout=30)
    if made.status_code == 400:
        body["password"] = PASSWORD
        made = requests.post(url, json=body, headers=desk.headers, timeout=30)
    return {"Authorization": f"Bearer {made.json()['token']}"}
