"""Rate limits of requests and of failed logins, and where they are counted."""

from collections import Counter
from collections.abc import Callable
from time import time
from typing import Any

import pytest
import requests
from sqlalchemy import select, update

from omnidesk.auth.models import UserSession
from omnidesk.db import db, utcnow
from omnidesk.db.session import RATE_LIMITS
from omnidesk.http.rate_limits import storage
from omnidesk.http.rate_limits.storage import RateLimitWindow
from omnidesk.users import passwords
from tests.conftest import PASSWORD, Caller, make_user
from tests.postgres import free_port
from tests.servers import run_concurrently

WRONG = "wrong"
LOGIN, TICKETS = "/api/login", "/api/tickets"
LIMITED = {"detail": "Too Many Requests"}


def limited(app_with: Any, **limits: str) -> Any:
    """Return an app with other limits."""
    return app_with(**{f"RATE_LIMIT_{name.upper()}": text for name, text in limits.items()})


def guess(caller: Caller, username: str, password: str = WRONG, **kwargs: Any) -> Any:
    """Answer a login."""
    return caller.post(LOGIN, json={"username": username, "password": password}, **kwargs)


def pass_time() -> None:
    """Let all windows be over."""
    db.session.execute(update(RateLimitWindow).values(ends_at=1))
    db.session.commit()


def test_a_user_name_is_guessed_at_most_five_times(anybody: Caller) -> None:
    make_user("ana")
    make_user("eva")

    answers = [guess(anybody, "ana") for _ in range(20)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 15
    assert answers[-1].json == LIMITED
    assert 290 <= int(answers[-1].headers["Retry-After"]) <= 300
    assert answers[-1].headers["RateLimit-Policy"] == '"login";q=5;w=300'
    assert answers[-1].headers["RateLimit"].startswith('"login";r=0;t=')
    assert guess(anybody, "ana", PASSWORD).status_code == 429
    assert guess(anybody, "ANA").status_code == 429, "it is the same name"
    assert guess(anybody, "eva", PASSWORD).status_code == 200
    pass_time()
    assert guess(anybody, "ana", PASSWORD).status_code == 200


def test_an_unknown_name_is_no_different(anybody: Caller) -> None:
    answers = [guess(anybody, "nobody") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]


def test_a_successful_login_is_not_counted(anybody: Caller) -> None:
    make_user("ana")

    answers = [guess(anybody, "ana", PASSWORD) for _ in range(10)]

    assert {answer.status_code for answer in answers} == {200}


def test_an_address_guesses_at_most_twenty_times_whatever_it_forwards(anybody: Caller) -> None:
    make_user("ana")
    forged = [
        {"X-Forwarded-For": f"203.0.113.{n}", "Forwarded": f"for=1.1.1.{n}"} for n in range(25)
    ]

    answers = [guess(anybody, f"user{n}", headers=forged[n]) for n in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5
    assert guess(anybody, "ana", PASSWORD).status_code == 429
    other = {"REMOTE_ADDR": "198.51.100.7"}
    assert guess(anybody, "ana", PASSWORD, environ_overrides=other).status_code == 200


def test_an_old_password_is_guessed_at_most_five_times(agent: Caller) -> None:
    body = {"old_password": "wrong", "password": "another horse"}

    answers = [agent.post("/api/me/password", json=body) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert guess(agent, agent.user.username, PASSWORD).status_code == 200
    other = Caller(agent.app, agent.user)
    body["old_password"] = PASSWORD
    assert agent.post("/api/me/password", json=body).status_code == 429
    assert other.post("/api/me/password", json=body).status_code == 200, "it is another session"


@pytest.mark.parametrize("username", ["user 1", "1", "session:1", '1"]', "login/1"])
def test_no_user_name_can_be_made_to_count_for_something_else(agent: Caller, username: str) -> None:
    for _ in range(5):
        guess(agent, username)

    answer = agent.post(
        "/api/me/password", json={"old_password": PASSWORD, "password": "new horse"}
    )

    assert answer.status_code == 200


def at(address: str) -> dict[str, Any]:
    """Return what makes a request come from an address."""
    return {"environ_overrides": {"REMOTE_ADDR": address}}


def test_a_strangers_guesses_shut_nobody_out_elsewhere(anybody: Caller) -> None:
    make_user("ana")

    guessed = [guess(anybody, "ana", **at("203.0.113.7")).status_code for _ in range(6)]

    assert guessed == [401] * 5 + [429]
    assert guess(anybody, "ana", PASSWORD, **at("203.0.113.7")).status_code == 429
    assert guess(anybody, "ANA", PASSWORD, **at("198.51.100.7")).status_code == 200


def test_a_name_is_guessed_at_most_so_often_from_all_addresses(app_with: Any, app: Any) -> None:
    anybody = Caller(limited(app_with, login_name="12 per 5 minutes"))
    make_user("ana")
    make_user("eva")
    home, elsewhere = "2001:db8:1:2::1", "198.51.100.7"
    assert guess(anybody, "ana", PASSWORD, **at(home)).status_code == 200

    guessed = [guess(anybody, "Ana", **at(f"203.0.113.{n // 4}")) for n in range(16)]

    assert [answer.status_code for answer in guessed] == [401] * 12 + [429] * 4
    assert guessed[-1].headers["RateLimit-Policy"] == '"login-name";q=12;w=300'
    assert guess(anybody, "ana", PASSWORD, **at(elsewhere)).status_code == 429
    assert guess(anybody, "eva", PASSWORD, **at(elsewhere)).status_code == 200
    near = "2001:db8:1:2:aaaa::2"  # the same customer's
    assert guess(anybody, "ana", PASSWORD, **at(near)).status_code == 200, "a session is there"
    db.session.execute(update(UserSession).values(expires_at=utcnow()))
    db.session.commit()
    assert guess(anybody, "ana", PASSWORD, **at(near)).status_code == 429, "and is over"


def test_a_spared_address_guesses_five_times_like_any_other(app_with: Any, app: Any) -> None:
    anybody = Caller(limited(app_with, login_name="5 per 5 minutes"))
    make_user("ana")
    guess(anybody, "ana", PASSWORD)
    for _ in range(5):
        guess(anybody, "ana", **at("203.0.113.7"))

    answers = [guess(anybody, "ana").status_code for _ in range(6)]

    assert answers == [401] * 5 + [429]


def test_a_tokens_requests_are_limited(app_with: Any, agent: Caller) -> None:
    app = limited(app_with, token="50 per minute", anonymous="3 per minute")
    mine, other = Caller(app, agent.user), Caller(app, make_user("other"))

    answers = [mine.get(TICKETS) for _ in range(53)]

    assert [answer.status_code for answer in answers] == [200] * 50 + [429] * 3
    assert answers[0].headers["RateLimit-Policy"] == '"token";q=50;w=60'
    assert answers[0].headers["RateLimit"] == '"token";r=49;t=60'
    assert answers[49].headers["RateLimit"].startswith('"token";r=0;')
    assert answers[-1].json == LIMITED
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert other.get(TICKETS).status_code == 200
    assert Caller(app, agent.user).get(TICKETS).status_code == 200, "it is another token"


def test_requests_without_a_valid_token_are_counted_by_address(app_with: Any) -> None:
    anybody = Caller(limited(app_with, token="9 per minute", anonymous="4 per minute"))
    bad = {"Authorization": "Bearer garbage"}

    answers = [
        anybody.get(TICKETS),
        anybody.get(TICKETS, headers=bad),
        anybody.get("/api/summary"),
        guess(anybody, "nobody"),
        anybody.get(TICKETS),
        anybody.get("/api/summary", headers=bad),
        guess(anybody, "nobody"),
        anybody.get("/healthz"),
    ]

    assert [answer.status_code for answer in answers] == [200, 401, 401, 401, 429, 429, 429, 200]
    far = {"REMOTE_ADDR": "2001:db8::1"}
    near = {"REMOTE_ADDR": "2001:db8::2"}
    assert [anybody.get(TICKETS, environ_overrides=far).status_code for _ in range(4)] == [200] * 4
    assert anybody.get(TICKETS, environ_overrides=near).status_code == 429, "one customer's"


def test_limits_that_are_alike_are_counted_apart(app_with: Any) -> None:
    alike = dict.fromkeys(("anonymous", "login_address"), "3 per 5 minutes")
    anybody = Caller(limited(app_with, **alike))

    answers = [anybody.get(TICKETS), anybody.get(TICKETS), guess(anybody, "nobody")]

    assert [answer.status_code for answer in answers] == [200, 200, 401]


def test_development_limits_logins_alone(agent: Caller) -> None:
    assert "RateLimit" not in agent.get(TICKETS).headers
    assert {agent.get(TICKETS).status_code for _ in range(700)} == {200}


def test_right_passwords_at_once_are_not_refused(server: str, agent: Caller) -> None:
    body = {"username": agent.user.username, "password": PASSWORD}

    answers = run_concurrently(16, lambda _: requests.post(server + LOGIN, json=body, timeout=30))

    assert Counter(answer.status_code for answer in answers) == {200: 16}
    counts = db.session.scalars(select(RateLimitWindow.count)).all()
    db.session.rollback()
    assert counts == [0, 0, 0], "each was given back"


def test_nobody_logs_in_while_attempts_cannot_be_counted(app_with: Any, agent: Caller) -> None:
    nowhere = app_with(RATE_LIMIT_STORAGE=f"redis://127.0.0.1:{free_port()}")

    answer = guess(Caller(nowhere), agent.user.username, PASSWORD)

    assert (answer.status_code, answer.json) == (503, {"detail": "Service Unavailable"})


def test_an_attempt_that_a_fault_ends_is_given_back(
    app_with: Any, agent: Caller, monkeypatch: Any
) -> None:
    app = app_with()
    app.testing = False

    def fault(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(passwords, "verify", fault)
        broken = [guess(Caller(app), "emp1").status_code for _ in range(7)]

    assert broken == [500] * 7
    assert guess(Caller(app), "emp1", PASSWORD).status_code == 200


def test_a_count_that_cannot_be_stored_turns_nobody_away(
    app_with: Any, agent: Caller, monkeypatch: Any
) -> None:
    app = limited(app_with, token="20 per minute")
    mine = Caller(app, agent.user)
    with db.engines[RATE_LIMITS].connect() as connection:
        connection.exec_driver_sql("ALTER TABLE rate_limit_window RENAME TO missing")
    try:
        answers = [mine.get(TICKETS).status_code for _ in range(22)]
    finally:
        with db.engines[RATE_LIMITS].connect() as connection:
            connection.exec_driver_sql("ALTER TABLE missing RENAME TO rate_limit_window")

    assert answers == [200] * 20 + [429] * 2, "the worker goes on by what it knows"


@pytest.fixture
def set_back(monkeypatch: Any) -> Callable[[], None]:
    """A function that sets the clock of the limits back by two hours."""

    def set_to() -> None:
        monkeypatch.setattr(storage, "time", lambda: time() - 7_200)

    return set_to


def test_a_clock_that_is_set_back_ends_the_windows_of_guesses(
    anybody: Caller, set_back: Callable[[], None]
) -> None:
    make_user("ana")
    assert [guess(anybody, "ana").status_code for _ in range(6)] == [401] * 5 + [429]

    set_back()

    assert guess(anybody, "ana", PASSWORD).status_code == 200
    assert [guess(anybody, "ana").status_code for _ in range(6)] == [401] * 5 + [429]


def test_a_clock_that_is_set_back_ends_the_windows_of_requests(
    app_with: Any, agent: Caller, set_back: Callable[[], None]
) -> None:
    mine = Caller(limited(app_with, token="3 per minute"), agent.user)
    assert [mine.get(TICKETS).status_code for _ in range(4)] == [200] * 3 + [429]

    set_back()

    assert [mine.get(TICKETS).status_code for _ in range(4)] == [200] * 3 + [429]


def test_old_counts_are_pruned(app: Any, anybody: Caller) -> None:
    guess(anybody, "nobody")
    pass_time()

    app.test_cli_runner().invoke(args=["prune"])

    assert db.session.scalars(select(RateLimitWindow)).all() == []
    db.session.rollback()


def test_counts_are_stored_without_waiting_for_the_disk(app: Any) -> None:
    with db.engines[RATE_LIMITS].connect() as connection:
        if connection.dialect.name == "sqlite":
            normal = 1  # OFF would endanger what others have committed
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == normal
        else:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "off"
