"""The access matrix: every route and method of the app, by every kind of caller."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from flask import Flask

from config import READABLE
from omnidesk.auth.models import ADMIN_SCOPES, SCOPES
from omnidesk.http.openapi import NEAR_THE_DOCS
from tests.conftest import (
    PASSWORD,
    Caller,
    dispose_engines,
    make_app,
    make_user,
    on_postgresql,
    on_sqlite,
)

PUBLIC, PEOPLE = "public", "people"  # instead of a scope: for anybody; for sessions alone


class Row(NamedTuple):
    """A route: the scopes that an API token needs, and who else is let in."""

    route: str
    scope: str
    opened_by: str = ""  # the word in PUBLIC_READS that lets everybody read
    admins: bool = False


MATRIX = (
    Row("POST /api/login", PUBLIC),
    Row("POST /api/logout", PEOPLE),
    Row("POST /api/token/refresh", PEOPLE),
    Row("POST /api/me/password", PEOPLE),
    Row("GET /api/me/sessions", PEOPLE),
    Row("DELETE /api/me/sessions/*", PEOPLE),
    Row("POST /api/tokens", PEOPLE),
    Row("GET /api/tokens", PEOPLE),
    Row("GET /api/tokens/*", PEOPLE),
    Row("DELETE /api/tokens/*", PEOPLE),
    Row("GET /api/me", "users:read"),
    Row("GET /api/users", "users:read"),
    Row("GET /api/users/*", "users:read"),
    Row("POST /api/users", PEOPLE, admins=True),
    Row("PATCH /api/users/*", PEOPLE),
    Row("POST /api/users/*/release", PEOPLE, admins=True),
    Row("GET /api/users/*/history", "changes:read users:read", admins=True),
    Row("GET /api/summary", "summary:read"),
    Row("GET /api/search", "tickets:read conversations:read clients:read"),
    Row("GET /api/messages", "conversations:read", "conversations"),
    Row("GET /api/events", "events:read", "events"),
    Row("GET /api/events/*", "events:read", "events"),
    Row("GET /api/events/*/history", "changes:read events:read"),
    Row("POST /api/events", "events:write"),
    Row("PATCH /api/events/*", "events:write"),
    Row("DELETE /api/events/*", "events:write"),
    Row("GET /api/tickets", "tickets:read", "tickets"),
    Row("GET /api/tickets/*", "tickets:read", "tickets"),
    Row("GET /api/tickets/*/history", "changes:read tickets:read"),
    Row("POST /api/tickets", "tickets:write"),
    Row("PATCH /api/tickets", "tickets:write"),
    Row("POST /api/tickets/next", "tickets:write"),
    Row("PATCH /api/tickets/*", "tickets:write"),
    Row("GET /api/tags", "tickets:read", "tickets"),
    Row("PUT /api/tickets/*/tags/*", "tickets:write"),
    Row("DELETE /api/tickets/*/tags/*", "tickets:write"),
    Row("GET /api/tickets/*/comments", "comments:read"),
    Row("POST /api/tickets/*/comments", "comments:write"),
    Row("GET /api/comments/*", "comments:read"),
    Row("PATCH /api/comments/*", "comments:write"),
    Row("DELETE /api/comments/*", "comments:write"),
    Row("GET /api/clients", "clients:read", "clients"),
    Row("GET /api/clients/*", "clients:read", "clients"),
    Row("GET /api/clients/*/timeline", "clients:read tickets:read"),
    Row("GET /api/clients/*/history", "changes:read clients:read"),
    Row("GET /api/clients/*/identities", "clients:read", "clients"),
    Row("GET /api/clients/*/identities/*", "clients:read", "clients"),
    Row("POST /api/clients/*/identities", "clients:write"),
    Row("DELETE /api/clients/*/identities/*", "clients:write"),
    Row("POST /api/clients", "clients:write"),
    Row("PATCH /api/clients/*", "clients:write"),
    Row("POST /api/clients/*/merge", "clients:write", admins=True),
    Row("POST /api/clients/*/erase", "clients:write", admins=True),
    Row(
        "GET /api/clients/*/export",
        "clients:read tickets:read comments:read events:read conversations:read changes:read",
        admins=True,
    ),
    Row("DELETE /api/clients/*", "clients:write"),
    Row("GET /api/conversations", "conversations:read", "conversations"),
    Row("GET /api/conversations/*", "conversations:read", "conversations"),
    Row("GET /api/conversations/*/history", "changes:read conversations:read"),
    Row("POST /api/conversations", "conversations:write"),
    Row("PATCH /api/conversations/*", "conversations:write"),
    *(
        Row(f"POST /api/conversations/*/{action}", "conversations:write")
        for action in ("read", "unread", "takeover", "return")
    ),
    Row("POST /api/conversations/*/handoff", "messages:relay"),
    Row("POST /api/conversations/*/ticket", "tickets:write"),
    Row("GET /api/conversations/*/messages", "conversations:read", "conversations"),
    Row("POST /api/conversations/*/messages", "messages:write"),
    Row("GET /api/conversations/*/messages/*", "conversations:read", "conversations"),
    Row("PATCH /api/conversations/*/messages/*", "messages:relay", admins=True),
    Row("DELETE /api/conversations/*/messages/*", "messages:relay", admins=True),
    Row("POST /api/conversations/*/messages/*/retry", "messages:write"),
    Row("GET /api/channels", PEOPLE, admins=True),
    Row("GET /api/channels/*", PEOPLE, admins=True),
    Row("POST /api/channels", PEOPLE, admins=True),
    Row("PATCH /api/channels/*", PEOPLE, admins=True),
    Row("DELETE /api/channels/*", PEOPLE, admins=True),
    Row("POST /api/channels/*/test", PEOPLE, admins=True),
    Row("POST /api/inbound", "messages:relay", admins=True),
    Row("POST /api/hooks/*/*", PUBLIC),
    Row("GET /api/hooks/*/*", PUBLIC),
    Row("GET /api/channels/*/unsupported", PEOPLE, admins=True),
    *(
        Row(f"POST /api/imports/{name}", PEOPLE, admins=True)
        for name in ("clients", "tickets", "comments", "messages")
    ),
    Row("GET /api/changes", "changes:read"),
    *(
        Row(route, PEOPLE, admins=True)
        for route in (
            "GET /api/webhooks",
            "POST /api/webhooks",
            "GET /api/webhooks/*",
            "PATCH /api/webhooks/*",
            "DELETE /api/webhooks/*",
            "POST /api/webhooks/*/rotate",
            "POST /api/webhooks/*/test",
            "POST /api/webhooks/*/replay",
            "GET /api/webhooks/*/deliveries",
            "POST /api/webhooks/*/deliveries/*/retry",
        )
    ),
    Row("GET /healthz", PUBLIC),
    Row("GET /readyz", PUBLIC),
    Row("GET /api/openapi.json", PUBLIC),
    Row("GET /api/docs", PUBLIC),
    *(Row(f"GET {path}", PUBLIC) for path in NEAR_THE_DOCS),
    Row("GET /api/docs/assets/*", PUBLIC),
)
ROWS = {row.route: row for row in MATRIX}
# One row of each kind.
SAMPLE = [
    ROWS["POST /api/login"],
    ROWS["POST /api/tokens"],
    ROWS["POST /api/users"],
    ROWS["GET /api/users/*/history"],
    ROWS["GET /api/tickets"],
    ROWS["POST /api/tickets"],
    ROWS["GET /api/summary"],
]


def test_every_route_of_the_app_has_its_row(app: Flask) -> None:
    served = {
        f"{method} {re.sub('<[^>]*>', '*', rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {row.route for row in MATRIX} == served
    named = {scope for row in MATRIX for scope in row.scope.split()}
    assert named - {PUBLIC, PEOPLE} == {*SCOPES}


OPEN = {"closed": [], "open": [*READABLE]}


class Opened(NamedTuple):
    """An app, and what it lets everybody read."""

    app: Flask
    words: list[str]

    def ask(self, row: Row, token: str) -> int:
        """Return the status that a route answers, with a body that says nothing."""
        method, _, path = row.route.partition(" ")
        body: dict[str, Any] = {} if method == "GET" else {"json": {}}
        path = path.replace("/tags/*", "/tags/vip").replace("*", "424242")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = getattr(Caller(self.app), method.lower())(path, headers=headers, **body)
        return int(answer.status_code)


@pytest.fixture(scope="module", params=OPEN)
def opened(
    request: pytest.FixtureRequest, migrated_app: Flask, database_url: str
) -> Iterator[Opened]:
    """An app whose reads need a token, or do not."""
    words = OPEN[request.param]
    app = make_app(database_url, PUBLIC_READS=words)
    yield Opened(app, words)
    with app.app_context():
        dispose_engines()


@pytest.fixture(scope="module")
def expired_app(migrated_app: Flask, database_url: str) -> Iterator[Flask]:
    """An app whose access tokens have expired when they are made."""
    app = make_app(database_url, JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=-1))
    yield app
    with app.app_context():
        dispose_engines()


def bot(owner: Caller, scopes: list[str]) -> str:
    """Return an API token of a user's."""
    made = owner.post("/api/tokens", json={"name": "Bot", "scopes": scopes, "password": PASSWORD})
    return str(made.json["token"])


def wrong_statuses(
    row: Row, expired_app: Flask, opened: Opened, admin: Caller, agent: Caller
) -> dict[str, int]:
    """Return who is answered a route otherwise than its row says, and how."""
    inactive = Caller(agent.app, make_user("off1", active=False))
    public = row.scope == PUBLIC
    is_open = public or row.opened_by in opened.words
    scopes = row.scope.split()
    others = [scope for scope in SCOPES if scope != scopes[-1]]

    def may(allowed: bool, otherwise: int) -> Callable[[int], bool]:
        return lambda status: status not in (401, 403, 429) if allowed else status == otherwise

    expected = {
        "anonymous": ("", may(is_open, 401)),
        "a bad token": ("a.b.c", may(public, 401)),
        "an expired token": (Caller(expired_app, agent.user).token, may(public, 401)),
        "an inactive user": (inactive.token, may(public, 401)),
        "an empleado": (agent.token, may(not row.admins, 403)),
        "an admin": (admin.token, may(True, 0)),
        "the other scopes": (bot(admin, others), may(public, 403)),
    }
    if set(scopes) <= set(SCOPES):
        expected["the scopes, an admin's"] = bot(admin, scopes), may(True, 0)
    if set(scopes) <= set(SCOPES) - ADMIN_SCOPES:
        expected["the scopes, an empleado's"] = bot(agent, scopes), may(not row.admins, 403)

    answers = {name: opened.ask(row, token) for name, (token, _) in expected.items()}

    return {name: answers[name] for name, (_, fits) in expected.items() if not fits(answers[name])}


# Who may do what is decided before the database is asked; who is who, by the database.
@on_sqlite
@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.route)
def test_who_is_let_in(
    expired_app: Flask, opened: Opened, admin: Caller, agent: Caller, row: Row
) -> None:
    assert wrong_statuses(row, expired_app, opened, admin, agent) == {}


@on_postgresql
@pytest.mark.parametrize("row", SAMPLE, ids=lambda row: row.route)
def test_who_is_let_in_on_postgresql(
    expired_app: Flask, opened: Opened, admin: Caller, agent: Caller, row: Row
) -> None:
    assert wrong_statuses(row, expired_app, opened, admin, agent) == {}
