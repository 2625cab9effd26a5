"""Sessions: logout, refresh, passwords and keys, and what each does to tokens."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
import requests
from sqlalchemy import delete, select, update

from omnidesk.auth.models import UserSession
from omnidesk.db import db, utcnow
from omnidesk.users import passwords
from omnidesk.users.models import User
from tests.conftest import KEY, PASSWORD, Caller
from tests.servers import gunicorn, run_concurrently

NEW = "another correct horse"


def log_in(caller: Caller, password: str = PASSWORD, **headers: str) -> Any:
    """Answer a login of the caller's own user."""
    body = {"username": caller.user.username, "password": password}
    return Caller(caller.app).post("/api/login", json=body, headers=headers)


def encoded(part: bytes) -> str:
    """Return a part of a JWT."""
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def with_token(caller: Caller, answer: Any) -> Caller:
    """Return a caller who uses the token in an answer."""
    other = Caller(caller.app)
    other.headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    return other


def test_logout_ends_this_session_and_no_other(agent: Caller) -> None:
    other = with_token(agent, log_in(agent))

    answer = agent.post("/api/logout")

    assert (answer.status_code, answer.data) == (204, b"")
    assert agent.get("/api/me").status_code == 401
    assert agent.post("/api/logout").status_code == 401
    assert other.get("/api/me").status_code == 200


def test_a_token_is_renewed_within_its_session(agent: Caller) -> None:
    answer = agent.post("/api/token/refresh")
    renewed = with_token(agent, answer)

    assert answer.status_code == 200
    assert list(answer.json) == ["access_token", "token_type", "expires_in", "user"]
    assert renewed.get("/api/me").status_code == 200
    renewed.post("/api/logout")
    assert agent.get("/api/me").status_code == 401, "it was one session"


def test_a_token_is_not_renewed_half_a_day_after_the_login(agent: Caller) -> None:
    for hours, expected in ((11.9, 200), (12.1, 401)):
        began = utcnow() - timedelta(hours=hours)
        db.session.execute(update(UserSession).values(created_at=began))
        db.session.commit()
        assert agent.post("/api/token/refresh").status_code == expected


def test_a_new_password_ends_every_older_token(agent: Caller) -> None:
    older = with_token(agent, log_in(agent))
    body = {"old_password": PASSWORD, "password": NEW}

    answer = agent.post("/api/me/password", json=body)
    newer = with_token(agent, log_in(agent, NEW))

    assert answer.status_code == 200
    assert [caller.get("/api/me").status_code for caller in (agent, older)] == [401, 401]
    assert with_token(agent, answer).get("/api/me").status_code == 200
    assert newer.get("/api/me").status_code == 200, "issued in the same second"
    assert log_in(agent).status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"old_password": "wrong", "password": NEW}, "old_password"),
        ({"password": NEW}, "old_password"),
        ({"old_password": PASSWORD}, "password"),
        ({"old_password": PASSWORD, "password": "short"}, "password"),
        ({"old_password": PASSWORD, "password": "password1"}, "password"),
        ({"old_password": 7, "password": NEW}, "old_password"),
    ],
)
def test_a_password_is_changed_by_who_knows_the_old_one(
    agent: Caller, body: Any, field: str
) -> None:
    answer = agent.post("/api/me/password", json=body)

    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])
    assert agent.get("/api/me").status_code == 200
    assert log_in(agent).status_code == 200


def test_an_admin_ends_sessions_with_a_new_password(admin: Caller, agent: Caller) -> None:
    admin.patch(f"/api/users/{agent.user.user_id}", json={"password": NEW})

    assert agent.get("/api/me").status_code == 401
    assert admin.get("/api/me").status_code == 200


def test_a_user_who_is_active_again_logs_in_again(admin: Caller, agent: Caller) -> None:
    path = f"/api/users/{agent.user.user_id}"

    for active in (False, True):
        admin.patch(path, json={"active": active})
        assert agent.get("/api/me").status_code == 401

    assert log_in(agent).status_code == 200


def test_a_password_changed_by_plain_sql_ends_sessions_too(agent: Caller) -> None:
    db.session.execute(update(User).values(password_changed_at=utcnow()))
    db.session.commit()

    assert agent.get("/api/me").status_code == 401


def test_a_new_name_or_role_ends_no_session(admin: Caller, agent: Caller) -> None:
    admin.patch(f"/api/users/{agent.user.user_id}", json={"full_name": "New", "role": "admin"})

    assert agent.get("/api/me").json["role"] == "admin"


def test_own_sessions_are_listed_and_ended_one_by_one(agent: Caller, admin: Caller) -> None:
    phone = with_token(agent, log_in(agent, **{"User-Agent": "Phone/1.0"}))

    mine, theirs = phone.get("/api/me/sessions").json

    assert [mine["current"], theirs["current"]] == [False, True]
    assert (theirs["address"], theirs["user_agent"]) == ("127.0.0.1", "Phone/1.0")
    path = f"/api/me/sessions/{mine['session_id']}"
    assert admin.delete(path).status_code == 404, "it is not the admin's"
    assert phone.delete(path).status_code == 204
    assert phone.delete(path).status_code == 404
    assert agent.get("/api/me").status_code == 401
    assert [row["session_id"] for row in phone.get("/api/me/sessions").json] == [
        theirs["session_id"]
    ]


def test_expired_sessions_are_neither_listed_nor_kept(app: Any, agent: Caller) -> None:
    db.session.execute(update(UserSession).values(expires_at=utcnow() - timedelta(seconds=1)))
    db.session.commit()
    other = with_token(agent, log_in(agent))

    assert len(other.get("/api/me/sessions").json) == 1
    assert "1 sessions" in app.test_cli_runner().invoke(args=["prune"]).output
    assert len(db.session.scalars(select(UserSession)).all()) == 1
    db.session.rollback()


@pytest.mark.parametrize("sid", [None, 0, -1, "x", "1\n", 1.5, True, [1], 2**31, 2**63, 424242])
def test_a_token_of_no_session_is_refused(agent: Caller, sid: Any) -> None:
    claims = jwt.decode(agent.token, options={"verify_signature": False})
    header = jwt.get_unverified_header(agent.token)

    forged = jwt.encode(claims | {"sid": sid}, KEY, headers={"kid": header["kid"]})

    headers = {"Authorization": f"Bearer {forged}"}
    assert Caller(agent.app).get("/api/me", headers=headers).status_code == 401


def test_a_session_is_of_its_own_user_only(agent: Caller, admin: Caller) -> None:
    claims = jwt.decode(agent.token, options={"verify_signature": False})
    header = jwt.get_unverified_header(agent.token)

    forged = jwt.encode(claims | {"sub": str(admin.user.user_id)}, KEY, headers=header)

    headers = {"Authorization": f"Bearer {forged}"}
    assert Caller(agent.app).get("/api/me", headers=headers).status_code == 401


def test_a_new_key_logs_nobody_out_while_the_last_is_known(app_with: Any, agent: Caller) -> None:
    new = "a new key of the tests' own, of 32 bytes"
    both = app_with(JWT_SECRET_KEY=new, SECRET_KEY_PREVIOUS=KEY)
    only = app_with(JWT_SECRET_KEY=new)

    def answer(app: Any, token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return int(Caller(app).get("/api/me", headers=headers).status_code)

    newer = Caller(both, agent.user).token
    assert [answer(app, agent.token) for app in (both, only)] == [200, 401]
    assert [answer(app, newer) for app in (both, only, agent.app)] == [200, 200, 401]


@pytest.mark.parametrize("kid", [None, "", "00000000", 7, ["a"]])
def test_a_token_that_names_no_key_of_ours_is_refused(agent: Caller, kid: Any) -> None:
    claims = jwt.decode(agent.token, options={"verify_signature": False})
    header = {"typ": "JWT", "alg": "HS256"} | ({} if kid is None else {"kid": kid})
    signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
    forged = f"{signed}.{encoded(hmac.digest(KEY.encode(), signed.encode(), 'sha256'))}"

    headers = {"Authorization": f"Bearer {forged}"}
    assert Caller(agent.app).get("/api/me", headers=headers).status_code == 401


def test_a_costlier_hash_replaces_the_stored_one_at_login(app_with: Any, agent: Caller) -> None:
    costlier = app_with(ARGON2={"time_cost": 2, "memory_cost": 16, "parallelism": 1})
    body = {"username": agent.user.username, "password": PASSWORD}

    answer = Caller(costlier).post("/api/login", json=body)

    assert answer.status_code == 200
    db.session.refresh(agent.user)
    assert "m=16,t=2,p=1" in agent.user.password_hash
    db.session.rollback()
    assert agent.get("/api/me").status_code == 200, "the password is the same"


def test_a_logout_holds_on_every_worker_and_after_a_restart(
    server: str, environment: dict[str, str], tmp_path: Any, agent: Caller
) -> None:
    headers = agent.headers
    before = run_concurrently(
        10, lambda _: requests.get(f"{server}/api/me", headers=headers, timeout=30)
    )
    requests.post(f"{server}/api/logout", headers=headers, timeout=30)
    after = run_concurrently(
        10, lambda _: requests.get(f"{server}/api/me", headers=headers, timeout=30)
    )
    with gunicorn(environment, tmp_path) as address:
        restarted = requests.get(f"{address}/api/me", headers=headers, timeout=30)

    assert {answer.status_code for answer in before} == {200}
    assert {answer.status_code for answer in [*after, restarted]} == {401}


def test_a_login_that_meets_a_new_password_does_not_outlive_it(
    agent: Caller, monkeypatch: Any
) -> None:
    verify = passwords.verify

    def change_meanwhile(stored: str, password: str) -> bool:
        monkeypatch.setattr(passwords, "verify", verify)
        user = db.session.get_one(User, agent.user.user_id)
        user.change(password_hash=passwords.hash_password(NEW))
        db.session.commit()
        return verify(stored, password)

    monkeypatch.setattr(passwords, "verify", change_meanwhile)

    assert log_in(agent).status_code == 401
    assert db.session.scalars(select(UserSession)).all() == []
    db.session.execute(delete(UserSession))
    db.session.commit()
