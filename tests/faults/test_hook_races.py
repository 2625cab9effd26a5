"""Updates at the same time, against real gunicorn with four workers."""

import json
import time
from typing import Any

import requests
from sqlalchemy import text as text_

from omnidesk.db import db
from omnidesk.db.session import READ
from tests.conftest import Caller, make_conversation, make_message, reload
from tests.faults.test_inbound_races import messages
from tests.hooks import make_channel, path_of, signed
from tests.providers import telegram_updates as telegram
from tests.providers.operator import Operator
from tests.providers.telegram import Telegram
from tests.providers.whatsapp import WhatsApp
from tests.providers.whatsapp_updates import User, echoes, notification, text, written_by
from tests.servers import run_concurrently

USERS = [User(f"1650555{number:04}", f"US.{number}") for number in range(4)]


def post(address: str, channel: Any, body: bytes) -> int:
    """Send a signed body, again where the server is too busy, as providers do; return the status.

    On a busy machine, whoever waits for others may wait for longer than a request may.
    """
    headers = signed(channel.type, body)
    for _ in range(20):
        path = f"{address}{path_of(channel)}"
        status = requests.post(path, data=body, headers=headers, timeout=30).status_code
        if status != 503:
            break
        time.sleep(0.2)
    return status


def deadlocks() -> int:
    """Return how many deadlocks PostgreSQL has found; SQLite has none."""
    if db.engine.name == "sqlite":
        return 0
    found = text_("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    with db.engines[READ].connect() as connection:
        return int(connection.scalar(found) or 0)


def test_providers_are_listened_to(four_workers: str, admin: Caller) -> None:
    with WhatsApp() as whatsapp, Telegram() as telegram_, Operator() as operator:
        for channel_type, provider in (
            ("whatsapp", whatsapp),
            ("telegram", telegram_),
            ("webhook", operator),
        ):
            provider.hook = f"{four_workers}{path_of(make_channel(channel_type))}"
            assert provider.say("Hello") == 200
        assert whatsapp.challenge().text == "1158201444"
        assert whatsapp.challenge("other").status_code == 403
        assert whatsapp.post(b"{}", headers={}).status_code == 401

    assert len(admin.get("/api/conversations").json) == 3


def test_a_body_that_comes_several_times_at_once_is_stored_once(
    four_workers: str, admin: Caller
) -> None:
    channel, before = make_channel("whatsapp"), deadlocks()
    values = [written_by(user, *(text(user, str(n)) for n in range(3))) for user in USERS]
    ids = [message["id"] for value in values for message in value["messages"]]
    body, backwards = notification(*values), notification(*values[::-1])

    statuses = run_concurrently(
        8, lambda n: post(four_workers, channel, backwards if n % 2 else body)
    )

    assert statuses == [200] * 8
    assert deadlocks() == before
    assert messages(admin) == sorted(ids)
    assert len(admin.get("/api/clients").json) == len(USERS)


def test_single_messages_and_bodies_of_many_do_not_wait_for_each_other_forever(
    four_workers: str, admin: Caller
) -> None:
    channel, before = make_channel("whatsapp"), deadlocks()
    first = notification(*(written_by(user, text(user, "first")) for user in USERS))
    assert post(four_workers, channel, first) == 200
    ids: list[str] = []

    def bodies(n: int) -> list[bytes]:
        found = []
        for _ in range(5):
            chosen = USERS[:: 1 if n % 2 else -1] if n < 4 else [USERS[n % 4]]
            sent = [(user, text(user, "Hi")) for user in chosen]
            ids.extend(message["id"] for _, message in sent)
            values = [written_by(user, message) for user, message in sent]
            found.append(notification(*values))
        return found

    work = [bodies(n) for n in range(8)]
    statuses = run_concurrently(8, lambda n: [post(four_workers, channel, b) for b in work[n]])

    assert {status for some in statuses for status in some} == {200}
    assert deadlocks() == before
    assert set(ids) <= set(messages(admin))
    assert len(messages(admin)) == len(ids) + len(USERS)


def test_statuses_that_come_at_once_leave_the_highest(four_workers: str, admin: Caller) -> None:
    channel = make_channel("whatsapp")
    conversation = make_conversation(channel="whatsapp", external_chat_id="16505551234")
    sent = [make_message(conversation, sender="bot", delivery_state="unknown") for _ in range(3)]
    states, user = ("sent", "delivered", "read", "failed"), User("16505551234")

    def report(n: int) -> set[int]:
        echo = echoes(user, text(user, f"echo {n}"))
        bodies = [notification(echo, field="smb_message_echoes")]
        for each in sent:
            told = {"id": f"wamid.{each.message_id}", "status": states[n % 4], "recipient_id": "1"}
            told |= {"biz_opaque_callback_data": str(each.message_id)}
            bodies.append(notification({"statuses": [told]}))
        return {post(four_workers, channel, body) for body in bodies}

    assert run_concurrently(8, report) == [{200}] * 8
    assert [reload(each).delivery_state for each in sent] == ["read"] * 3
    ids = [each.external_message_id for each in sent]
    assert ids == [f"wamid.{each.message_id}" for each in sent]


def test_edits_that_come_at_once_leave_one_of_their_texts(four_workers: str, admin: Caller) -> None:
    channel, message = make_channel("telegram"), telegram.message(7, text="Hello")
    assert post(four_workers, channel, json.dumps({"update_id": 1, "message": message}).encode())

    def edit(n: int) -> set[int]:
        updates = [{"edited_message": telegram.edited(message, text=f"{n} {i}")} for i in range(4)]
        return {post(four_workers, channel, json.dumps(update).encode()) for update in updates}

    assert run_concurrently(8, edit) == [{200}] * 8
    (stored,) = admin.get("/api/conversations/1/messages").json
    assert stored["content"] in {f"{n} 3" for n in range(8)}


def test_an_edit_meets_its_message(four_workers: str, admin: Caller) -> None:
    channel = make_channel("telegram")
    chats = [telegram.PRIVATE | {"id": 1000 + n} for n in range(4)]
    earlier = [telegram.message(7, chat, text="Hello") for chat in chats]

    def tell(n: int) -> int:
        message = earlier[n // 2]
        edited = {"edited_message": telegram.edited(message, text="Hello!")}
        update = edited if n % 2 else {"message": message}
        return post(four_workers, channel, json.dumps({"update_id": n, **update}).encode())

    assert run_concurrently(8, tell) == [200] * 8
    texts = [
        message["content"]
        for row in admin.get("/api/conversations").json
        for message in admin.get(f"/api/conversations/{row['conversation_id']}/messages").json
    ]
    assert texts == ["Hello!"] * 4
