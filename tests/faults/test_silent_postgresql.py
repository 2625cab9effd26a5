"""A PostgreSQL that says nothing any more: a request waits for it no longer than it may."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.engine import make_url

from omnidesk import health
from omnidesk.db import db, request_deadline
from omnidesk.db.session import READ
from omnidesk.db.statements import read_pool
from tests.conftest import PASSWORD, Caller, make_client, on_postgresql, recorded_statements
from tests.relay import Relay, relay

pytestmark = on_postgresql
MAX_WAIT = 1.5  # seconds for a request that is to fail, instead of eleven
UNAVAILABLE = {"detail": "Service Unavailable"}
CALLS: list[tuple[str, str, Any]] = [
    ("get", "/api/tickets", None),
    ("get", "/api/summary", None),
    ("get", "/api/me/sessions", None),
    ("get", "/readyz", None),
    ("post", "/api/tickets", {"client_id": 1, "subject": "Help"}),
    ("post", "/api/login", {"username": "emp1", "password": PASSWORD}),
]
each_call = pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=str)


@pytest.fixture
def network(database_url: str) -> Iterator[Relay]:
    """The network between the app and the database."""
    with relay(int(make_url(database_url).port or 0)) as running:
        yield running


@pytest.fixture
def remote(
    app_with: Callable[..., Flask],
    agent: Caller,
    database_url: str,
    network: Relay,
) -> Caller:
    """The agent, calling an app that reaches its database through the network."""
    make_client()
    url = make_url(database_url).set(port=network.port).render_as_string(hide_password=False)
    limits = {"RATE_LIMIT_TOKEN": "10 per minute", "RATE_LIMIT_ANONYMOUS": "10 per minute"}
    return Caller(app_with(DATABASE_URL=url, **limits), agent.user)


def call(caller: Caller, method: str, path: str, body: Any) -> Any:
    """Return the response to a call."""
    return getattr(caller, method)(path, **({"json": body} if body else {}))


@contextmanager
def short_waits() -> Iterator[None]:
    """Let requests give up after MAX_WAIT; those that are to succeed may take longer."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(request_deadline, "MAX_WAIT", MAX_WAIT)
        yield


@each_call
def test_a_request_waits_no_longer_than_it_may(
    remote: Caller, network: Relay, method: str, path: str, body: Any
) -> None:
    assert call(remote, method, path, body).status_code < 300
    network.silence()
    health.readiness_at.cache_clear()  # as after a second

    with short_waits():
        started_at = monotonic()
        refused = call(remote, method, path, body)
        waited = monotonic() - started_at

    assert MAX_WAIT * 0.9 < waited < MAX_WAIT * 2, "all its statements together"
    assert (refused.status_code, refused.json) == (503, UNAVAILABLE)
    assert int(refused.headers["Retry-After"]) > 0
    health.readiness_at.cache_clear()
    assert call(remote, method, path, body).status_code < 300, "on a new connection"


def test_a_statement_that_took_too_long_is_not_sent_again(remote: Caller, network: Relay) -> None:
    assert remote.get("/api/tickets").status_code == 200
    network.silence()

    with short_waits(), recorded_statements() as run:
        assert remote.get("/api/tickets").status_code == 503

    assert len([sql for sql in run if "FROM ticket" in sql]) == 0, "the token was asked for first"
    assert len(run) == 1


def test_statements_that_are_slow_together_are_too_slow(remote: Caller, network: Relay) -> None:
    network.delay = MAX_WAIT / 3  # one answer is in time, three are not

    with short_waits():
        started_at = monotonic()
        refused = remote.get("/api/tickets")
        waited = monotonic() - started_at

    assert (refused.status_code, refused.json) == (503, UNAVAILABLE)
    assert waited < MAX_WAIT * 2
    network.delay = 0
    assert remote.get("/api/tickets").status_code == 200


def test_a_liveness_check_does_not_ask_the_database(remote: Caller, network: Relay) -> None:
    network.silence()

    assert remote.get("/healthz").status_code == 200


def test_a_transaction_waits_no_longer_than_a_request_may(remote: Caller, network: Relay) -> None:
    body = {"client_id": 1, "subject": "Help"}
    assert remote.post("/api/tickets", json=body).status_code == 201
    network.silence()
    with remote.app.app_context():
        read_pool(db.engines[READ]).clear()  # so that it is the transaction which meets the silence

    with short_waits(), recorded_statements() as run:
        refused = remote.post("/api/tickets", json=body)

    assert (refused.status_code, refused.json) == (503, UNAVAILABLE)
    assert len(run) == 1, "only the token was asked for"
    assert remote.post("/api/tickets", json=body).status_code == 201
    assert db.session.scalar(text("SELECT count(*) FROM ticket")) == 2
    db.session.rollback()


def test_outside_of_requests_a_connection_waits_for_as_long_as_it_takes(
    remote: Caller, network: Relay
) -> None:
    network.delay = MAX_WAIT * 1.5

    with remote.app.app_context(), db.engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
