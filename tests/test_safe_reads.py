"""Reading is safe (RFC 9110, section 9.2.1): no GET and no HEAD changes a row."""

import pytest
from flask import Flask

from omnidesk.auth.models import SCOPES, ApiToken
from tests.conftest import Caller, save
from tests.routes import contents, make_rows, reads


@pytest.fixture
def callers(app: Flask, admin: Caller, agent: Caller, anybody: Caller) -> list[Caller]:
    """An admin, an employee, a stranger and an integration, beside a row of each kind."""
    make_rows(admin.user)
    integration = Caller(app)
    row = save(ApiToken.new(admin.user.user_id, "All", SCOPES, None))
    integration.headers["Authorization"] = f"Bearer {row.token}"
    return [admin, agent, anybody, integration]


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize(
    "headers", [{}, {"If-None-Match": "*"}, {"Prefer": "count=exact", "If-Match": '"other"'}]
)
def test_no_read_changes_a_row(
    app: Flask, callers: list[Caller], method: str, headers: dict[str, str]
) -> None:
    before, paths = contents(), [*reads(app), "/api/tickets/424242", "/api/nothing", "/readyz"]

    for caller in callers:
        for path in paths:
            assert getattr(caller, method)(path, headers=headers).status_code < 500

    assert contents() == before


def test_an_admin_can_read_all_of_it(app: Flask, callers: list[Caller]) -> None:
    admin = callers[0]

    assert [path for path in reads(app) if admin.get(path).status_code != 200] == []


def test_a_message_stays_unread_until_a_user_writes_after_it(callers: list[Caller]) -> None:
    admin, agent, *_ = callers
    path = "/api/conversations/1/messages"

    for caller in callers:
        assert caller.get(path).status_code == 200
    assert admin.get("/api/summary").json["unread_messages"] == 1

    agent.post(path, json={"content": "Good morning"})
    assert admin.get("/api/summary").json["unread_messages"] == 0
