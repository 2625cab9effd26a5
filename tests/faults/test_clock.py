"""The clock of the server's machine is set back, and forward, while it runs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import PASSWORD
from tests.faults.conftest import Desk
from tests.faults.writers import Writer
from tests.servers import flask

(LIBRARY,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
HOURS = 2
# Where the library leaves the monotonic clock alone, it breaks sleeping by that clock.
SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


@pytest.fixture
def set_clock(stopped_desk: Desk, tmp_path: Path) -> Callable[[int], None]:
    """A function that sets the server's clock so many hours from the right time."""
    offset = tmp_path / "offset"
    (tmp_path / "sitecustomize.py").write_text(SLEEP)
    stopped_desk.settings |= {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        # What a set clock does not move: the monotonic clock, and the times of files.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(tmp_path),
    }

    def set_to(hours: int) -> None:
        offset.write_text(f"{hours:+d}h\n")

    set_to(0)
    return set_to


def status(address: str, user: Writer) -> int:
    """Return the status of a request with a token."""
    return requests.get(f"{address}/api/me", headers=user.headers, timeout=30).status_code


def new_client(address: str, user: Writer) -> Any:
    """Return a new client."""
    url, body = f"{address}/api/clients", {"full_name": "Ada"}
    return requests.post(url, json=body, headers=user.headers, timeout=30).json()


@pytest.mark.parametrize("hours", [-HOURS, HOURS])
def test_tokens_are_valid_again_when_the_clock_is(
    stopped_desk: Desk, set_clock: Callable[[int], None], hours: int
) -> None:
    desk = stopped_desk
    password = ("--password", PASSWORD, "--role", "admin")
    desk.settings["OMNIDESK_ENV"] = "development"
    made = flask(desk.settings, "create-user", "ada", *password)
    assert made.returncode == 0, made.stderr
    with desk.serve() as address:
        before = Writer.log_in(address, "ada", PASSWORD)
        set_clock(hours)
        meanwhile = [status(address, before) for _ in range(8)]
        health = requests.get(f"{address}/readyz", timeout=30).status_code
        other = Writer.log_in(address, "ada", PASSWORD)
        created_at = datetime.fromisoformat(new_client(address, other)["created_at"])
        used = [status(address, other) for _ in range(8)]
        set_clock(0)
        after = [status(address, before) for _ in range(8)]

    assert meanwhile == [401] * 8
    assert (health, used) == (200, [200] * 8)
    off_by = created_at - datetime.now(UTC) - timedelta(hours=hours)
    assert abs(off_by) < timedelta(minutes=5)
    assert after == [200] * 8
    assert "Traceback" not in desk.log()
