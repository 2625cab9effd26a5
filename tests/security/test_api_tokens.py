"""API tokens: what an integration may do, and how that ends."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select, update

from omnidesk.auth.models import SCOPES, ApiToken
from omnidesk.db import db, utcnow
from omnidesk.users.models import User
from omnidesk.users.passwords import hasher
from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_conversation,
    make_ticket,
    make_user,
)

ASKED = {"name": "Bot", "scopes": ["tickets:write", "tickets:read"], "password": PASSWORD}
NEW = "another correct horse"


def weak_hash(password: str) -> str:
    """Return a hash with other costs than the app's."""
    return hasher(1, 16, 1).hash(password)


def make(caller: Caller, *scopes: str, **fields: Any) -> Caller:
    """Return a caller with an API token of another's."""
    body = {"name": "Bot", "scopes": scopes or ["tickets:read"], "password": PASSWORD, **fields}
    answer = caller.post("/api/tokens", json=body)
    assert answer.status_code == 201, answer.json
    bot = Caller(caller.app)
    bot.headers = {"Authorization": f"Bearer {answer.json['token']}"}
    return bot


def test_a_token_is_shown_once_and_stored_as_a_digest(agent: Caller) -> None:
    answer = agent.post("/api/tokens", json=ASKED)

    assert answer.status_code == 201
    made = answer.json
    token = made.pop("token")
    assert (token[:4], len(token)) == ("odk_", 47)
    assert made["scopes"] == ["tickets:read", "tickets:write"]
    assert made["user_id"] == agent.user.user_id
    assert answer.headers["Cache-Control"] == "no-store"
    assert agent.get(answer.location).json == made
    assert agent.get("/api/tokens").json == [made]
    (row,) = db.session.execute(select(ApiToken.__table__)).all()
    db.session.rollback()
    assert token not in str(row)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["tickets:delete"]}, "scopes"),
        ({"scopes": ["users:write"]}, "scopes"),
        ({"scopes": "tickets:read"}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"token": "odk_mine"}, "token"),
        ({"user_id": 1}, "user_id"),
        ({"password": "wrong"}, "password"),
        ({"password": None}, "password"),
        ({"password": "nul\x00"}, "password"),
    ],
)
def test_a_token_with_invalid_fields_is_refused(agent: Caller, fields: Any, field: str) -> None:
    answer = agent.post("/api/tokens", json=ASKED | fields)

    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])
    assert agent.get("/api/tokens").json == []


def test_a_token_does_what_its_scopes_say_and_no_more(agent: Caller) -> None:
    client_id = make_client().client_id
    bot = make(agent, "tickets:write", "clients:read")
    body = {"client_id": client_id, "subject": "Help"}

    made = bot.post("/api/tickets", json=body)

    assert made.status_code == 201
    assert bot.put(f"{made.location}/tags/vip").status_code == 204
    assert bot.get("/api/clients").status_code == 200
    for path in (made.location, "/api/tickets", "/api/tags", "/api/summary", "/api/users"):
        answer = bot.get(path)
        assert (answer.status_code, answer.json) == (403, {"detail": "Forbidden"}), path
    assert bot.post("/api/clients", json={"full_name": "Ada"}).status_code == 403
    (newest, *_) = agent.get(f"{made.location}/history").json
    assert newest["actor"] == agent.user.user_id


def test_a_token_with_every_scope_is_still_no_session(admin: Caller) -> None:
    bot = make(admin, *SCOPES)

    assert bot.get("/api/me").status_code == 200
    for method, path in (
        ("post", "/api/users"),
        ("post", "/api/tokens"),
        ("get", "/api/tokens"),
        ("post", "/api/logout"),
        ("post", "/api/token/refresh"),
        ("post", "/api/me/password"),
        ("get", "/api/me/sessions"),
        ("patch", "/api/users/1"),
    ):
        assert getattr(bot, method)(path).status_code == 403, path


def test_a_token_may_not_do_what_its_user_may_not(agent: Caller, admin: Caller) -> None:
    assert make(agent, "users:read").get("/api/users/1/history").status_code == 403
    scopes = ("changes:read", "users:read")
    assert make(agent, *scopes).get("/api/changes?entity=user").json == []
    assert make(admin, *scopes).get("/api/changes?entity=user").json != []


@pytest.mark.parametrize("sender", ["client", "bot"])
def test_relaying_needs_its_scope_or_an_admin(agent: Caller, admin: Caller, sender: str) -> None:
    conversation = make_conversation(handled_by_bot=True)
    path = f"/api/conversations/{conversation.conversation_id}/messages"
    body = {"sender": sender, "content": "Hello"}
    callers = {
        agent: 403,
        admin: 201,
        make(agent, "messages:write"): 403,
        make(admin, "messages:write"): 403,
        make(admin, "messages:write", "messages:relay"): 201,
        make(admin, "messages:relay"): 403,
        make(agent, "conversations:write"): 403,
    }

    for caller, status in callers.items():
        assert caller.post(path, json=body).status_code == status

    assert agent.post(path, json={"content": "Hello"}).status_code == 201
    log = admin.get("/api/changes?entity=message").json
    assert [change["actor"] for change in log[:2]] == [admin.user.user_id] * 2


def test_only_an_admin_gives_out_a_token_that_relays(agent: Caller) -> None:
    asked = ASKED | {"scopes": ["messages:write", "messages:relay"]}

    answer = agent.post("/api/tokens", json=asked)

    assert (answer.status_code, answer.json) == (403, {"detail": "Forbidden"})
    assert agent.get("/api/tokens").json == []


@pytest.mark.usefixtures("admin")
def test_a_token_relays_only_while_its_user_is_an_admin(app: Any) -> None:
    other = Caller(app, make_user("admin2", role="admin"))
    bot = make(other, "messages:write", "messages:relay")
    path = f"/api/conversations/{make_conversation().conversation_id}/messages"
    said, relayed = {"content": "Hello"}, {"content": "Hello", "sender": "client"}
    assert bot.post(path, json=relayed).status_code == 201

    db.session.execute(update(User).filter_by(username="admin2").values(role="empleado"))
    db.session.commit()

    assert [bot.post(path, json=body).status_code for body in (relayed, said)] == [403, 201]


def test_a_token_is_made_with_its_users_password(agent: Caller) -> None:
    asked = {name: value for name, value in ASKED.items() if name != "password"}

    without = agent.post("/api/tokens", json=asked)
    wrong = [agent.post("/api/tokens", json=ASKED | {"password": "x"}) for _ in range(6)]

    assert (without.status_code, list(without.json["errors"])) == (400, ["password"])
    assert [answer.status_code for answer in wrong] == [400] * 5 + [429]
    assert wrong[0].json["errors"] == {"password": ["This is not your password."]}
    old = {"old_password": PASSWORD, "password": NEW}
    assert agent.post("/api/me/password", json=old).status_code == 429, "it is the same guess"
    assert agent.get("/api/tokens").json == []


def test_a_right_password_is_no_guess(agent: Caller) -> None:
    late = ASKED | {"expires_at": "2020-01-01T00:00:00Z"}

    answers = [agent.post("/api/tokens", json=body).status_code for body in [ASKED, late] * 4]

    assert answers == [201, 400] * 4


def change_own_password(agent: Caller, _: Caller) -> Any:
    """Let the user change the password."""
    return agent.post("/api/me/password", json={"old_password": PASSWORD, "password": NEW})


def set_password(agent: Caller, admin: Caller) -> Any:
    """Let an admin set the user's password."""
    return admin.patch(f"/api/users/{agent.user.user_id}", json={"password": NEW})


def deactivate(agent: Caller, admin: Caller) -> Any:
    """Let an admin deactivate the user, and let them in again."""
    path = f"/api/users/{agent.user.user_id}"
    admin.patch(path, json={"active": False})
    return admin.patch(path, json={"active": True})


@pytest.mark.parametrize("act", [change_own_password, set_password, deactivate])
def test_a_token_dies_with_the_password_and_with_a_deactivation(
    agent: Caller, admin: Caller, act: Any
) -> None:
    make_ticket()
    bot, other = make(agent), make(admin)
    assert bot.get("/api/tickets").status_code == 200

    assert act(agent, admin).status_code == 200

    assert [bot.get("/api/tickets").status_code, other.get("/api/tickets").status_code] == [
        401,
        200,
    ]
    assert [row["user_id"] for row in admin.get("/api/tokens").json] == [admin.user.user_id]


@pytest.mark.parametrize("change", [{"password": NEW}, {"active": False}])
@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
def test_a_token_dies_with_a_change_that_comes_while_it_is_made(
    admin: Caller,
    agent: Caller,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    headers: dict[str, str],
) -> None:
    make_token, path = ApiToken.new, f"/api/users/{agent.user.user_id}"
    answers: list[int] = []
    other = Thread(target=lambda: answers.append(admin.patch(path, json=change).status_code))

    def new(*args: Any, **fields: Any) -> ApiToken:
        other.start()
        other.join(timeout=0.5)
        return make_token(*args, **fields)

    monkeypatch.setattr(ApiToken, "new", new)
    made = agent.post("/api/tokens", json=ASKED, headers=headers)
    other.join()

    assert (made.status_code, answers) == (201, [200])
    assert db.session.scalars(select(ApiToken)).all() == []
    db.session.rollback()


def test_a_token_outlives_a_login_and_other_changes_of_its_user(
    agent: Caller, admin: Caller
) -> None:
    make_ticket()
    bot = make(agent)
    db.session.execute(update(User).values(password_hash=weak_hash(PASSWORD)))
    db.session.commit()

    login = {"username": agent.user.username, "password": PASSWORD}
    assert agent.post("/api/login", json=login).status_code == 200, "its hash is renewed"
    fields = {"full_name": "Other", "role": "admin", "active": True}
    assert admin.patch(f"/api/users/{agent.user.user_id}", json=fields).status_code == 200

    assert bot.get("/api/tickets").status_code == 200


def test_a_token_ends_when_it_is_revoked_expires_or_its_user_leaves(
    agent: Caller, admin: Caller
) -> None:
    make_ticket()
    soon = (utcnow() + timedelta(hours=1)).isoformat()
    revoked, expired, left = make(agent), make(agent, expires_at=soon), make(agent)
    assert [bot.get("/api/tickets").status_code for bot in (revoked, expired, left)] == [200] * 3

    agent.delete("/api/tokens/1")
    past = utcnow() - timedelta(seconds=1)
    db.session.execute(update(ApiToken).where(ApiToken.token_id == 2).values(expires_at=past))
    db.session.commit()

    assert [bot.get("/api/tickets").status_code for bot in (revoked, expired, left)] == [
        401,
        401,
        200,
    ]
    admin.patch(f"/api/users/{agent.user.user_id}", json={"active": False})
    assert left.get("/api/tickets").status_code == 401


def test_tokens_are_seen_and_revoked_by_their_user_and_admins(agent: Caller, admin: Caller) -> None:
    make(admin)
    make(agent)

    assert [row["token_id"] for row in agent.get("/api/tokens").json] == [2]
    assert [row["token_id"] for row in admin.get("/api/tokens").json] == [1, 2]
    assert agent.get("/api/tokens/1").status_code == 404
    assert agent.delete("/api/tokens/1").status_code == 404
    assert admin.delete("/api/tokens/2").status_code == 204
    assert agent.get("/api/tokens").json == []


def test_the_last_use_of_a_token_is_stored_to_the_minute(agent: Caller) -> None:
    bot = make(agent)
    assert agent.get("/api/tokens").json[0]["last_used_at"] is None

    bot.get("/api/tickets")
    first = agent.get("/api/tokens").json[0]["last_used_at"]
    past = utcnow() - timedelta(minutes=2)
    db.session.execute(update(ApiToken).values(last_used_at=past))
    db.session.commit()
    bot.get("/api/tickets")

    assert first is not None
    assert agent.get("/api/tokens").json[0]["last_used_at"] >= first


@pytest.mark.parametrize(
    "token", ["odk_", "odk_x", "odk_" + 43 * "a", "odk_" + 9000 * "a", "odk_\x7f"]
)
def test_a_string_like_a_token_is_401(anybody: Caller, token: str) -> None:
    answer = anybody.get("/api/summary", headers={"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json) == (401, {"detail": "Unauthorized"})
