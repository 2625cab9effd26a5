"""What became of messages that were sent, as providers tell it in any order."""

from itertools import permutations
from typing import Any

import pytest

from omnidesk.conversations.deliveries import RANKS
from omnidesk.conversations.messages import Message
from tests.conftest import Caller, make_conversation, make_message, on_sqlite, reload, save
from tests.hooks import Hook
from tests.providers.whatsapp_errors import in_status
from tests.providers.whatsapp_updates import notification

CHAT = "16505551234"
WAMID = "wamid.1"


@pytest.fixture
def hook(anybody: Caller) -> Hook:
    """The hook of a channel of WhatsApp's."""
    return Hook(anybody, "whatsapp")


def sent(state: str | None = "sending", external_id: str | None = None, **chat: Any) -> Message:
    """Store a message that was sent."""
    place = {"channel": "whatsapp", "external_chat_id": CHAT} | chat
    known = {"external_message_id": external_id, "delivery_state": state}
    return make_message(make_conversation(**place), sender="bot", **known)


def status(state: str, message: Message | None = None, **fields: Any) -> dict[str, Any]:
    """Return a status, which names our own message where one is given."""
    told: dict[str, Any] = {"id": WAMID, "status": state, "recipient_id": CHAT}
    if message:
        told["biz_opaque_callback_data"] = str(message.message_id)
    return {"timestamp": "1750857384", **told, **fields}


def body(*statuses: dict[str, Any]) -> bytes:
    """Return a body with statuses."""
    return notification({"statuses": list(statuses)})


TOLD = ("sent", "delivered", "read", "failed", "played")


@on_sqlite
def test_of_statuses_in_any_order_the_highest_counts(hook: Hook) -> None:
    for number, order in enumerate(permutations(("sent", "delivered", "read", "failed"))):
        message = sent(external_id=WAMID, external_chat_id=f"chat-{number}")
        for state in (*order, *order):
            hook.send(body(status(state, message)))
        assert reload(message).delivery_state == "read", order


@pytest.mark.parametrize("known", RANKS)
@on_sqlite
def test_a_status_only_raises_the_state(hook: Hook, known: str) -> None:
    for state in TOLD:
        message = sent(known, WAMID, external_chat_id=f"chat-{state}")
        hook.send(body(status(state, message)))

        told = "read" if state == "played" else state
        higher = RANKS.index(told) > RANKS.index(known)
        is_sent_again = known in ("cancelled", "queued", "sending", "unknown")
        is_of_before = is_sent_again and told in ("sent", "failed")
        expected = told if higher and not is_of_before else known
        assert reload(message).delivery_state == expected, state


def test_statuses_of_one_body_are_noted_together(hook: Hook) -> None:
    message = sent()

    hook.send(body(*(status(state, message) for state in ("read", "sent", "sent", "delivered"))))

    assert reload(message).delivery_state == "read"
    assert message.external_message_id == WAMID


def test_a_status_settles_what_is_unknown(hook: Hook, admin: Caller) -> None:
    message = sent("unknown")

    hook.send(body(status("delivered", message)))

    shown = admin.get("/api/conversations/1/messages/1").json
    assert shown["delivery"]["state"] == "delivered"
    assert shown["external_message_id"] == WAMID


def test_why_a_message_failed_is_told(hook: Hook, admin: Caller) -> None:
    message = sent("sent", WAMID)

    hook.send(body(status("failed", message, errors=[in_status(131026)])))
    failed = admin.get("/api/conversations/1/messages/1").json["delivery"]
    hook.send(body(status("delivered", message)))

    assert failed["state"] == "failed"
    assert failed["error"].startswith("131026: Message undeliverable")
    assert reload(message).delivery_error is None


@pytest.mark.parametrize("errors", [None, "x", [], [{}], [{"code": 1, "title": "x" * 900}]])
def test_a_failure_without_a_good_reason_is_one(hook: Hook, errors: Any) -> None:
    message = sent("sent", WAMID)

    hook.send(body(status("failed", message, errors=errors)))

    assert reload(message).delivery_state == "failed"
    assert 1 <= len(message.delivery_error or "") <= 500


@pytest.mark.parametrize(
    "names", [{"recipient_id": CHAT}, {"recipient_id": "?", "recipient_user_id": CHAT}]
)
def test_a_message_is_found_by_its_chat_and_id(hook: Hook, names: Any) -> None:
    message = sent("sent", WAMID)

    hook.send(body(status("read", **names)))

    assert reload(message).delivery_state == "read"


@pytest.mark.parametrize(
    ("known", "external_id", "taken"),
    [
        ("unknown", "wamid.before", True),  # sent again, and this is the second
        ("sending", "wamid.before", True),
        ("sent", "wamid.before", False),
        ("queued", "wamid.before", False),
        ("queued", None, True),
    ],
)
def test_a_status_of_another_time_that_it_was_sent_is_not_taken(
    hook: Hook, known: str, external_id: str | None, taken: bool
) -> None:
    message = sent(known, external_id)

    hook.send(body(status("delivered", message)))

    assert reload(message).delivery_state == ("delivered" if taken else known)
    assert message.external_message_id == (WAMID if taken else external_id)


@pytest.mark.parametrize("told", ["sent", "failed"])
@pytest.mark.parametrize("known", ["queued", "sending", "unknown"])
def test_what_became_of_it_before_is_no_news_of_a_message_that_is_sent_again(
    hook: Hook, known: str, told: str
) -> None:
    message = sent(known, WAMID)

    hook.send(body(status(told, message)))
    before = reload(message).delivery_state
    hook.send(body(status("delivered", message)))

    assert (before, reload(message).delivery_state) == (known, "delivered")


@pytest.mark.parametrize("told", ["sent", "failed"])
@pytest.mark.parametrize("known", ["sending", "unknown"])
def test_what_has_become_of_it_is_news_of_a_message_that_is_sent_first(
    hook: Hook, known: str, told: str
) -> None:
    message = sent(known)

    hook.send(body(status(told, message)))

    assert reload(message).delivery_state == told


@pytest.mark.parametrize(
    ("state", "chat", "told"),
    [
        (None, {}, {}),  # an echo, or imported
        ("sent", {"channel": "web"}, {}),
        ("sent", {}, {"biz_opaque_callback_data": "99"}),
        ("sent", {}, {"biz_opaque_callback_data": "x", "id": "other"}),
        ("sent", {}, {"biz_opaque_callback_data": 2**31, "id": "other"}),
        ("sent", {}, {"biz_opaque_callback_data": "-1", "id": "other"}),
    ],
)
def test_a_status_of_what_is_not_ours_is_ignored(
    hook: Hook, admin: Caller, state: Any, chat: Any, told: Any
) -> None:
    message = sent(state, WAMID, **chat)

    hook.send(body(status("read", message, **told)))

    assert reload(message).delivery_state == state
    assert admin.get("/api/channels/1/unsupported").json == []


def test_an_id_that_another_message_has_is_not_taken(hook: Hook) -> None:
    message = sent("unknown")
    conversation = {"conversation_id": message.conversation_id}
    echo = Message.new(**conversation, sender="user", content="x", external_message_id=WAMID)
    save(echo)

    hook.send(body(status("delivered", message)))

    assert reload(message).delivery_state == "delivered"
    assert message.external_message_id is None


def test_a_status_that_is_not_known_is_kept(hook: Hook, admin: Caller) -> None:
    message = sent("sent", WAMID)

    hook.send(body(status("warning", message)))

    assert reload(message).delivery_state == "sent"
    assert len(admin.get("/api/channels/1/unsupported").json) == 1


def test_messages_of_clients_who_are_erased_stay_as_they_are(hook: Hook, admin: Caller) -> None:
    message = sent("sent", WAMID)
    name = admin.get("/api/clients/1").json["full_name"]
    assert admin.post("/api/clients/1/erase", json={"full_name": name}).status_code == 200

    hook.send(body(status("read", message)))

    assert reload(message).delivery_state == "sent"


@pytest.mark.parametrize(
    "named", [{"message_id": 1}, {"external_chat_id": CHAT, "external_message_id": WAMID}]
)
def test_an_operators_program_tells_statuses(anybody: Caller, named: Any) -> None:
    hook = Hook(anybody, "webhook")
    message = sent("sent", WAMID, channel="webhook")

    hook.send({"type": "status", "data": {**named, "state": "failed", "error": "No such user"}})

    assert reload(message).delivery_state == "failed"
    assert message.delivery_error == "No such user"
