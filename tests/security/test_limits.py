"""Rate limits of requests and of failed logins, and where they are counted."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select, update

from omnidesk.db import db
from omnidesk.db.session import RATE_LIMITS
from omnidesk.http.rate_limits.storage import RateLimitWindow
from tests.conftest import PASSWORD, Caller, make_user
from tests.postgres import free_port
from tests.servers import gunicorn, process, run_concurrently

WRONG = "wrong"
LOGIN, TICKETS = "/api/login", "/api/tickets"
LIMITED = {"detail": "Too Many Requests"}


@pytest.fixture(params=["database", "redis"])
def storage(request: pytest.FixtureRequest, app: Any, tmp_path: Path) -> Iterator[str]:
    """Where counts are kept: in the database, or in a Redis of our own."""
    if request.param == "database":
        yield "database://"
        return
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with process([*command, "--dir", tmp_path], tmp_path / "redis.log"):
        yield f"redis://127.0.0.1:{port}"


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


def test_all_workers_count_together_and_a_restart_forgets_nothing(
    environment: dict[str, str], tmp_path: Path, storage: str, agent: Caller
) -> None:
    limits = {
        "RATE_LIMIT_STORAGE": storage,
        "RATE_LIMIT_TOKEN": "100 per 5 minutes",
        "RATE_LIMIT_LOGIN_ADDRESS": "",
    }

    def ask(address: str) -> int:
        return requests.get(f"{address}/api/me", headers=agent.headers, timeout=30).status_code

    def fail(address: str) -> int:
        body = {"username": "nobody", "password": "wrong"}
        return requests.post(f"{address}{LOGIN}", json=body, timeout=30).status_code

    with gunicorn(environment | limits, tmp_path) as address:
        asked = Counter(ask(address) for _ in range(120))
        failed = [fail(address) for _ in range(7)]
    with gunicorn(environment | limits, tmp_path) as address:
        again, failed_again = ask(address), fail(address)

    assert 100 <= asked[200] <= 105, "a worker counts a twentieth by itself"
    assert asked[429] == 120 - asked[200]
    assert failed == [401] * 5 + [429] * 2
    assert failed_again == 429
    assert again == 429


def test_concurrent_guesses_are_counted_too(server: str, anybody: Caller) -> None:
    body = {"username": "nobody", "password": "wrong"}

    answers = run_concurrently(24, lambda _: requests.post(server + LOGIN, json=body, timeout=30))

    statuses = Counter(answer.status_code for answer in answers)
    assert statuses[401] + statuses[429] == 24
    assert 5 <= statuses[401] <= 5 + 7, "as many more as two workers' threads are"


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
