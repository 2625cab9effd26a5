"""Inbound messages at the same time, against real gunicorn with four workers."""

import threading
import time
from itertools import count
from typing import Any

import pytest
import requests
from sqlalchemy import insert, text, update

from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.db.session import READ
from tests.conftest import Caller, make_client, on_postgresql
from tests.servers import run_concurrently
from tests.test_inbound import CHAT, body


def post(address: str, caller: Caller, path: str, sent: Any) -> Any:
    """Return the response to a POST."""
    return requests.post(f"{address}{path}", json=sent, headers=caller.headers, timeout=30)


def messages(caller: Caller) -> list[str]:
    """Return the channel's ids of all messages of all conversations."""
    conversations = caller.get("/api/conversations").json
    paths = [f"/api/conversations/{row['conversation_id']}/messages" for row in conversations]
    stored = [message for path in paths for message in caller.get(f"{path}?limit=200").json]
    return sorted(message["external_message_id"] for message in stored)


def test_of_twenty_that_bring_one_message_one_stores_it(four_workers: str, admin: Caller) -> None:
    answers = run_concurrently(20, lambda _: post(four_workers, admin, "/api/inbound", body()))

    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    shown = [answer.json() for answer in answers]
    assert len({(row["message"]["message_id"], row["client"]["client_id"]) for row in shown}) == 1
    assert sum(row["created"]["client"] + row["created"]["conversation"] for row in shown) == 2
    assert messages(admin) == ["wamid.1"]
    assert len(admin.get("/api/clients").json) == 1


def test_two_first_messages_of_a_chat_begin_one_conversation(
    four_workers: str, admin: Caller
) -> None:
    for chat in range(5):
        told = {"external_chat_id": f"chat-{chat}", "client": {"phone": f"+57 601 555 010{chat}"}}

        def bring(n: int, told: Any = told) -> Any:
            return post(four_workers, admin, "/api/inbound", body(n % 2, **told))

        answers = run_concurrently(4, bring)

        assert sorted(answer.status_code for answer in answers) == [200, 200, 201, 201]
    assert messages(admin) == ["wamid.0"] * 5 + ["wamid.1"] * 5
    assert len(admin.get("/api/clients").json) == 5
    assert len(admin.get("/api/conversations?active=true").json) == 5


def test_messages_that_meet_closings_and_openings_are_all_stored_once(
    four_workers: str, admin: Caller
) -> None:
    numbers, client_id = count(), make_client().client_id
    sent = [next(numbers) for _ in range(30)]

    def act(n: int) -> set[int]:
        if n < 4:
            own = sent[: len(sent) // 2] if n % 2 else sent[len(sent) // 2 :]
            return {post(four_workers, admin, "/api/inbound", body(k)).status_code for k in own}
        statuses = set()
        for _ in range(12):
            new = {"client_id": client_id, **CHAT}
            statuses.add(post(four_workers, admin, "/api/conversations", new).status_code)
            for row in admin.get("/api/conversations").json:
                url = f"{four_workers}/api/conversations/{row['conversation_id']}"
                change = {"active": n == 5}
                answer = requests.patch(url, json=change, headers=admin.headers, timeout=30)
                statuses.add(answer.status_code)
        return statuses

    statuses = set().union(*run_concurrently(6, act))

    assert statuses <= {200, 201, 409}
    assert messages(admin) == sorted(f"wamid.{number}" for number in sent)
    assert len(admin.get("/api/conversations?active=true").json) <= 1
    assert len(admin.get("/api/clients").json) <= 2


LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def wait_until_waiting(number: int) -> None:
    """Return when so many transactions wait for others."""
    with db.engines[READ].connect() as connection:
        for _ in range(1_000):
            if connection.scalar(text(LOCKED)) == number:
                return
            time.sleep(0.01)
    raise TimeoutError


@on_postgresql
@pytest.mark.parametrize("commits", [True, False])
def test_a_conversation_that_others_are_beginning_is_waited_for(
    four_workers: str, admin: Caller, commits: bool
) -> None:
    others = {"client_id": make_client().client_id, "handled_by_bot": False, **CHAT}
    answers: list[Any] = []
    bring = threading.Thread(
        target=lambda: answers.append(post(four_workers, admin, "/api/inbound", body()))
    )

    with db.engine.connect() as connection:
        transaction = connection.begin()
        new = insert(Conversation).values(active=True, **others)
        number = connection.scalar(new.returning(Conversation.conversation_id))
        bring.start()
        wait_until_waiting(1)
        transaction.commit() if commits else transaction.rollback()
    bring.join()

    (answer,) = answers
    assert answer.status_code == 201
    assert (answer.json()["conversation"]["conversation_id"] == number) == commits
    assert answer.json()["created"]["conversation"] == (not commits)
    assert len(admin.get("/api/conversations").json) == 1


@on_postgresql
def test_a_conversation_that_others_are_closing_is_opened_again(
    four_workers: str, admin: Caller
) -> None:
    post(four_workers, admin, "/api/inbound", body(1, external_user_id="known"))
    statuses: list[int] = []

    def bring(number: int, user: str) -> None:
        sent = body(number, external_user_id=user)
        statuses.append(post(four_workers, admin, "/api/inbound", sent).status_code)

    known, new = (threading.Thread(target=bring, args=args) for args in ((2, "known"), (3, "new")))
    with db.engine.begin() as connection:
        connection.execute(update(Conversation).values(active=False))
        for waiting, thread in enumerate((known, new), start=1):
            thread.start()
            wait_until_waiting(waiting)
    for thread in (known, new):
        thread.join()

    assert statuses == [201, 201]
    (conversation,) = admin.get("/api/conversations").json
    assert (conversation["active"], conversation["unread_count"]) == (True, 3)
