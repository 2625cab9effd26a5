"""Concurrent writers on four workers: unique names stay unique, and counts are always right."""

import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tests.security.conftest import TICKET, USER, Desk
from tests.servers import gunicorn, run_concurrently

TICKETS = "/api/tickets"


@pytest.fixture(scope="module")
def server(migrated_app: Any, environment: dict[str, str], tmp_path_factory: Any) -> Iterator[str]:
    """The address of gunicorn with four workers."""
    with gunicorn(environment, tmp_path_factory.mktemp("gunicorn"), workers=4) as address:
        yield address


def test_one_user_name_is_taken_once(desk: Desk) -> None:
    answers = run_concurrently(20, lambda _: desk.ask("POST", "/api/users", "admin", json=USER))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    users = desk.ask("GET", "/api/users").json()
    assert Counter(user["username"] for user in users)["new"] == 1


def test_a_request_sent_twice_without_a_key_makes_two_rows(desk: Desk) -> None:
    first, second = (desk.ask("POST", TICKETS, json=TICKET) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["ticket_id"] != second.json()["ticket_id"]


def test_no_writer_is_refused_and_every_count_is_right_meanwhile(desk: Desk) -> None:
    done, counts = threading.Event(), []

    def write(number: int) -> list[Any]:
        statuses = ("abierto", "en_progreso", "cerrado")
        body = TICKET | {"status": statuses[number % 3]}
        return [desk.ask("POST", TICKETS, json=body) for _ in range(10)]

    def watch() -> None:
        while not done.is_set():
            counts.append(desk.ask("GET", "/api/summary", "admin").json()["tickets"])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answers = [answer for some in run_concurrently(20, write) for answer in some]
    finally:
        done.set()
        watcher.join()

    assert Counter(answer.status_code for answer in answers) == {201: 200}
    made = {answer.json()["ticket_id"] for answer in answers}
    assert len(made) == 200
    assert made < {row["ticket_id"] for n in (0, 1) for row in listed(desk, 200 * n)}
    for earlier, later in pairwise(counts):
        assert all(earlier[name] <= later[name] for name in earlier)
    tickets = desk.ask("GET", "/api/summary").json()["tickets"]
    assert sum(tickets[name] for name in ("open", "in_progress", "closed")) == 201


def listed(desk: Desk, offset: int) -> Any:
    """Return up to two hundred tickets behind an offset."""
    return desk.ask("GET", f"{TICKETS}?limit=200&offset={offset}").json()
