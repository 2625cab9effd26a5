"""The worker: messages go out in order, once, and what became of them is noted."""

import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import OperationalError

from omnidesk.channels.models import Channel, UnsupportedUpdate
from omnidesk.conversations.deliveries import Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.providers.outgoing import Outcome, Pace, Refused, Sent, TryAgain, Unclear
from omnidesk.worker import messages, outbox, retries
from omnidesk.worker.destinations import Destinations
from omnidesk.worker.heartbeat import Heartbeat, Worker
from omnidesk.worker.loop import Loop
from omnidesk.worker.messages import MessageQueue
from omnidesk.worker.outbox import ClaimedMessage
from omnidesk.worker.pacing import Pacer
from omnidesk.worker.results import record
from tests.conftest import Caller, analyze, make_conversation, make_message, save
from tests.providers.habits import CUT_BEFORE_ANSWER, CUT_WITHIN_ANSWER, answer
from tests.providers.telegram import Telegram
from tests.providers.telegram_answers import BLOCKED, flood
from tests.providers.telegram_answers import error as refused
from tests.receivers import hang, receiver

HOUR = timedelta(hours=1)


class Desk:
    """A desk with a channel whose provider is a stand-in, and its worker's queue."""

    def __init__(self, app: Flask, admin: Caller, telegram: Telegram) -> None:
        self.app, self.admin, self.telegram = app, admin, telegram
        self.channel = make_channel(telegram)
        self.queue = MessageQueue(app.config, Event())
        self.queue.mend_at = float("inf")

    def conversation(self, chat_id: str = "5", **fields: Any) -> Conversation:
        """Return a new conversation on the channel."""
        return make_conversation(channel="telegram", external_chat_id=chat_id, **fields)

    def post(self, conversation: Conversation, content: str = "Hello", **fields: Any) -> int:
        """Queue a message; return its id."""
        db.session.remove()
        path = f"/api/conversations/{conversation.conversation_id}/messages"
        made = self.admin.post(path, json={"content": content, **fields})
        assert (made.status_code, made.json["delivery"]["state"]) == (201, "queued"), made.json
        return int(made.json["message_id"])

    def claim(self) -> list[ClaimedMessage]:
        """Claim all that is due."""
        db.session.remove()
        due = self.queue.due()
        return [item for channel_id in due for item in self.queue.claim(channel_id, 50)]

    def work(self) -> list[bool]:
        """Send what is due, and what then is, without a pause between two messages of a chat."""
        works = []
        while items := self.claim():
            self.queue.pacer = Pacer()
            works += [self.queue.send(item) for item in items]
        return works

    def delivery(self, message_id: int) -> tuple[str, str | None]:
        """Return what became of a message, and why."""
        db.session.remove()
        message = db.session.get_one(Message, message_id)
        return str(message.delivery_state), message.delivery_error

    def outbox(self) -> list[Outbox]:
        """Return the conversations with something to send."""
        db.session.remove()
        return list(db.session.scalars(select(Outbox)))

    def wait(self, duration: timedelta = HOUR * 2) -> None:
        """Let time pass for what waits."""
        for row in self.outbox():
            row.due_at -= duration
        db.session.commit()
        self.queue.held_until.clear()


def make_channel(telegram: Telegram, **fields: Any) -> Channel:
    """Store a channel."""
    defaults = {
        "channel": "telegram",
        "type": "telegram",
        "settings": json.dumps({"api_base": telegram.url}),
        "secrets": '{"bot_token": "BOT_TOKEN"}',
        "active": True,
        "bot_first": False,
    }
    return save(Channel(**(defaults | fields)))


@pytest.fixture(scope="module")
def provider() -> Iterator[Telegram]:
    """A stand-in for Telegram."""
    with Telegram() as telegram:
        telegram.limits = {}
        yield telegram


@pytest.fixture
def desk(
    app: Flask, admin: Caller, provider: Telegram, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """A desk on Telegram."""
    monkeypatch.setenv("BOT_TOKEN", provider.token)
    provider.accepted.clear()
    provider.requests.clear()
    provider.refusals.clear()
    yield Desk(app, admin, provider)
    provider.next_habits.clear()


def test_a_message_is_sent_and_has_the_providers_id(desk: Desk) -> None:
    conversation = desk.conversation()
    message_id = desk.post(conversation, "Good morning")

    assert desk.work() == [True]

    assert desk.telegram.sent == [("5", "Good morning")]
    assert desk.delivery(message_id) == ("sent", None)
    shown = desk.admin.get(f"/api/conversations/{conversation.conversation_id}/messages").json[0]
    assert shown["external_message_id"] == desk.telegram.accepted[0].message_id
    assert desk.outbox() == []


def test_messages_of_a_conversation_are_sent_in_order(desk: Desk) -> None:
    first, second = desk.conversation("5"), desk.conversation("6")
    for number in range(3):
        desk.post(first, f"a{number}")
        desk.post(second, f"b{number}")

    desk.work()

    assert desk.telegram.texts("5") == ["a0", "a1", "a2"]
    assert desk.telegram.texts("6") == ["b0", "b1", "b2"]


def test_the_first_message_is_found_however_many_wait_behind_it(desk: Desk) -> None:
    waiting: dict[str, Any] = {"sender": "user", "content": "x", "delivery_state": "queued"}
    waiting |= {"delivery_at": utcnow()}
    first, many = desk.conversation("5").conversation_id, desk.conversation("6").conversation_id
    rows = [{"conversation_id": number, **waiting} for number in (first, *[many] * 300)]
    db.session.execute(insert(Message), rows)
    analyze()

    few = work_of(lambda: outbox.first_of([first]))
    more = work_of(lambda: outbox.first_of([many]))

    assert more <= few + 5


def work_of(find: Callable[[], Any]) -> int:
    """Return how much the database does for a statement: rows of messages, or steps on SQLite."""
    db.session.remove()
    if db.engine.name == "postgresql":
        before = messages_read()
        find()
        return messages_read() - before
    steps: list[int] = []
    driver: Any = db.session.connection().connection.dbapi_connection
    driver.set_progress_handler(lambda: steps.append(1), 1)
    find()
    driver.set_progress_handler(None, 1)
    return len(steps)


def messages_read() -> int:
    """Return how many messages this connection has read: some of an earlier transaction's too."""
    return int(db.session.scalar(text(MESSAGES_READ)) or 0)


MESSAGES_READ = """
SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables
WHERE relname = 'message'
"""


def test_what_comes_in_and_what_is_for_staff_is_not_sent(desk: Desk) -> None:
    conversation = desk.conversation()
    make_message(conversation)
    make_message(conversation, sender="user", kind="note")
    make_message(conversation, sender="user", external_message_id="7")

    assert desk.work() == []


def test_a_refused_connection_is_tried_again_later(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    desk.telegram.refuse()
    try:
        assert desk.work() == [False]
    finally:
        desk.telegram.listen()

    state, error = desk.delivery(message_id)
    (row,) = desk.outbox()
    assert (state, row.lease, row.attempts) == ("queued", None, 1)
    assert error
    assert "refused" in error
    assert 0 < (row.due_at - utcnow()).total_seconds() < 6
    desk.wait()
    assert desk.work() == [True]
    assert desk.delivery(message_id) == ("sent", None)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failure_of_the_provider_is_tried_again(desk: Desk, status: int) -> None:
    message_id = desk.post(desk.conversation())
    desk.telegram.once(answer(status, b"<html>"))

    assert desk.work() == [False]
    assert desk.delivery(message_id)[0] == "queued"
    desk.wait()
    assert desk.work() == [True]

    assert desk.delivery(message_id) == ("sent", None)
    assert len(desk.telegram.accepted) == 1


@pytest.mark.parametrize("how", ["deleted", "told to be known"])
def test_what_follows_a_message_that_is_not_sent_any_more_does_not_wait(
    desk: Desk, how: str
) -> None:
    conversation = desk.conversation()
    first = desk.post(conversation, "one")
    desk.telegram.once(answer(503))
    desk.work()
    second, third = desk.post(conversation, "two"), desk.post(conversation, "three")
    path = f"/api/conversations/{conversation.conversation_id}/messages"
    assert desk.admin.delete(f"{path}/{third}").status_code == 204
    assert desk.work() == []  # it was not the one that comes next

    if how == "deleted":
        desk.admin.delete(f"{path}/{first}")
    else:
        desk.admin.patch(f"{path}/{first}", json={"external_message_id": "7"})

    assert [row.attempts for row in desk.outbox()] == [0]
    desk.work()
    assert desk.telegram.sent == [("5", "two")]
    assert desk.delivery(second) == ("sent", None)


def test_since_when_a_message_waits_is_kept_while_it_is_tried(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    before = db.session.get_one(Message, message_id).delivery_at

    desk.telegram.once(answer(500))
    desk.work()

    db.session.remove()
    assert db.session.get_one(Message, message_id).delivery_at == before


def test_tries_are_further_and_further_apart() -> None:
    delays = [retries.delay_after(attempts, None) for attempts in range(1, 9)]

    for delay, least in zip(delays, (5, 30, 120, 600, 1800, 3600, 3600, 3600), strict=True):
        assert least <= delay <= least * 1.1


@pytest.mark.parametrize(("asked", "least"), [(0.0, 1), (7.0, 7), (1e9, 3600)])
def test_a_wait_that_is_asked_for_is_obeyed_up_to_an_hour(asked: float, least: int) -> None:
    assert least <= retries.delay_after(9, asked) <= least * 1.1


def test_a_message_fails_when_it_was_tried_for_long_and_often(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    desk.telegram.once(*[answer(500)] * 3)
    old = utcnow() - retries.MAX_AGE

    for attempts, queued_at in ((0, old), (retries.MIN_ATTEMPTS, utcnow())):
        db.session.execute(update(Outbox).values(attempts=attempts))
        db.session.execute(update(Message).values(delivery_at=queued_at))
        db.session.commit()
        desk.work()
        assert desk.delivery(message_id)[0] == "queued"
        desk.wait()
    db.session.execute(update(Message).values(delivery_at=old))
    db.session.commit()
    desk.work()

    assert desk.delivery(message_id) == ("failed", "Telegram answered with status 500.")
    assert desk.outbox() == []


def test_a_final_refusal_fails_at_once_and_the_next_message_is_sent(desk: Desk) -> None:
    conversation = desk.conversation()
    first, second = desk.post(conversation, "one"), desk.post(conversation, "two")
    desk.telegram.once(refused(BLOCKED))

    assert desk.work() == [True, True]

    assert desk.delivery(first) == ("failed", "Forbidden: bot was blocked by the user")
    assert desk.delivery(second) == ("sent", None)


@pytest.mark.parametrize("before", ["Forbidden: ", "x" * 290, "x" * 999])
def test_a_secret_that_a_provider_repeats_is_stored_nowhere(desk: Desk, before: str) -> None:
    message_id = desk.post(desk.conversation())
    desk.telegram.once(refused((403, f"{before}{desk.telegram.token} is no bot here")))

    desk.work()

    kept = f"{before}*** is no bot here"[:300]
    assert desk.delivery(message_id) == ("failed", kept)
    logged = [change.after for change in db.session.scalars(select(Change))]
    assert not [text for text in logged if text and desk.telegram.token[:10] in text]


def test_of_an_erased_clients_message_no_error_is_kept(desk: Desk) -> None:
    conversation = desk.conversation()
    message_id = desk.post(conversation, "Hello")
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    erase = f"/api/clients/{conversation.client_id}/erase"
    name = desk.admin.get(f"/api/clients/{conversation.client_id}").json["full_name"]
    assert desk.admin.post(erase, json={"full_name": name}).status_code == 200
    db.session.remove()

    desk.queue.note(claimed, Refused("Forbidden: Ada has blocked the bot"))

    assert desk.delivery(message_id) == ("failed", None)


@pytest.mark.parametrize("how", ["deleted", "erased"])
def test_what_is_deleted_while_it_is_sent_and_not_taken_is_cancelled(desk: Desk, how: str) -> None:
    conversation = desk.conversation()
    message_id = desk.post(conversation, "Hello")
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    db.session.remove()
    if how == "deleted":
        path = f"/api/conversations/{conversation.conversation_id}/messages/{message_id}"
        assert desk.admin.delete(path).status_code == 204
    else:
        client = f"/api/clients/{conversation.client_id}"
        name = desk.admin.get(client).json["full_name"]
        assert desk.admin.post(f"{client}/erase", json={"full_name": name}).status_code == 200
    db.session.remove()

    desk.queue.note(claimed, TryAgain("busy"))

    assert desk.delivery(message_id) == ("cancelled", None)
    assert desk.outbox() == []


def test_what_became_of_a_message_is_stored_however_long_the_database_is_away(
    desk: Desk, monkeypatch: Any
) -> None:
    message_id = desk.post(desk.conversation())
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    away = iter(range(2_000))

    def record_in_the_end(*args: Any) -> None:
        if next(away, None) is not None:
            raise OSError
        record(*args)

    monkeypatch.setattr(messages, "record", record_in_the_end)
    monkeypatch.setattr(messages, "sleep", lambda _: None)

    desk.queue.note(claimed, sent_as(9))

    assert desk.delivery(message_id) == ("sent", None)


def test_what_no_provider_sends_fails_with_the_reason(desk: Desk) -> None:
    meta = {"url": "https://files.example.com/a.jpg"}
    message_id = desk.post(desk.conversation(), kind="image", meta=meta)
    # As of a message that was stored before POST refused such.
    db.session.execute(update(Message).values(meta='{"file_id":"a"}'))
    db.session.commit()

    desk.work()

    state, error = desk.delivery(message_id)
    assert state == "failed"
    assert "meta.url" in str(error)


@pytest.mark.parametrize("cut", [CUT_BEFORE_ANSWER, CUT_WITHIN_ANSWER])
def test_what_was_sent_without_an_answer_is_unknown_and_not_repeated(desk: Desk, cut: Any) -> None:
    conversation = desk.conversation()
    first, second = desk.post(conversation, "one"), desk.post(conversation, "two")
    desk.telegram.once(cut)

    assert desk.work() == [False, True]
    desk.wait()
    assert desk.work() == []

    assert desk.delivery(first)[0] == "unknown"
    assert desk.delivery(second)[0] == "sent"
    assert desk.telegram.sent == [("5", "one"), ("5", "two")]


def test_a_chats_limit_holds_up_that_chat_alone(desk: Desk) -> None:
    here, there = desk.post(desk.conversation("5")), desk.post(desk.conversation("6"))
    desk.telegram.once(flood(30), to="5")

    assert desk.work() == [True, True]

    assert [desk.delivery(each)[0] for each in (here, there)] == ["queued", "sent"]
    (row,) = desk.outbox()
    assert 25 < (row.due_at - utcnow()).total_seconds() < 34


def test_a_channels_limit_holds_up_the_channel(desk: Desk) -> None:
    desk.post(desk.conversation("5"))
    desk.telegram.once(flood(90))
    assert desk.work() == [False]

    desk.post(desk.conversation("6"))

    assert desk.work() == []
    desk.wait()
    assert desk.work() == [True, True]


def test_a_chat_gets_one_message_a_second_without_being_told(desk: Desk) -> None:
    conversation = desk.conversation()
    for _ in range(2):
        desk.post(conversation)

    for item in desk.claim() + desk.claim():
        assert desk.queue.send(item)
    for item in desk.claim():
        assert desk.queue.send(item)

    (row,) = desk.outbox()
    assert (row.lease, row.attempts) == (None, 0)
    assert len(desk.telegram.requests) == 1


def test_a_missing_secret_is_told_and_the_message_waits(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = desk.post(desk.conversation())
    monkeypatch.delenv("BOT_TOKEN")

    assert desk.work() == [False]

    assert desk.delivery(message_id) == ("queued", "The channel needs the secret bot_token.")


def test_messages_of_an_inactive_channel_wait(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    db.session.execute(update(Channel).values(active=False))
    db.session.commit()

    assert desk.work() == []
    assert desk.delivery(message_id)[0] == "queued"


def test_a_take_over_cancels_what_a_worker_has_claimed_but_not_sent(desk: Desk) -> None:
    conversation = desk.conversation(handled_by_bot=True)
    message_id = desk.post(conversation, sender="bot", turn=conversation.turn)
    claimed = desk.claim()
    db.session.remove()
    path = f"/api/conversations/{conversation.conversation_id}"
    assert desk.admin.patch(path, json={"handled_by_bot": False}).status_code == 200

    assert [desk.queue.send(item) for item in claimed] == [True]

    assert desk.delivery(message_id)[0] == "cancelled"
    assert desk.telegram.requests == []
    assert desk.outbox() == []


def test_a_take_over_cancels_what_the_provider_does_not_take_meanwhile(desk: Desk) -> None:
    conversation = desk.conversation(handled_by_bot=True)
    message_id = desk.post(conversation, sender="bot")
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    db.session.remove()
    path = f"/api/conversations/{conversation.conversation_id}"
    assert desk.admin.patch(path, json={"handled_by_bot": False}).status_code == 200

    desk.queue.note(claimed, TryAgain("busy"))

    assert desk.delivery(message_id) == ("cancelled", None)
    assert desk.outbox() == []


def test_what_a_bot_said_before_it_gave_a_conversation_away_is_sent(desk: Desk) -> None:
    conversation = desk.conversation(handled_by_bot=True)
    message_id = desk.post(conversation, sender="bot")
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    db.session.remove()
    path = f"/api/conversations/{conversation.conversation_id}/handoff"
    assert desk.admin.post(path, json={}).status_code == 200

    desk.queue.note(claimed, TryAgain("busy"))
    desk.wait()
    desk.work()

    assert desk.delivery(message_id) == ("sent", None)


def test_a_message_that_changes_after_its_claim_is_sent_as_it_is_then(desk: Desk) -> None:
    conversation = desk.conversation()
    message_id = desk.post(conversation, "Helo")
    claimed = desk.claim()
    db.session.remove()
    path = f"/api/conversations/{conversation.conversation_id}/messages/{message_id}"
    assert desk.admin.patch(path, json={"content": "Hello"}).status_code == 200

    assert [desk.queue.send(item) for item in claimed] == [True]
    desk.work()

    assert desk.telegram.sent == [("5", "Hello")]


def test_a_worker_that_has_lost_its_lease_sends_nothing(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    frozen = desk.claim()
    desk.wait()
    assert desk.work() == [True]

    assert [desk.queue.send(item) for item in frozen] == [True]

    assert desk.telegram.sent == [("5", "Hello")]
    assert desk.delivery(message_id)[0] == "sent"


def test_a_worker_whose_lease_another_has_by_now_sends_nothing(desk: Desk) -> None:
    desk.post(desk.conversation())
    (frozen,) = desk.claim()
    desk.wait()
    (claimed,) = desk.claim()

    assert desk.queue.send(frozen)
    assert desk.telegram.requests == []
    desk.queue.pacer = Pacer()
    assert desk.queue.send(claimed)

    assert desk.telegram.sent == [("5", "Hello")]


def test_what_a_dead_worker_was_sending_is_unknown_and_the_next_is_sent(desk: Desk) -> None:
    conversation = desk.conversation()
    first, second = desk.post(conversation, "one"), desk.post(conversation, "two")
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    assert desk.claim() == []
    desk.wait()

    desk.work()

    assert desk.delivery(first) == ("unknown", outbox.ENDED)
    assert desk.delivery(second) == ("sent", None)
    assert desk.telegram.sent == [("5", "two")]


@pytest.mark.parametrize(
    "late",
    [TryAgain("late"), Refused("late"), Unclear("late")],
    ids=lambda late: type(late).__name__,
)
def test_an_answer_of_before_is_no_news_of_a_message_that_is_sent_again(
    desk: Desk, late: Outcome
) -> None:
    conversation = desk.conversation()
    message_id = desk.post(conversation)
    (frozen,) = desk.claim()
    assert outbox.begin(frozen)
    desk.wait()
    assert desk.claim() == []
    path = f"/api/conversations/{conversation.conversation_id}/messages/{message_id}/retry"
    assert desk.admin.post(path).status_code == 200

    desk.queue.note(frozen, late)
    queued = desk.delivery(message_id)
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    desk.queue.note(frozen, late)

    assert (queued, desk.delivery(message_id)) == (("queued", None), ("sending", None))
    desk.queue.note(claimed, sent_as(9))
    assert desk.delivery(message_id) == ("sent", None)


def test_an_answer_that_comes_after_the_lease_settles_what_is_unknown(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    desk.wait()
    assert desk.claim() == []
    assert desk.delivery(message_id)[0] == "unknown"

    desk.queue.note(claimed, TryAgain("late"))
    assert desk.delivery(message_id)[0] == "unknown"
    desk.queue.note(claimed, sent_as(9))

    assert desk.delivery(message_id) == ("sent", None)


def sent_as(number: int) -> Sent:
    """Return what the answer says with which Telegram takes a message."""
    return Sent(str(number))


def test_a_status_that_came_before_the_answer_stays(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)
    db.session.get_one(Message, message_id).set_delivery("delivered")
    db.session.commit()
    db.session.remove()

    desk.queue.note(claimed, sent_as(9))

    assert desk.delivery(message_id)[0] == "delivered"
    assert db.session.get_one(Message, message_id).external_message_id == "9"


def test_what_is_sent_again_has_the_id_of_the_last_time(desk: Desk) -> None:
    message_id = desk.post(desk.conversation())
    message = db.session.get_one(Message, message_id)
    message.external_message_id = "8"
    db.session.commit()
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)

    desk.queue.note(claimed, sent_as(9))

    assert desk.delivery(message_id) == ("sent", None)
    assert db.session.get_one(Message, message_id).external_message_id == "9"


def test_an_id_that_another_message_has_is_left_out(desk: Desk) -> None:
    conversation = desk.conversation()
    make_message(conversation, external_message_id="9")
    message_id = desk.post(conversation)
    (claimed,) = desk.claim()
    assert outbox.begin(claimed)

    desk.queue.note(claimed, sent_as(9))

    assert desk.delivery(message_id) == ("sent", None)
    assert db.session.get_one(Message, message_id).external_message_id is None


def test_what_is_due_too_late_since_the_clock_was_set_back_is_due_again(desk: Desk) -> None:
    desk.post(desk.conversation("5"))
    desk.post(desk.conversation("6"))
    (leased, _) = desk.claim()
    desk.wait(-2 * HOUR)
    db.session.execute(
        update(Outbox).where(Outbox.conversation_id != leased.conversation_id).values(lease=None)
    )
    db.session.commit()

    desk.queue.mend_at = 0.0
    desk.queue.step()

    assert [item.conversation_id != leased.conversation_id for item in desk.claim()] == [True]
    desk.wait(timedelta(minutes=1))
    assert leased.conversation_id in {item.conversation_id for item in desk.claim()}


def test_a_worker_that_ends_gives_back_what_it_has_claimed(desk: Desk) -> None:
    desk.post(desk.conversation())

    for item in desk.claim():
        desk.queue.give_back(item)

    assert desk.work() == [True]


def test_two_workers_send_each_message_once(desk: Desk) -> None:
    conversations = [desk.conversation(str(number)) for number in range(100, 112)]
    for conversation in conversations:
        for number in range(2):
            desk.post(conversation, f"{conversation.external_chat_id} {number}")
    others = [Desk.__new__(Desk) for _ in range(2)]
    for other in others:
        other.__dict__.update(desk.__dict__, queue=MessageQueue(desk.app.config, Event()))

    def work(other: Desk) -> None:
        with desk.app.app_context():
            for _ in range(60):
                other.work()

    threads = [Thread(target=work, args=[other]) for other in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not desk.telegram.doubled
    for conversation in conversations:
        chat_id = str(conversation.external_chat_id)
        assert desk.telegram.texts(chat_id) == [f"{chat_id} {number}" for number in range(2)]


def test_the_loop_sends_until_it_is_told_to_end(desk: Desk) -> None:
    stopping, conversations = Event(), [desk.conversation(str(n)) for n in range(100, 104)]
    loop = Loop(desk.app, [MessageQueue(desk.app.config, stopping)], stopping)
    running = Thread(target=loop.run)
    running.start()

    for conversation in conversations:
        desk.post(conversation, "Hello")
    desk.telegram.wait_for(4)
    assert db.session.scalar(select(Worker.worker_id)) == loop.heartbeat.worker_id
    db.session.remove()
    stopping.set()
    running.join(20)

    assert not running.is_alive()
    assert not desk.telegram.doubled
    assert desk.outbox() == []
    assert db.session.scalar(select(Worker.worker_id)) is None


def test_channels_that_are_dead_delay_no_other(desk: Desk) -> None:
    stopping = Event()
    loop = Loop(desk.app, [MessageQueue(desk.app.config, stopping)], stopping)
    running = Thread(target=loop.run)
    with receiver(otherwise=hang) as dead:
        for number in range(5):
            name, settings = f"dead-{number}", json.dumps({"api_base": dead.url})
            make_channel(desk.telegram, channel=name, settings=settings)
            for chat_id in range(12):
                desk.post(make_conversation(channel=name, external_chat_id=str(chat_id)))
        running.start()
        dead.wait_for(5)

        desk.post(desk.conversation())

        desk.telegram.wait_for(1, timeout=5)
        stopping.set()
    running.join(20)


@pytest.mark.parametrize(
    "error",
    [RuntimeError(), OperationalError("", None, Exception())],
    ids=["a bug", "the database"],
)
def test_messages_are_sent_while_nothing_old_can_be_deleted(
    desk: Desk, monkeypatch: Any, error: Exception
) -> None:
    def prune() -> None:
        raise error

    stopping = Event()
    queue = MessageQueue(desk.app.config, stopping)
    monkeypatch.setattr(queue, "prune", prune)
    running = Thread(target=Loop(desk.app, [queue], stopping).run)
    running.start()

    desk.post(desk.conversation())

    desk.telegram.wait_for(1, timeout=5)
    stopping.set()
    running.join(20)


def test_old_updates_and_workers_are_deleted(desk: Desk) -> None:
    now, channel_id = utcnow(), desk.channel.channel_id
    for age in (timedelta(days=8), timedelta(days=6)):
        save(UnsupportedUpdate(channel_id=channel_id, body="{}", received_at=now - age))
    for name, age in (("gone", HOUR * 2), ("here", HOUR / 2)):
        save(Worker(worker_id=name, host="a", pid=1, seen_at=now - age))

    desk.queue.prune()

    assert len(db.session.scalars(select(UnsupportedUpdate)).all()) == 1
    assert db.session.scalars(select(Worker.worker_id)).all() == ["here"]


def test_a_heartbeat_is_one_row(desk: Desk) -> None:
    heartbeat = Heartbeat()

    heartbeat.beat()
    first = db.session.scalars(select(Worker)).one().seen_at
    heartbeat.beat()

    (row,) = db.session.scalars(select(Worker)).all()
    assert row.seen_at > first
    heartbeat.end()
    assert db.session.scalar(select(Worker)) is None


def test_the_log_has_no_text_and_no_secret(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    conversation = desk.conversation("987654")
    for _ in range(2):
        desk.post(conversation, "confidential")
    desk.telegram.once(answer(500), to="987654")

    with caplog.at_level(logging.INFO):
        desk.work()
        desk.wait()
        desk.work()

    lines = [record.getMessage() for record in caplog.records if "worker" in record.name]
    assert len(lines) == 3
    for secret in ("confidential", desk.telegram.token, "987654", "bot1"):
        assert secret not in caplog.text


def test_a_destination_leaves_as_many_threads_free_as_it_has() -> None:
    destinations = Destinations(12)
    for key in "abcd":
        destinations.begin(key)
        destinations.end(key, works=True)
    for expected, key in ((6, "a"), (3, "b"), (1, "c")):
        assert destinations.room(key) == expected
        for _ in range(expected):
            destinations.begin(key)

    assert [destinations.room(key) for key in "abcde"] == [0, 0, 0, 1, 1]


def test_a_new_destination_gets_one_thread_until_it_has_worked() -> None:
    destinations = Destinations(12)
    for key in "abcdef":
        assert destinations.room(key) == 1
        destinations.begin(key)
        assert destinations.room(key) == 0

    destinations.end("a", works=True)
    assert destinations.room("a") == 4


def test_a_destination_that_fails_gets_one_thread_and_then_pauses() -> None:
    destinations = Destinations(12)
    for _ in range(2):
        assert destinations.room("a") > 0
        destinations.begin("a")
        destinations.end("a", works=False)

    assert destinations.room("a") == 0
    destinations.states["a"].paused_until = 0.0
    assert destinations.room("a") == 1
    destinations.begin("a")
    assert destinations.room("a") == 0
    destinations.end("a", works=True)
    assert destinations.room("a") == 6


def test_destinations_that_fail_have_half_of_the_threads_together() -> None:
    destinations = Destinations(4)
    for key in "abc":
        destinations.begin(key)
        destinations.end(key, works=False)
    for key in "ab":
        assert destinations.room(key) == 1
        destinations.begin(key)

    assert destinations.room("c") == 0
    assert destinations.room("d") == 1


def test_a_pace_lets_some_through_at_once_and_then_one_after_the_other() -> None:
    now = [0.0]
    pacer, pace = Pacer(lambda: now[0]), Pace(2, 1.0)
    assert [pacer.wait("a", pace) for _ in range(3)] == [0.0, 0.0, 1.0]
    assert pacer.wait("b", pace) == 0.0
    now[0] = 1.0
    assert pacer.room("a", pace, 5) == 1
    assert [pacer.wait("a", pace) for _ in range(2)] == [0.0, 1.0]
    now[0] = 9.0
    assert pacer.room("a", pace, 5) == 2
    assert pacer.room("a", None, 5) == 5
