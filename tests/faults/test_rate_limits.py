"""Rate limits that several workers count together, in each storage, and that outlive a restart."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.conftest import Caller
from tests.postgres import free_port
from tests.servers import gunicorn, process, run_concurrently

LOGIN = "/api/login"


@contextmanager
def started(storage: str, tmp_path: Path) -> Iterator[str]:
    """Yield the setting for where counts are kept: in the database, or in a Redis of our own."""
    if storage == "database":
        yield "database://"
        return
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with process([*command, "--dir", tmp_path], tmp_path / "redis.log"):
        yield f"redis://127.0.0.1:{port}"


# What Redis counts is the same on each database.
in_each_storage = pytest.mark.parametrize(
    ("database_url", "storage"),
    [("sqlite", "database"), ("postgresql", "database"), ("sqlite", "redis")],
    indirect=["database_url"],
    scope="session",
)


@in_each_storage
def test_all_workers_count_together_and_a_restart_forgets_nothing(
    environment: dict[str, str], tmp_path: Path, storage: str, agent: Caller
) -> None:
    limits = {
        "RATE_LIMIT_TOKEN": "100 per 5 minutes",
        "RATE_LIMIT_LOGIN_ADDRESS": "",
    }

    def ask(address: str) -> int:
        return requests.get(f"{address}/api/me", headers=agent.headers, timeout=30).status_code

    def fail(address: str) -> int:
        body = {"username": "nobody", "password": "wrong"}
        return requests.post(f"{address}{LOGIN}", json=body, timeout=30).status_code

    with started(storage, tmp_path) as url:
        settings = environment | limits | {"RATE_LIMIT_STORAGE": url}
        with gunicorn(settings, tmp_path) as address:
            asked = Counter(ask(address) for _ in range(120))
            failed = [fail(address) for _ in range(7)]
        with gunicorn(settings, tmp_path) as address:
            again, failed_again = ask(address), fail(address)

    assert 100 <= asked[200] <= 105, "a worker counts a twentieth by itself"
    assert asked[429] == 120 - asked[200]
    assert failed == [401] * 5 + [429] * 2
    assert failed_again == 429
    assert again == 429


@in_each_storage
def test_guesses_at_once_are_counted_before_they_are_checked(
    environment: dict[str, str], tmp_path: Path, storage: str, anybody: Caller
) -> None:
    body = {"username": "nobody", "password": "wrong"}

    with (
        started(storage, tmp_path) as url,
        gunicorn(environment | {"RATE_LIMIT_STORAGE": url}, tmp_path) as server,
    ):
        answers = run_concurrently(
            40, lambda _: requests.post(server + LOGIN, json=body, timeout=30)
        )

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 35}
