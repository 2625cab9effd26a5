"""A desk on SQLite whose files can be broken, and new databases of both kinds."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from omnidesk import migrations
from tests import postgres
from tests.conftest import KEY, Caller, dispose_engines, make_app, make_user
from tests.servers import gunicorn

# Root reads and writes whatever a file's mode is, unless it gives that up.
SUBJECT_TO_MODES = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]
PREFIX = SUBJECT_TO_MODES if os.geteuid() == 0 else []


class Desk:
    """A server, the files of its database, and what it was asked to store."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        self.folder, self.database = folder, folder / "data" / "desk.db"
        url = f"sqlite:///{self.database}"
        self.settings = {
            "DATABASE_URL": url,
            "SECRET_KEY": KEY,
            "OMNIDESK_ENV": "production",
            "RATE_LIMIT_TOKEN": "",
            "RATE_LIMIT_ANONYMOUS": "",
        }
        app = make_app(url)
        with app.app_context():
            migrations.upgrade()
            self.headers = Caller(app, make_user(role="admin")).headers
            dispose_engines()
        self.address = ""
        self.stored: list[int] = []

    def serve(self) -> Any:
        """Return the running server, a context manager."""
        return gunicorn(self.settings, self.folder, prefix=PREFIX)

    def ready(self) -> int:
        """Return the status of the health check."""
        return requests.get(f"{self.address}/readyz", timeout=30).status_code

    def read(self) -> int:
        """Return the status of a list."""
        url = f"{self.address}/api/clients"
        return requests.get(url, headers=self.headers, timeout=30).status_code

    def write(self) -> int:
        """Return the status of a new row, and remember one that was acknowledged."""
        answer = requests.post(
            f"{self.address}/api/clients",
            headers=self.headers,
            json={"full_name": "Ada"},
            timeout=30,
        )
        if answer.status_code == 201:
            self.stored.append(answer.json()["client_id"])
        return answer.status_code

    def lost(self) -> list[int]:
        """Return the acknowledged rows that are not there."""
        url = f"{self.address}/api/clients"
        statuses = {
            row: requests.get(f"{url}/{row}", headers=self.headers, timeout=30).status_code
            for row in self.stored
        }
        return [row for row, status in statuses.items() if status != 200]

    def log(self) -> str:
        """Return what the server has logged."""
        return (self.folder / "gunicorn.log").read_text()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: Any) -> Iterator[Callable[[Path], str]]:
    """A function that returns the URL of a new database."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield lambda folder: f"sqlite:///{folder}/desk.db"
        else:
            server = stack.enter_context(postgres.running(("fsync=off", "max_connections=200")))
            yield lambda _: postgres.new_database(server)


@pytest.fixture
def stopped_desk(tmp_path: Path) -> Desk:
    """A desk whose server is not running yet."""
    return Desk(tmp_path)


@pytest.fixture
def desk(stopped_desk: Desk) -> Iterator[Desk]:
    """A desk whose two workers have read and written."""
    with stopped_desk.serve() as stopped_desk.address:
        for _ in range(8):
            assert (stopped_desk.read(), stopped_desk.write()) == (200, 201)
        yield stopped_desk


def eventually(status: Callable[[], int], expected: int) -> None:
    """Return when a status is as expected, eight times in a row; raise AssertionError if late."""
    give_up_at, row = time.monotonic() + 20, 0
    while row < 8:
        row = row + 1 if (seen := status()) == expected else 0
        assert time.monotonic() < give_up_at, seen
