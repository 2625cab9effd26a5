"""The matrix: every route and method of the app, by everybody who might call."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest
from flask import Flask

from omnidesk.auth.models import SCOPES
from tests.conftest import Caller, make_user

PUBLIC, PEOPLE = "public", "people"  # instead of a scope: for anybody; for sessions alone


class Row(NamedTuple):
    """A route: the scope that an API token needs, and who else is let in."""

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
    Row("GET /api/users/*/history", "changes:read", admins=True),
    Row("GET /api/summary", "summary:read"),
    Row("GET /api/events", "events:read", "events"),
    Row("GET /api/events/*", "events:read", "events"),
    Row("GET /api/events/*/history", "changes:read"),
    Row("POST /api/events", "events:write"),
    Row("PATCH /api/events/*", "events:write"),
    Row("DELETE /api/events/*", "events:write"),
    Row("GET /api/tickets", "tickets:read", "tickets"),
    Row("GET /api/tickets/*", "tickets:read", "tickets"),
    Row("GET /api/tickets/*/history", "changes:read"),
    Row("POST /api/tickets", "tickets:write"),
    Row("PATCH /api/tickets", "tickets:write"),
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
    Row("GET /api/clients/*/history", "changes:read"),
    Row("POST /api/clients", "clients:write"),
    Row("PATCH /api/clients/*", "clients:write"),
    Row("DELETE /api/clients/*", "clients:write"),
    Row("GET /api/conversations", "conversations:read", "conversations"),
    Row("GET /api/conversations/*", "conversations:read", "conversations"),
    Row("GET /api/conversations/*/history", "changes:read"),
    Row("POST /api/conversations", "conversations:write"),
    Row("PATCH /api/conversations/*", "conversations:write"),
    Row("GET /api/conversations/*/messages", "conversations:read", "conversations"),
    Row("POST /api/conversations/*/messages", "messages:write"),
    Row("GET /api/conversations/*/messages/*", "conversations:read", "conversations"),
    Row("GET /api/changes", "changes:read"),
    Row("GET /healthz", PUBLIC),
    Row("GET /readyz", PUBLIC),
    Row("GET /api/openapi.json", PUBLIC),
    Row("GET /api/docs", PUBLIC),
    Row("GET /api/docs/assets/*", PUBLIC),
)


def test_every_route_of_the_app_has_its_row(app: Flask) -> None:
    served = {
        f"{method} {re.sub('<[^>]*>', '*', rule.rule)}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {row.route for row in MATRIX} == served
    assert {row.scope for row in MATRIX} - {PUBLIC, PEOPLE} == {*SCOPES} - {"messages:relay"}


@pytest.fixture(params=["", "events,tickets,conversations,clients"], ids=["closed", "open"])
def desk(request: pytest.FixtureRequest, app_with: Any) -> Flask:
    """The app with reads that need a token, or do not."""
    opened: Flask = app_with(PUBLIC_READS=request.param.split(",") if request.param else [])
    return opened


def ask(row: Row, caller: Caller) -> int:
    """Give the status that a route answers, with a body that says nothing."""
    method, _, path = row.route.partition(" ")
    body: dict[str, Any] = {} if method == "GET" else {"json": {}}
    address = path.replace("/tags/*", "/tags/vip").replace("*", "424242")
    return int(getattr(caller, method.lower())(address, **body).status_code)


def with_token(app: Flask, token: str) -> Caller:
    """Give a caller with this token."""
    caller = Caller(app)
    caller.headers["Authorization"] = f"Bearer {token}"
    return caller


def bot(app: Flask, user: Any, scopes: list[str]) -> Caller:
    """Give a caller with an API token of a user's."""
    made = Caller(app, user).post("/api/tokens", json={"name": "Bot", "scopes": scopes})
    return with_token(app, made.json["token"])


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.route)
def test_who_is_let_in(app_with: Any, desk: Flask, row: Row) -> None:
    admin, agent = make_user("admin1", role="admin"), make_user("emp1")
    inactive = make_user("off1", active=False)
    expired = app_with(JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=-1))
    public = row.scope == PUBLIC
    is_open = public or row.opened_by in desk.config["PUBLIC_READS"]
    grantable = row.scope in SCOPES
    others = [scope for scope in SCOPES if scope != row.scope]

    def may(allowed: bool, otherwise: int) -> Callable[[int], bool]:
        return lambda status: status not in (401, 403, 429) if allowed else status == otherwise

    expected = {
        "anonymous": (Caller(desk), may(is_open, 401)),
        "a bad token": (with_token(desk, "a.b.c"), may(public, 401)),
        "an expired token": (with_token(desk, Caller(expired, agent).token), may(public, 401)),
        "an inactive user": (Caller(desk, inactive), may(public, 401)),
        "an empleado": (Caller(desk, agent), may(not row.admins, 403)),
        "an admin": (Caller(desk, admin), may(True, 0)),
        "the other scopes": (bot(desk, admin, others), may(public, 403)),
    }
    if grantable:
        expected["the scope, an admin's"] = bot(desk, admin, [row.scope]), may(True, 0)
        expected["the scope, an empleado's"] = (
            bot(desk, agent, [row.scope]),
            may(not row.admins, 403),
        )

    answers = {name: ask(row, caller) for name, (caller, _) in expected.items()}

    assert {
        name: answers[name] for name, (_, fits) in expected.items() if not fits(answers[name])
    } == {}
