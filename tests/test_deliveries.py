"""Messages that are sent on their channels: which are queued, refused, retried and cancelled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, func, select, update

from omnidesk.channels.models import Channel
from omnidesk.conversations import locking, message_views
from omnidesk.conversations.deliveries import RANKS, Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.worker import outbox as worker
from tests.conftest import (
    Caller,
    make_channel,
    make_conversation,
    make_message,
    recorded_statements,
    save,
)

CHAT = "573015550155"
URL = {"url": "https://files.example.com/a.jpg"}
PLACE = {"latitude": 4.6, "longitude": -74}


def make_chat(kind: str = "telegram", **fields: Any) -> Conversation:
    """Store a conversation on a channel of this type, which is set up unless it is."""
    if db.session.scalar(select(Channel).filter_by(channel=kind)) is None:
        make_channel(kind)
    return make_conversation(**({"channel": kind, "external_chat_id": CHAT} | fields))


def messages_of(chat: Conversation) -> str:
    """Return the address of the messages of a conversation."""
    return f"/api/conversations/{chat.conversation_id}/messages"


def say(caller: Caller, chat: Conversation, **body: Any) -> Any:
    """Post a message."""
    return caller.post(messages_of(chat), json={"content": "Good morning"} | body)


def outbox() -> list[Any]:
    """Return the rows of the outbox: the conversation, the channel, the attempts and the lease."""
    columns = (Outbox.conversation_id, Outbox.channel_id, Outbox.attempts, Outbox.lease)
    found = [tuple(row) for row in db.session.execute(select(*columns))]
    db.session.rollback()
    return found


def state_of(caller: Caller, chat: Conversation, message_id: int) -> Any:
    """Return how far a message has got."""
    delivery = caller.get(f"{messages_of(chat)}/{message_id}").json["delivery"]
    return delivery and delivery["state"]


def set_state(message_id: int, state: str | None, error: str | None = None) -> None:
    """Let a message have got so far."""
    message = db.session.get_one(Message, message_id)
    if state is None:
        message.delivery_state = message.delivery_at = None
    else:
        message.set_delivery(state, error)
    db.session.commit()


@pytest.mark.parametrize("kind", ["telegram", "webhook"])
def test_an_answer_is_queued_with_its_conversation(agent: Caller, kind: str) -> None:
    chat = make_chat(kind)

    answers = [say(agent, chat) for _ in range(2)]

    for answer in answers:
        assert answer.status_code == 201
        assert answer.json["delivery"]["state"] == "queued"
        assert answer.json["delivery"]["error"] is None
    assert outbox() == [(chat.conversation_id, 1, 0, None)]


@pytest.mark.parametrize(
    "body",
    [
        {"sender": "client"},
        {"kind": "note"},
        {"external_message_id": "known"},
        {"sender": "bot", "external_message_id": "known"},
    ],
)
def test_what_the_channel_has_or_must_not_have_is_not_sent(
    admin: Caller, body: dict[str, str]
) -> None:
    chat = make_chat(handled_by_bot=True)

    answer = say(admin, chat, **body)

    assert (answer.status_code, answer.json["delivery"]) == (201, None)
    assert outbox() == []


@pytest.mark.parametrize(
    "fields", [{"active": False}, {"kind": "none", "channel": "telegram"}, {"channel": "other"}]
)
def test_nothing_is_sent_on_a_channel_that_nobody_serves(
    agent: Caller, fields: dict[str, Any]
) -> None:
    make_channel(**fields)
    chat = make_conversation(channel="telegram", external_chat_id=CHAT)

    answers = [say(agent, chat, content="x" * 5000), say(agent, chat, kind="sticker")]

    assert [answer.json["delivery"] for answer in answers] == [None, None]


def test_an_answer_in_a_conversation_without_a_chat_has_failed(agent: Caller) -> None:
    answer = say(agent, make_chat(external_chat_id=None))

    assert answer.status_code == 201
    assert answer.json["delivery"]["state"] == "failed"
    assert "external_chat_id" in answer.json["delivery"]["error"]
    assert outbox() == []


SENT = {
    "telegram": [
        {"content": "ñ" * 4096},
        {"kind": "image", "content": "", "meta": URL},
        {"kind": "audio", "content": "c" * 1024, "meta": URL},
        {"kind": "video", "meta": URL},
        {"kind": "file", "meta": URL | {"filename": "a.jpg"}},
        {"kind": "location", "content": "", "meta": PLACE},
        {"meta": {"reply_to": "17", "more": [1]}},
    ],
    "webhook": [
        {"content": "x" * 5000},
        {"kind": "sticker", "content": ""},
        {"kind": "location", "content": "", "meta": {"reply_to": 7}},
    ],
}


@pytest.mark.parametrize(
    ("kind", "body"), [(kind, body) for kind, bodies in SENT.items() for body in bodies]
)
def test_what_a_provider_can_send_is_queued(agent: Caller, kind: str, body: Any) -> None:
    assert say(agent, make_chat(kind), **body).json["delivery"]["state"] == "queued"


UNSENDABLE = [
    ({"content": "ñ" * 4097}, "content"),
    ({"kind": "image", "content": "c" * 1025, "meta": URL}, "content"),
    ({"kind": "image", "content": ""}, "meta"),
    ({"kind": "image", "content": "", "meta": {"url": "http://example.com/a.jpg"}}, "meta"),
    ({"kind": "image", "content": "", "meta": {"url": "https://"}}, "meta"),
    ({"kind": "image", "content": "", "meta": {"url": ["https://example.com/"]}}, "meta"),
    ({"kind": "location", "content": "", "meta": {"latitude": 4.6}}, "meta"),
    ({"kind": "location", "content": "", "meta": PLACE | {"latitude": 90.1}}, "meta"),
    ({"kind": "location", "content": "", "meta": PLACE | {"longitude": "-74"}}, "meta"),
    ({"kind": "location", "content": "", "meta": PLACE | {"longitude": True}}, "meta"),
    ({"kind": "location", "content": "", "meta": PLACE | {"longitude": 10**300}}, "meta"),
    *(
        ({"kind": kind, "content": ""}, "kind")
        for kind in ("contact", "sticker", "reaction", "unsupported")
    ),
    ({"meta": {"reply_to": 17}}, "meta"),
    ({"meta": {"reply_to": ""}}, "meta"),
    ({"meta": {"reply_to": "x" * 256}}, "meta"),
]


@pytest.mark.parametrize("kind", ["telegram", "whatsapp"])
@pytest.mark.parametrize(
    ("body", "field"),
    UNSENDABLE,
    ids=lambda value: value if isinstance(value, str) else str(value)[:60],
)
def test_what_a_provider_cannot_send_is_refused(
    agent: Caller, kind: str, body: dict[str, Any], field: str
) -> None:
    chat = make_chat(kind)
    make_message(chat)

    answer = say(agent, chat, **body)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [field])
    assert len(agent.get(messages_of(chat)).json) == 1


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("whatsapp", {"kind": "audio", "meta": URL}),
        ("whatsapp", {"kind": "location", "meta": PLACE | {"name": "Office"}}),
        ("telegram", {"kind": "location", "meta": PLACE}),
    ],
)
def test_a_text_that_would_be_left_out_is_refused(agent: Caller, kind: str, body: Any) -> None:
    chat = make_chat(kind)
    make_message(chat)

    assert say(agent, chat, **body, content="").status_code == 201
    answer = say(agent, chat, **body)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, ["content"])


def close_window() -> None:
    """Let every client's last message be more than a day old."""
    past = utcnow() - timedelta(seconds=1)
    db.session.execute(update(Conversation).values(reply_until=past))
    db.session.commit()


def test_whatsapp_is_answered_within_a_day_of_the_clients_message(agent: Caller) -> None:
    chat = make_chat("whatsapp")
    never = say(agent, chat)
    make_message(chat)
    conversation = agent.get(f"/api/conversations/{chat.conversation_id}").json

    within = say(agent, chat)
    close_window()
    after = say(agent, chat)
    make_message(chat)
    again = say(agent, chat)

    assert conversation["reply_until"] is not None
    answers = (never, within, after, again)
    assert [answer.status_code for answer in answers] == [409, 201, 409, 201]
    assert [*after.json["errors"]] == ["conversation_id"]


def test_a_window_is_as_old_as_the_clients_message_on_its_channel(agent: Caller) -> None:
    chat = make_chat("whatsapp")

    for hours, status in ((25, 409), (23, 201), (30, 201)):
        make_message(chat, sent_at=utcnow() - timedelta(hours=hours))
        assert say(agent, chat).status_code == status


@pytest.mark.parametrize(("hours", "status"), [(25, 409), (23, 201)])
def test_a_window_is_known_from_before_the_channel_was_set_up(
    agent: Caller, hours: int, status: int
) -> None:
    chat = make_conversation(channel="whatsapp", external_chat_id=CHAT)
    make_message(chat, sent_at=utcnow() - timedelta(hours=hours))
    make_channel("whatsapp")

    assert say(agent, chat).status_code == status


@pytest.mark.parametrize("is_set_up", [True, False])
def test_a_time_that_is_yet_to_come_opens_no_window(agent: Caller, is_set_up: bool) -> None:
    if is_set_up:
        make_channel("whatsapp")
    chat = make_conversation(channel="whatsapp", external_chat_id=CHAT)
    fields = {"sender": "client", "content": "Hello"}
    message = chat.new_message(**fields, sent_at=utcnow() + timedelta(days=9))
    message.created_at -= timedelta(hours=25)
    save(message)
    if not is_set_up:
        make_channel("whatsapp")

    assert say(agent, chat).status_code == 409


@pytest.mark.parametrize(
    "body", [{"kind": "note"}, {"external_message_id": "wamid.1"}, {"sender": "client"}]
)
def test_what_is_not_sent_needs_no_open_window(admin: Caller, body: dict[str, str]) -> None:
    assert say(admin, make_chat("whatsapp"), **body).status_code == 201


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Return what calls return that are made at the same time."""
    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(call) for call in calls]]


def test_nothing_is_queued_in_a_closed_window_whatever_happens_at_once(admin: Caller) -> None:
    chat = make_chat("whatsapp")
    make_message(chat)
    close_window()

    answers = at_once(*[lambda: say(admin, chat)] * 4, lambda: say(admin, chat, sender="client"))

    listed = admin.get(messages_of(chat)).json
    assert [message["sender"] for message in listed[:2]] == ["client", "client"]
    statuses = [answer.status_code for answer in answers]
    assert {*statuses[:4]} <= {201, 409}
    assert len(listed) == 1 + statuses.count(201)


RETRIED = ("queued", "failed", "unknown", "cancelled")


@pytest.mark.parametrize("state", RETRIED)
def test_a_message_that_was_not_sent_is_queued_anew(agent: Caller, state: str) -> None:
    chat = make_chat()
    message_id = say(agent, chat).json["message_id"]
    set_state(message_id, state, "It was away.")
    db.session.execute(
        update(Outbox).values(attempts=7, due_at=utcnow() + timedelta(hours=1))
        if state == "queued"
        else delete(Outbox)
    )
    db.session.commit()

    answer = agent.post(f"{messages_of(chat)}/{message_id}/retry")

    assert (answer.status_code, answer.json["delivery"]["state"]) == (200, "queued")
    assert answer.json == agent.get(f"{messages_of(chat)}/{message_id}").json
    assert outbox() == [(chat.conversation_id, 1, 0, None)]
    assert db.session.scalar(select(func.count()).where(Outbox.due_at <= utcnow())) == 1


@pytest.mark.parametrize("state", [None, *(s for s in RANKS if s not in RETRIED)])
def test_a_message_that_was_sent_or_is_not_ours_is_not_sent_again(
    agent: Caller, state: str | None
) -> None:
    chat = make_chat()
    message_id = say(agent, chat).json["message_id"]
    set_state(message_id, state)

    answer = agent.post(f"{messages_of(chat)}/{message_id}/retry")

    assert (answer.status_code, [*answer.json["errors"]]) == (409, ["delivery"])
    assert state_of(agent, chat, message_id) == state


def switch_off() -> None:
    """Let the channel be inactive."""
    db.session.execute(update(Channel).values(active=False))


def forget_chat() -> None:
    """Let the conversation have no chat."""
    db.session.execute(update(Conversation).values(external_chat_id=None))


def empty() -> None:
    """Let the message be deleted on its channel."""
    db.session.execute(update(Message).values(content="", deleted_at=utcnow()))


@pytest.mark.parametrize(
    ("change", "field"),
    [(switch_off, "channel"), (forget_chat, "external_chat_id"), (empty, "content")],
)
def test_nothing_is_retried_that_cannot_be_sent(
    agent: Caller, change: Callable[[], None], field: str
) -> None:
    chat = make_chat()
    message_id = say(agent, chat).json["message_id"]
    set_state(message_id, "failed")
    change()
    db.session.commit()

    answer = agent.post(f"{messages_of(chat)}/{message_id}/retry")

    assert (answer.status_code, [*answer.json["errors"]]) == (409, [field])
    assert state_of(agent, chat, message_id) == "failed"


def test_nothing_is_retried_in_a_closed_window(agent: Caller) -> None:
    chat = make_chat("whatsapp")
    make_message(chat)
    message_id = say(agent, chat).json["message_id"]
    set_state(message_id, "failed")
    close_window()

    answer = agent.post(f"{messages_of(chat)}/{message_id}/retry")

    assert (answer.status_code, [*answer.json["errors"]]) == (409, ["conversation_id"])


def test_only_a_message_of_the_conversation_is_retried(agent: Caller) -> None:
    chat, other = make_chat(), make_chat(external_chat_id="2")
    message_id = say(agent, chat).json["message_id"]

    for path in (f"{messages_of(other)}/{message_id}", f"{messages_of(chat)}/424242"):
        assert agent.post(f"{path}/retry").status_code == 404
    assert agent.post(f"/api/conversations/424242/messages/{message_id}/retry").status_code == 404


def test_a_retry_leaves_a_conversation_to_whoever_sends_in_it(agent: Caller) -> None:
    chat = make_chat()
    failed = say(agent, chat).json["message_id"]
    set_state(failed, "failed")
    sending = say(agent, chat).json["message_id"]
    set_state(sending, "sending")
    lease_end = utcnow() + timedelta(minutes=1)
    db.session.execute(update(Outbox).values(lease="mine", attempts=2, due_at=lease_end))
    db.session.commit()

    agent.post(f"{messages_of(chat)}/{failed}/retry")

    assert outbox() == [(chat.conversation_id, 1, 2, "mine")]
    assert db.session.scalar(select(Outbox.due_at)) == lease_end


def test_a_queued_message_that_is_deleted_is_not_sent(admin: Caller) -> None:
    chat = make_chat()
    message_id = say(admin, chat).json["message_id"]

    assert admin.delete(f"{messages_of(chat)}/{message_id}").status_code == 204

    assert state_of(admin, chat, message_id) == "cancelled"


def test_a_queued_message_that_its_channel_knows_was_sent(admin: Caller) -> None:
    chat = make_chat()
    message_id = say(admin, chat).json["message_id"]

    known = admin.patch(f"{messages_of(chat)}/{message_id}", json={"external_message_id": "7"})

    assert known.json["delivery"]["state"] == "sent"


def take_over(caller: Caller, chat: Conversation) -> Any:
    """Answer instead of the bot."""
    return caller.post(f"/api/conversations/{chat.conversation_id}/takeover")


def give_to_people(caller: Caller, chat: Conversation) -> Any:
    """Hand the conversation over to people."""
    body = {"handled_by_bot": False}
    return caller.patch(f"/api/conversations/{chat.conversation_id}", json=body)


@pytest.mark.parametrize("act", [take_over, give_to_people, say])
def test_who_takes_over_cancels_what_the_bot_has_queued(
    admin: Caller, act: Callable[[Caller, Conversation], Any]
) -> None:
    chat = make_chat(handled_by_bot=True)
    sent, queued = (say(admin, chat, sender="bot").json["message_id"] for _ in range(2))
    set_state(sent, "sent")
    other = make_chat(handled_by_bot=True, external_chat_id="2")
    elsewhere = say(admin, other, sender="bot").json["message_id"]

    assert act(admin, chat).status_code in (200, 201)

    assert state_of(admin, chat, sent) == "sent"
    assert state_of(admin, chat, queued) == "cancelled"
    assert state_of(admin, other, elsewhere) == "queued"
    changes = admin.get("/api/changes?entity=message&limit=200").json
    last = [change["after"] for change in changes if change["entity_id"] == queued][-1]
    assert last["delivery_state"] == "cancelled"


def begin_to_send(app: Flask) -> bool:
    """Send a message as a worker does; return whether it may."""
    with app.app_context():
        claimed = worker.claim(1, 1)
        return any(worker.begin(waiting) for waiting in claimed)


def test_a_message_is_either_sent_or_cancelled_when_people_take_over(admin: Caller) -> None:
    chats = [make_chat(handled_by_bot=True, external_chat_id=str(n)) for n in range(8)]
    for chat in chats:
        message_id = say(admin, chat, sender="bot").json["message_id"]

        taken, begun = at_once(
            partial(take_over, admin, chat), lambda: Context().run(begin_to_send, admin.app)
        )

        assert taken.status_code == 200
        assert state_of(admin, chat, message_id) == ("sending" if begun else "cancelled")
        db.session.execute(delete(Outbox))
        db.session.commit()


def test_a_bot_that_hands_off_has_said_so(admin: Caller) -> None:
    chat = make_chat(handled_by_bot=True)
    message_id = say(admin, chat, sender="bot").json["message_id"]

    admin.post(f"/api/conversations/{chat.conversation_id}/handoff", json={"note": "Help"})

    assert state_of(admin, chat, message_id) == "queued"


def test_what_was_cancelled_can_be_sent_after_all(admin: Caller) -> None:
    chat = make_chat(handled_by_bot=True)
    message_id = say(admin, chat, sender="bot").json["message_id"]
    take_over(admin, chat)

    answer = admin.post(f"{messages_of(chat)}/{message_id}/retry")

    assert (answer.status_code, answer.json["delivery"]["state"]) == (200, "queued")


def test_a_message_takes_as_many_statements_whether_it_is_sent_or_not(agent: Caller) -> None:
    counts = []
    for chat in (make_conversation(assigned_to=agent.user.user_id), make_chat()):
        say(agent, chat)
        with recorded_statements() as statements:
            say(agent, chat)
        counts.append(len(statements))

    assert counts[0] == counts[1]


def test_nothing_waits_for_a_channel_that_is_deleted_meanwhile(
    agent: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = make_conversation(channel="gone", external_chat_id=CHAT)
    found: Any = locking.locked_conversation
    monkeypatch.setattr(
        message_views, "locked_conversation", lambda number: (found(number)[0], "telegram")
    )

    answer = say(agent, chat)

    # On SQLite nobody deletes it while the message is stored.
    assert answer.status_code == (201 if db.engine.name == "sqlite" else 400)
