"""All writes at once, by one user, on the same rows: no deadlock, and nobody is refused."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
import requests

from tests import postgres
from tests.conftest import KEY
from tests.servers import flask, gunicorn, run_concurrently

LOGIN = {"username": "admin", "password": "secret"}
CALLERS, CALLS = 16, 25  # so many callers, and so many calls of each
MAX_CONNECTIONS = 2 * (2 * 4 + 5)  # of two workers: see docs/operations/postgresql.md


class Desk(NamedTuple):
    """A server with the demo on PostgreSQL, and an admin of it."""

    address: str
    headers: dict[str, str]
    user_id: int
    database_url: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """Return the response to the admin's request."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.address + path
        return requests.request(method, url, json=body, headers=sent, timeout=60)

    def fetch(self, sql: bytes) -> Any:
        """Return the first value that a query finds."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            row = connection.execute(sql).fetchone()
        return row and row[0]

    def deadlocks(self) -> int:
        """Return how many deadlocks PostgreSQL has ended so far."""
        return int(self.fetch(b"SELECT sum(deadlocks) FROM pg_stat_database"))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A server with the demo on PostgreSQL."""
    # A commit that takes long lets transactions overlap.
    with postgres.running(("fsync=off", "commit_delay=2000", "commit_siblings=1")) as url:
        environment = {"DATABASE_URL": url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"}
        environment |= {"RATE_LIMIT_LOGIN": "", "RATE_LIMIT_LOGIN_ADDRESS": ""}
        assert flask(environment, "init-db", "--demo").returncode == 0
        with gunicorn(environment, tmp_path_factory.mktemp("gunicorn")) as address:
            token = requests.post(f"{address}/api/login", json=LOGIN, timeout=20).json()
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            yield Desk(address, headers, token["user"]["user_id"], url)


def statuses_of(desk: Desk, act: Any) -> Counter[int]:
    """Let all callers make their calls at once; return how often each status was seen."""
    seen: Counter[int] = Counter()

    def call(number: int) -> None:
        for turn in range(CALLS):
            seen[act(number * CALLS + turn)] += 1

    run_concurrently(CALLERS, call)
    return seen


@pytest.mark.parametrize("profile", [False, True])
def test_one_user_posts_and_logs_in_at_once(desk: Desk, profile: bool) -> None:
    before = desk.deadlocks()
    me = f"/api/users/{desk.user_id}"

    def act(number: int) -> int:
        if number % 8:
            new = {"client_id": 55, "subject": "Help", "assigned_to": desk.user_id}
            return desk.ask("POST", "/api/tickets", new).status_code
        if profile:
            return desk.ask("PATCH", me, {"full_name": f"Admin {number}"}).status_code
        return desk.ask("POST", "/api/login", LOGIN).status_code

    seen = statuses_of(desk, act)

    assert seen == {201: CALLERS * CALLS * 7 // 8, 200: CALLERS * CALLS // 8}
    assert desk.deadlocks() == before


def test_all_writes_at_once(desk: Desk) -> None:
    before = desk.deadlocks()
    new = {"client_id": 55, "subject": "Help", "assigned_to": desk.user_id}
    tickets = [desk.ask("POST", "/api/tickets", new).json()["ticket_id"] for _ in range(6)]
    event = {"title": "Call", "start_time": "2030-11-01T15:00:00Z"}
    event["end_time"] = event["start_time"]
    conversation = {"client_id": 55, "channel": "web"}
    place = desk.ask("POST", "/api/conversations", conversation).headers["Location"]
    comments = f"/api/tickets/{tickets[0]}/comments"
    comment_at = desk.ask("POST", comments, {"body": "Called"}).headers["Location"]
    event_at = desk.ask("POST", "/api/events", event).headers["Location"]
    moved = [event, dict.fromkeys(("start_time", "end_time"), "2030-11-02T15:00:00Z")]
    moves = [{"ticket_id": tickets[n]} for n in range(2)] + [{"ticket_id": None}]
    other = desk.ask("POST", "/api/clients", {"full_name": "Eve"}).json()["client_id"]
    me, statuses = f"/api/users/{desk.user_id}", ("abierto", "en_progreso", "cerrado")

    def act(number: int) -> int:
        ticket, tag = tickets[number % 6], f"tag-{number % 3}"
        some = sorted(tickets, key=lambda ticket_id: hash((ticket_id, number)))
        status, key = statuses[number % 3], f"key-{number // 4}"
        writes: list[tuple[Any, ...]] = [
            ("POST", "/api/tickets", new),
            ("PATCH", f"/api/tickets/{ticket}", {"status": status, "assigned_to": desk.user_id}),
            ("PATCH", "/api/tickets", {"ticket_ids": some, "set": {"status": status}}),
            ("PUT", f"/api/tickets/{ticket}/tags/{tag}"),
            ("DELETE", f"/api/tickets/{ticket}/tags/{tag}"),
            ("POST", f"/api/tickets/{ticket}/comments", {"body": "Called back"}),
            ("PATCH", comment_at, {"body": f"Number {number}"}),
            ("PATCH", f"/api/tickets/{ticket}", {"client_id": (55, other)[number % 2]}),
            ("PATCH", "/api/tickets", {"ticket_ids": some, "set": {"client_id": other}}),
            ("PATCH", event_at, moves[number % 3]),
            ("POST", "/api/events", event | moves[number % 3]),
            ("POST", f"{place}/messages", {"sender": "client", "content": "Hello"}),
            ("POST", f"{place}/messages", {"content": "Hello"}),
            ("PATCH", place, {"handled_by_bot": number % 2 == 0}),
            ("POST", "/api/events", event),
            (
                "PATCH",
                event_at,
                moved[number % 2],
            ),
            ("PATCH", me, {"full_name": f"Admin {number}", "email": f"a{number}@example.com"}),
            ("PATCH", "/api/clients/55", {"full_name": f"Client {number}"}),
            ("DELETE", "/api/clients/55"),
            ("POST", "/api/login", LOGIN),
            ("POST", "/api/token/refresh"),
        ]
        if number % 17 == 0:
            body = new | {"subject": key}
            return desk.ask("POST", "/api/tickets", body, Idempotency_Key=key).status_code
        return desk.ask(*writes[number % len(writes)]).status_code

    seen = statuses_of(desk, act)

    assert set(seen) <= {200, 201, 204, 409}, "the client has tickets, so it is not deleted"
    assert desk.deadlocks() == before
    connections = b"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    assert desk.fetch(connections) - 1 <= MAX_CONNECTIONS


def test_clients_are_merged_while_their_tickets_change(desk: Desk) -> None:
    before = desk.deadlocks()
    for _ in range(10):
        one, two, three = (
            desk.ask("POST", "/api/clients", {"full_name": "Eve"}).json()["client_id"]
            for _ in range(3)
        )
        tickets = [
            desk.ask("POST", "/api/tickets", {"client_id": client, "subject": "x"}).json()
            for client in (one, two, one, two)
        ]
        ids = [ticket["ticket_id"] for ticket in tickets]
        writes: list[tuple[Any, ...]] = [
            ("POST", f"/api/clients/{one}/merge", {"into": two}),
            ("POST", f"/api/clients/{two}/merge", {"into": three}),
            ("PATCH", f"/api/tickets/{ids[0]}", {"comment": "Called", "priority": "alta"}),
            ("PATCH", f"/api/tickets/{ids[1]}", {"comment": "Called", "status": "cerrado"}),
            ("PATCH", "/api/tickets", {"ticket_ids": ids, "set": {"comment": "Called"}}),
            ("PATCH", "/api/tickets", {"ticket_ids": ids[::-1], "set": {"status": "cerrado"}}),
            ("POST", f"/api/tickets/{ids[2]}/comments", {"body": "Called"}),
            ("POST", f"/api/users/{desk.user_id}/release", {"to": None}),
        ]

        def act(number: int, writes: list[tuple[Any, ...]] = writes) -> int:
            return desk.ask(*writes[number % len(writes)]).status_code

        seen = {*run_concurrently(24, act)}
        assert seen <= {200, 201, 409}, (seen, desk.deadlocks() - before)
        assert desk.ask("GET", f"/api/tickets?client_id={two}").json() == []
    assert desk.deadlocks() == before
