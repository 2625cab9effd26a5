"""Logins: a failed one tells nothing about the user, and too many are refused for a while."""

from typing import Any

import jwt
import pytest
from sqlalchemy import update

from omnidesk.db import db
from omnidesk.http.rate_limits.storage import RateLimitWindow
from omnidesk.users import passwords
from tests.conftest import PASSWORD, make_user, reload
from tests.security.conftest import Desk

LOGIN = "/api/login"
REFUSED = (
    ({"username": "nobody", "password": PASSWORD}, 401, None),
    ({"username": "' OR '1'='1", "password": "x"}, 401, None),
    ({"username": "emp1'--", "password": PASSWORD}, 401, None),
    ({"username": "%", "password": PASSWORD}, 401, None),
    ({"username": "emp_", "password": PASSWORD}, 401, None),
    ({"username": "emp1", "password": PASSWORD + " "}, 401, None),
    ({"username": "\x00", "password": "x"}, 400, "username"),
    ({"username": "\ud800", "password": "x"}, 400, "username"),
    ({"username": 7, "password": "x"}, 400, "username"),
    ({"username": None, "password": "x"}, 400, "username"),
    ({"username": ["emp1"], "password": "x"}, 400, "username"),
    ({"username": "emp1", "password": {"a": 1}}, 400, "password"),
    ({"username": "emp1", "password": "x" * 1025}, 400, "password"),
    ({"password": "x"}, 400, "username"),
    ({"username": "emp1"}, 400, "password"),
)


def test_a_login_is_good_for_an_hour_and_is_noted(desk: Desk) -> None:
    answer = desk.log_in()

    assert answer.status_code == 200
    token, kind, seconds, user = answer.json().values()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (kind, seconds, claims["exp"] - claims["iat"]) == ("bearer", 3600, 3600)
    assert reload(desk.agent.user).last_login_at is not None
    assert desk.status_of(token) == 200
    assert user["username"] == "emp1"


@pytest.mark.parametrize(("body", "status", "field"), REFUSED, ids=str)
def test_a_failed_login(desk: Desk, body: Any, status: int, field: str | None) -> None:
    answer = desk.send("POST", LOGIN, body, "")

    assert answer.status_code == status
    assert list(answer.json().get("errors", [None])) == [field]


def test_the_stored_hash_is_no_password(desk: Desk) -> None:
    stored = desk.agent.user.password_hash

    assert desk.log_in(password=stored).status_code == 401


def test_three_ways_to_fail_at_login_look_the_same(desk: Desk) -> None:
    make_user("off1", active=False)

    answers = [desk.log_in(name, "wrong password") for name in ("emp1", "nobody", "off1")]

    assert {answer.text for answer in answers} == {'{"detail":"Unauthorized"}'}
    for answer in answers:
        for own in ("X-Request-ID", "Date"):
            del answer.headers[own]
    assert answers[0].headers == answers[1].headers == answers[2].headers


def test_every_failed_login_verifies_one_password(desk: Desk, monkeypatch: Any) -> None:
    make_user("off1", active=False)
    verified: list[str] = []

    def count(stored: str, password: str) -> bool:
        verified.append(stored.rpartition("$")[0].rpartition("$")[0])  # all but salt and hash
        return False

    monkeypatch.setattr(passwords, "verify", count)
    for name in ("emp1", "nobody", "off1"):
        body = {"username": name, "password": "wrong password"}
        desk.agent.post(LOGIN, json=body, headers={"Authorization": ""})

    assert len(verified) == 3
    assert len(set(verified)) == 1, "with the same parameters"


@pytest.mark.parametrize("password", ["x" * 64, "x" * 128, "🔑" * 8, "contraseña única"])
def test_a_password_is_taken_as_it_is(desk: Desk, password: str) -> None:
    fields = {"full_name": "New", "username": "new", "password": password}
    assert desk.ask("POST", "/api/users", "admin", json=fields).status_code == 201

    assert desk.log_in("new", password).status_code == 200
    assert desk.log_in("new", password[:-1]).status_code == 401
    assert desk.log_in("new", password.upper()).status_code == (401 if password.islower() else 200)


def test_a_name_is_guessed_at_five_times_and_is_free_again_later(desk: Desk) -> None:
    answers = [desk.log_in(password="wrong") for _ in range(20)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 15
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 300
    assert desk.log_in("admin1").status_code == 200, "nobody else is shut out"
    db.session.execute(update(RateLimitWindow).values(ends_at=1))
    db.session.commit()
    assert desk.log_in().status_code == 200


def test_an_address_guesses_twenty_times_whatever_it_calls_itself(desk: Desk) -> None:
    forged = [{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"1.1.1.{n}"} for n in range(25)]

    answers = [desk.log_in(f"user{n}", "wrong", **forged[n]) for n in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
