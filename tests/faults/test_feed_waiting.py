"""Requests that wait for changes: answered when there are some, and never in anybody's way."""

import socket
import threading
import time
from typing import Any

import pytest
import requests
from flask import Flask
from sqlalchemy import delete, update

from omnidesk.auth.models import UserSession
from omnidesk.changes import waiting
from omnidesk.db import db, statements
from omnidesk.db.feed_start import start_anew
from omnidesk.db.session import in_transaction
from omnidesk.users.models import User
from tests.conftest import Caller, make_client, make_ticket, make_user, recorded_statements
from tests.servers import run_concurrently
from tests.test_changes import follow
from tests.test_feed import next_link

END = "/api/changes?after=latest&wait=25"


class WaitingCall(threading.Thread):
    """A request that is answered in a thread of its own."""

    def __init__(self, caller: Caller, url: str, **headers: str) -> None:
        super().__init__(daemon=True)
        self.caller, self.url, self.headers = caller, url, headers
        self.answer: Any = None
        self.start()

    def run(self) -> None:
        """Send the request."""
        self.answer = self.caller.get(self.url, headers=self.headers)

    def result(self) -> Any:
        """Return the answer; fail where it does not come."""
        self.join(20)
        assert self.answer is not None, "no answer"
        return self.answer


@pytest.fixture
def begun(app: Flask, monkeypatch: Any) -> threading.Semaphore:
    """A semaphore that is released whenever a request begins to wait."""
    app.extensions["waiting"].watch = waiting.Watch()  # an earlier test had the same numbers
    released, wait = threading.Semaphore(0), waiting.Waiting.wait

    def noting(self: Any, *args: Any) -> Any:
        released.release()
        return wait(self, *args)

    monkeypatch.setattr(waiting.Waiting, "wait", noting)
    return released


@pytest.fixture
def hurried(monkeypatch: Any) -> None:
    """Let a wait of a second take a tenth of it."""
    monkeypatch.setattr(waiting, "monotonic", lambda: 10 * time.monotonic())


def has_begun(begun: threading.Semaphore) -> bool:
    """Return whether a request waits."""
    return begun.acquire(timeout=10)


def test_a_request_waits_until_something_changes(agent: Caller, begun: Any) -> None:
    call = WaitingCall(agent, END)
    assert has_begun(begun)

    make_client(full_name="New")

    answer = call.result()
    assert [change["after"]["full_name"] for change in answer.json] == ["New"]
    assert "wait=25" in next_link(answer)
    assert list(follow(agent, next_link(answer).replace("wait=25", "wait=0"))) == []


def test_what_a_request_does_not_ask_for_ends_no_wait(agent: Caller, begun: Any) -> None:
    call = WaitingCall(agent, f"{END}&entity=ticket")
    assert has_begun(begun)

    make_client()
    make_ticket(1)

    assert [change["entity"] for change in call.result().json] == ["ticket"]


def test_what_the_token_may_not_read_ends_no_wait(agent: Caller, admin: Caller, begun: Any) -> None:
    call = WaitingCall(agent, END)
    assert has_begun(begun)

    admin.patch(f"/api/users/{agent.user.user_id}", json={"full_name": "New"})
    make_client()

    assert [change["entity"] for change in call.result().json] == ["client"]


def test_a_request_with_a_tag_waits_for_another(agent: Caller, begun: Any) -> None:
    make_client(full_name="Old")
    url = "/api/changes?entity=client&wait=25"
    tag = agent.get(url).headers["ETag"]
    call = WaitingCall(agent, url, **{"If-None-Match": tag})
    assert has_begun(begun)

    make_client(full_name="New")

    answer = call.result()
    assert (answer.status_code, answer.headers["ETag"] == tag) == (200, False)
    assert [change["after"]["full_name"] for change in answer.json] == ["Old", "New"]


@pytest.mark.usefixtures("hurried")
def test_when_the_time_is_over_a_request_is_answered_as_if_it_had_not_waited(
    agent: Caller, begun: Any
) -> None:
    url = next_link(agent.get("/api/changes?after=latest"))
    tag = {"If-None-Match": agent.get(url).headers["ETag"]}

    plain = agent.get(f"{url}&wait=1")
    conditional = agent.get(f"{url}&wait=1", headers=tag)

    assert has_begun(begun)
    assert has_begun(begun)
    assert (plain.status_code, plain.json) == (200, [])
    assert (conditional.status_code, conditional.data) == (304, b"")


@pytest.mark.parametrize(
    "query", ["?wait=25", "?after=latest&wait=0", "?after=latest", "?after=2147483647&wait=0"]
)
def test_a_request_that_has_or_wants_something_at_once_waits_for_nobody(
    agent: Caller, begun: Any, query: str
) -> None:
    make_client()

    assert agent.get(f"/api/changes{query}").status_code == 200

    assert not begun.acquire(blocking=False)


def test_a_file_waits_for_nobody(agent: Caller, begun: Any) -> None:
    answer = agent.get(END, headers={"Accept": "text/csv"})

    assert answer.mimetype == "text/csv"
    assert not begun.acquire(blocking=False)


def test_a_position_that_is_lost_is_410_at_once(agent: Caller, begun: Any) -> None:
    with db.engine.begin() as connection:
        start_anew(connection)

    assert agent.get("/api/changes?after=0&wait=25").status_code == 410
    assert not begun.acquire(blocking=False)


def test_one_of_two_threads_may_wait_and_all_others_are_answered_at_once(
    app_with: Any, begun: Any
) -> None:
    caller = Caller(app_with(THREADS=4), make_user())
    calls = [WaitingCall(caller, END) for _ in range(2)]
    assert has_begun(begun)
    assert has_begun(begun)

    third = caller.get(END)

    assert (third.status_code, third.json) == (200, [])
    make_client()
    assert [len(call.result().json) for call in calls] == [1, 1]
    fourth = WaitingCall(caller, END)
    assert has_begun(begun), "there is room again"
    make_client()
    assert len(fourth.result().json) == 1


def test_with_one_thread_nobody_waits(app_with: Any, begun: Any) -> None:
    caller = Caller(app_with(THREADS=1), make_user())

    assert caller.get(END).json == []
    assert not begun.acquire(blocking=False)


def test_a_process_that_stops_lets_nobody_wait(app_with: Any, begun: Any) -> None:
    app = app_with()
    call = WaitingCall(Caller(app, make_user()), END)
    assert has_begun(begun)

    app.extensions["waiting"].is_stopping = lambda: True

    assert (call.result().status_code, call.result().json) == (200, [])


@pytest.mark.parametrize(("role", "shown"), [("empleado", ["client"]), ("admin", ["user"])])
def test_what_is_shown_is_what_the_user_may_read_then(
    agent: Caller, begun: Any, role: str, shown: list[str]
) -> None:
    call = WaitingCall(agent, END)
    assert has_begun(begun)

    db.session.execute(update(User).values(role=role, full_name="New"))
    db.session.commit()
    make_client()

    assert [change["entity"] for change in call.result().json][:1] == shown


def test_a_token_that_is_revoked_meanwhile_shows_no_change(agent: Caller, begun: Any) -> None:
    call = WaitingCall(agent, END)
    assert has_begun(begun)

    db.session.execute(delete(UserSession))
    db.session.commit()
    make_client()

    assert call.result().status_code == 401


@pytest.mark.usefixtures("hurried")
def test_who_waits_has_no_connection_and_no_transaction(
    agent: Caller, begun: Any, monkeypatch: Any
) -> None:
    lent: list[Any] = []
    held: list[Any] = []
    take, give_back = statements.ReadPool.take, statements.ReadPool.give_back

    def taking(self: Any) -> Any:
        found = take(self)
        lent.append(found[0])
        return found

    def giving_back(self: Any, driver: Any, expires_at: float) -> None:
        lent.remove(driver)
        give_back(self, driver, expires_at)

    def sleeping(seconds: float) -> None:
        held.extend([*lent, in_transaction()])
        time.sleep(seconds)

    monkeypatch.setattr(statements.ReadPool, "take", taking)
    monkeypatch.setattr(statements.ReadPool, "give_back", giving_back)
    monkeypatch.setattr(waiting, "sleep", sleeping)

    agent.get(f"{END[:-2]}1")

    assert has_begun(begun)
    assert held
    assert not any(held)


def test_all_who_wait_ask_the_database_together(app: Any) -> None:
    watch = waiting.Watch()
    with recorded_statements() as statements:
        first = watch.last_change()
        seen = {watch.last_change() for _ in range(10)}
    watch.asked_at -= waiting.PERIOD
    make_client()

    assert seen == {first}
    assert len(statements) == 1
    assert watch.last_change() != first


@pytest.mark.usefixtures("hurried")
def test_a_wait_counts_once(app_with: Any, begun: Any) -> None:
    caller = Caller(app_with(RATE_LIMIT_TOKEN="5 per hour"), make_user())

    first, second = (caller.get(f"{END[:-2]}1").headers["RateLimit"] for _ in range(2))

    assert has_begun(begun)
    assert ("r=4" in first, "r=3" in second) == (True, True)


def test_a_server_whose_threads_wait_answers_others(server: str, agent: Caller) -> None:
    calls: list[Any] = []

    def wait(_: int) -> None:
        calls.append(requests.get(f"{server}{END}", headers=agent.headers, timeout=30).json())

    waiting_calls = threading.Thread(target=run_concurrently, args=(20, wait))
    waiting_calls.start()
    client = {"full_name": "New"}
    while True:
        made = requests.post(f"{server}/api/clients", json=client, headers=agent.headers, timeout=5)
        if len(calls) == 20:
            break
        time.sleep(0.2)
    waiting_calls.join()

    assert made.status_code == 201
    assert any(calls), "some of them waited"
    assert {c["entity"] for call in calls for c in call} == {"client"}


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1"])
def test_who_leaves_waits_no_longer(
    agent: Caller, begun: Any, monkeypatch: Any, sent: bytes
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(waiting, "sleep", slept.append)
    monkeypatch.setattr(waiting, "monotonic", lambda: time.monotonic() + 9 * len(slept))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(sent)
        if not sent:
            theirs.close()
        agent.get(END, environ_overrides={"gunicorn.socket": ours})

    assert has_begun(begun)
    assert len(slept) == (3 if sent else 0)
