"""Hooks: only a channel's provider is listened to, and all that it tells is stored or nothing."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.clients.models import Client
from omnidesk.conversations.messages import MAX_META, Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import MAX_ID, db, utcnow
from omnidesk.hooks import receiving
from omnidesk.hooks.views import MAX_BODY
from omnidesk.providers import parts
from tests.conftest import Caller, on_sqlite
from tests.hooks import SECRETS, Hook, by_operator, by_telegram, by_whatsapp, make_channel, path_of
from tests.providers import telegram_updates, whatsapp_updates
from tests.providers.whatsapp_updates import SHEENA, notification, text, written_by

TYPES = ("whatsapp", "telegram", "webhook")
HELLO: dict[str, Any] = {
    "whatsapp": notification(written_by(SHEENA, text(SHEENA, "Hello"))),
    "telegram": json.dumps({"update_id": 1, "message": telegram_updates.message(7, text="Hello")}),
    "webhook": json.dumps(
        {"type": "message", "data": {"external_chat_id": "ada", "external_message_id": "1"}
         | {"content": "Hello"}}
    ),
}  # fmt: skip


def hello(channel_type: str) -> bytes:
    """Return a body with one message."""
    body = HELLO[channel_type]
    return body if isinstance(body, bytes) else body.encode()


def count(entity: Any) -> int:
    """Return how many rows there are."""
    found = db.session.scalar(select(func.count()).select_from(entity)) or 0
    db.session.rollback()  # SQLite has one writer at a time
    return found


def post(caller: Caller, path: str, body: bytes, headers: dict[str, str]) -> Any:
    """Send a body as it is."""
    return caller.post(path, data=body, headers=headers | {"Content-Type": "application/json"})


@pytest.mark.parametrize("channel_type", TYPES)
def test_what_is_signed_is_stored(anybody: Caller, channel_type: str) -> None:
    hook = Hook(anybody, channel_type)

    answer = hook.send(hello(channel_type))

    assert answer.data == b""
    (message,) = db.session.scalars(select(Message)).all()
    assert (message.sender, message.kind, message.content) == ("client", "text", "Hello")
    assert message.delivery_state is None


@pytest.mark.parametrize("channel_type", TYPES)
def test_an_inactive_channel_receives_what_its_clients_write(
    anybody: Caller, channel_type: str
) -> None:
    Hook(anybody, channel_type, active=False).send(hello(channel_type))

    assert count(Message) == 1


def signature(secret: str, body: bytes) -> str:
    """Return WhatsApp's signature with another secret."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


BODY = hello("whatsapp")
OPERATORS = hello("webhook")
GOOD = by_operator(OPERATORS)


@pytest.mark.parametrize(
    ("channel_type", "headers"),
    [
        ("whatsapp", {}),
        ("whatsapp", {"X-Hub-Signature-256": ""}),
        ("whatsapp", {"X-Hub-Signature-256": "sha256="}),
        ("whatsapp", {"X-Hub-Signature-256": signature("other", BODY)}),
        ("whatsapp", by_whatsapp(BODY + b" ")),
        ("whatsapp", {"X-Hub-Signature-256": by_whatsapp(BODY)["X-Hub-Signature-256"][7:]}),
        ("whatsapp", {"X-Hub-Signature-256": "sha256=ä"}),
        ("whatsapp", {"X-Hub-Signature": by_whatsapp(BODY)["X-Hub-Signature-256"]}),
        ("whatsapp", by_telegram(BODY)),
        ("telegram", {}),
        ("telegram", {"X-Telegram-Bot-Api-Secret-Token": ""}),
        ("telegram", {"X-Telegram-Bot-Api-Secret-Token": "A-secret_token"}),
        ("telegram", {"X-Telegram-Bot-Api-Secret-Token": "a-secret_token-"}),
        ("telegram", {"X-Telegram-Bot-Api-Secret-Token": "ä"}),
        ("webhook", {}),
        ("webhook", by_operator(OPERATORS + b" ")),
        ("webhook", by_operator(OPERATORS, at=-4000)),
        ("webhook", by_operator(OPERATORS, at=4000)),
        ("webhook", GOOD | {"webhook-id": "other"}),
        ("webhook", GOOD | {"webhook-timestamp": "nan"}),
        ("webhook", GOOD | {"webhook-timestamp": "1e400"}),
        ("webhook", GOOD | {"webhook-timestamp": "x"}),
        ("webhook", GOOD | {"webhook-signature": ""}),
        ("webhook", GOOD | {"webhook-signature": "v1"}),
        ("webhook", GOOD | {"webhook-signature": "v1,ä"}),
        ("webhook", GOOD | {"webhook-signature": "v1,a,b"}),
        ("webhook", GOOD | {"webhook-signature": GOOD["webhook-signature"].replace("v1", "v2")}),
        ("webhook", {name: GOOD[name] for name in GOOD if name != "webhook-timestamp"}),
    ],
)
def test_a_wrong_signature_is_refused(
    anybody: Caller, channel_type: str, headers: dict[str, str]
) -> None:
    path = path_of(make_channel(channel_type))

    answer = post(anybody, path, hello(channel_type), headers)

    assert answer.status_code == 401
    assert answer.json == {"detail": "Unauthorized"}
    assert count(Message) == count(UnsupportedUpdate) == 0


@pytest.mark.parametrize("at", [-290, 290])
def test_one_good_signature_among_several_is_enough(anybody: Caller, at: int) -> None:
    body = hello("webhook")
    headers = by_operator(body, at=at)
    other = "v1," + base64.b64encode(b"x" * 32).decode()
    headers["webhook-signature"] = f"{other} v1a,x {headers['webhook-signature']}"

    answer = post(anybody, path_of(make_channel("webhook")), body, headers)

    assert answer.status_code == 200


@pytest.mark.parametrize("channel_type", TYPES)
def test_without_its_secret_a_channel_takes_nothing_and_says_why(
    anybody: Caller, channel_type: str, monkeypatch: Any, caplog: Any
) -> None:
    hook = Hook(anybody, channel_type)
    for name in SECRETS:
        monkeypatch.setenv(name, "") if channel_type == "telegram" else monkeypatch.delenv(name)

    answer = hook.send(hello(channel_type), 503)

    assert answer.headers["Retry-After"] == "5"
    assert "is not in the environment" in caplog.text
    assert not any(secret in caplog.text for secret in SECRETS.values())


@pytest.mark.parametrize("secret", ["whsec_", "whsec_ä", "whsec_a"])
def test_a_secret_that_cannot_be_used_is_no_secret(
    anybody: Caller, monkeypatch: Any, caplog: Any, secret: str
) -> None:
    hook = Hook(anybody, "webhook")
    body = hello("webhook")
    headers = by_operator(body)
    monkeypatch.setenv("CHANNEL_TEST_SIGNING_SECRET", secret)

    assert post(anybody, hook.path, body, headers).status_code == 503
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize(
    "broken", ["omnidesk.hooks.providers.FOUND.fetch", "omnidesk.db.db.session.commit"]
)
def test_while_the_database_is_away_updates_are_to_be_sent_again(
    anybody: Caller, monkeypatch: Any, broken: str
) -> None:
    hook = Hook(anybody, "whatsapp")

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("", {}, Exception("away"))

    with monkeypatch.context() as patch:
        patch.setattr(broken, fail)
        answer = hook.send(hello("whatsapp"), 503)

    assert answer.headers["Retry-After"] == "5"
    assert count(Message) == 0


@pytest.mark.parametrize("path", ["whatsapp/99", "whatsapp/2", "none/2", "telegram/1", "x/1"])
def test_another_channel_has_no_hook(anybody: Caller, path: str) -> None:
    make_channel("whatsapp"), make_channel("none")

    for method in ("get", "post"):
        answer = getattr(anybody, method)(f"/api/hooks/{path}")
        assert answer.status_code == 404
    assert answer.json == {"detail": "Not Found"}


@pytest.mark.parametrize("channel_type", ["telegram", "webhook"])
def test_only_whatsapp_asks_with_a_challenge(anybody: Caller, channel_type: str) -> None:
    assert challenge(anybody, path_of(make_channel(channel_type))).status_code == 404


def test_headers_of_other_requests_play_no_role(anybody: Caller) -> None:
    hook = Hook(anybody, "whatsapp")
    headers: Any = {"If-Match": '"1"', "Idempotency-Key": "x", "Content-Type": "text/plain"}

    hook.path += "?x=1&x=2"
    hook.send(hello("whatsapp"), **headers, Authorization="Bearer a.b.c")

    assert count(Message) == 1


def test_a_body_may_have_three_mebibytes(anybody: Caller) -> None:
    hook = Hook(anybody, "whatsapp")
    longest = hello("whatsapp").ljust(MAX_BODY)

    hook.send(longest)
    hook.send(longest + b" ", 413)

    assert count(Message) == 1


def challenge(caller: Caller, path: str = "", **query: str) -> Any:
    """Ask the question of WhatsApp's."""
    asked = {"mode": "subscribe", "challenge": "1158201444", "verify_token": "vibecoding"} | query
    return caller.get(
        path or "/api/hooks/whatsapp/1",
        query_string={f"hub.{name}": value for name, value in asked.items()},
    )


@pytest.mark.parametrize("text_", ["1158201444", "<script>alert(1)</script>", "ä\u2028", ""])
def test_the_challenge_is_answered_as_plain_text(anybody: Caller, text_: str) -> None:
    make_channel("whatsapp")

    answer = challenge(anybody, challenge=text_)

    assert answer.status_code == 200
    assert answer.data == text_.encode()
    assert answer.mimetype == ("text/plain" if text_ else None)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "query",
    [{"verify_token": "Vibecoding"}, {"verify_token": ""}, {"mode": "x"}, {"verify_token": "ä"}],
)
def test_another_token_gets_no_challenge(anybody: Caller, query: dict[str, str]) -> None:
    make_channel("whatsapp")

    assert challenge(anybody, **query).status_code == 403


@pytest.mark.parametrize(
    "query",
    ["", "?", "?hub.mode", "?hub.mode=subscribe&hub.mode=x", "?%ff=%00", "?hub.verify_token=%ff"],
)
def test_a_strange_question_is_no_fault(anybody: Caller, query: str) -> None:
    make_channel("whatsapp")
    right = "hub.mode=subscribe&hub.verify_token=vibecoding&x=%ff&hub.challenge=%ff%00"

    assert anybody.get(f"/api/hooks/whatsapp/1{query}").status_code == 403
    answer = anybody.get(f"/api/hooks/whatsapp/1?{right}")
    assert (answer.status_code, answer.data) == (200, b"\xff\0")


def test_hooks_have_a_limit_of_their_own(app_with: Any) -> None:
    app = app_with(RATE_LIMIT_ANONYMOUS="3 per minute", RATE_LIMIT_HOOKS="5 per minute")
    caller = Caller(app)
    hook, other = Hook(caller, "whatsapp"), Hook(caller, "telegram")

    for _ in range(5):
        answer = hook.send(hello("whatsapp"))
    assert answer.headers["RateLimit-Policy"] == '"hook";q=5;w=60'
    hook.send(hello("whatsapp"), 429)
    other.send(hello("telegram"))

    strangers = [post(caller, hook.path, b"{}", {}).status_code for _ in range(4)]
    assert strangers == [401, 401, 401, 429]
    assert challenge(caller, verify_token="x").status_code == 429
    assert post(caller, "/api/hooks/whatsapp/9", b"", {}).status_code == 429
    assert challenge(caller).status_code == 200
    other.send(hello("telegram"))


def test_twenty_updates_are_stored_or_none(anybody: Caller, monkeypatch: Any) -> None:
    hook = Hook(anybody, "whatsapp")
    users = [whatsapp_updates.User(f"1650555{number:04}") for number in range(5)]
    values = [
        written_by(user, *(text(user, f"{user.wa_id} {n}") for n in range(4))) for user in users
    ]
    body = notification(*values)
    made = iter(range(20))

    def fail_at_the_last(self: Any, **fields: Any) -> Message:
        if next(made) == 19:
            raise OperationalError("", {}, Exception("away"))
        return Message.new(conversation_id=self.conversation_id, **fields)

    with monkeypatch.context() as patch:
        patch.setattr(Conversation, "new_message", fail_at_the_last)
        hook.send(body, 503)
    assert count(Message) == count(Client) == 0

    hook.send(body)
    hook.send(body)

    assert count(Message) == 20
    assert count(Client) == 5


def test_a_very_long_body_is_stored_in_steps(anybody: Caller, monkeypatch: Any) -> None:
    monkeypatch.setattr(receiving, "MAX_AT_ONCE", 3)
    body = notification(written_by(SHEENA, *(text(SHEENA, str(n)) for n in range(8))))
    hook = Hook(anybody, "whatsapp")

    for _ in range(2):
        hook.send(body)

    assert count(Message) == 8


def test_messages_of_one_body_are_stored_in_the_order_of_their_times(anybody: Caller) -> None:
    hook = Hook(anybody, "whatsapp")
    sent = [text(SHEENA, str(at), timestamp=str(1_700_000_000 + at)) for at in (2, 0, 1)]

    hook.send(notification(written_by(SHEENA, *sent)))

    assert [*db.session.scalars(select(Message.content))] == ["0", "1", "2"]


NESTED = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"null",
        b"1e400",
        b"\xff\0",
        b'"\\ud800\\u0000"',
        b"[]",
        b"{}",
        b"9" * 5000,
        NESTED,
        b'{"entry":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    ],
    ids=lambda body: repr(body[:12]),
)
@pytest.mark.parametrize("channel_type", TYPES)
def test_what_is_not_understood_is_kept(
    anybody: Caller, admin: Caller, channel_type: str, body: bytes
) -> None:
    if channel_type == "webhook" and b"\xff" in body:
        pytest.skip("its signature is over UTF-8")
    Hook(anybody, channel_type).send(body)

    (kept,) = admin.get("/api/channels/1/unsupported").json
    assert kept["body"]
    assert (kept["channel_id"], kept["message_id"]) == (1, None)
    assert count(Message) == 0


def test_an_empty_body_is_nothing(anybody: Caller) -> None:
    Hook(anybody, "telegram").send(b"")

    assert count(Message) == count(UnsupportedUpdate) == 0


def test_a_message_that_is_not_understood_is_kept_with_its_raw_form(
    anybody: Caller, admin: Caller
) -> None:
    hook = Hook(anybody, "whatsapp")
    poll = whatsapp_updates.unsupported(SHEENA)

    for _ in range(2):
        hook.send(notification(written_by(SHEENA, poll)))

    (message,) = db.session.scalars(select(Message)).all()
    assert (message.kind, message.content) == (
        "unsupported",
        "Unsupported message type",
    )
    (kept,) = admin.get("/api/channels/1/unsupported").json
    assert kept["message_id"] == message.message_id
    assert json.loads(kept["body"]) == poll


def test_unsupported_updates_are_shown_newest_first_for_seven_days(
    anybody: Caller, admin: Caller, agent: Caller
) -> None:
    hook = Hook(anybody, "telegram")
    make_channel("whatsapp")
    for number in range(3):
        hook.send({"update_id": number})
    old = update(UnsupportedUpdate).where(UnsupportedUpdate.unsupported_update_id == 1)
    db.session.execute(old.values(received_at=utcnow() - timedelta(days=7, minutes=1)))
    db.session.commit()

    first = admin.get("/api/channels/1/unsupported?limit=1")
    second = admin.get(first.headers["Link"].split(";")[0].strip("<>"))

    assert [json.loads(row["body"]) for row in (*first.json, *second.json)] == [
        {"update_id": 2},
        {"update_id": 1},
    ]
    assert len(admin.get("/api/channels/1/unsupported").json) == 2
    assert admin.get("/api/channels/2/unsupported").json == []
    assert admin.get("/api/channels/3/unsupported").status_code == 404
    assert agent.get("/api/channels/1/unsupported").status_code == 403
    hook.send({"update_id": 4})
    assert count(UnsupportedUpdate) == 3


def test_a_long_update_is_cut(anybody: Caller, admin: Caller) -> None:
    Hook(anybody, "telegram").send({"update_id": 1, "x": "ä" * 70_000})

    assert len(admin.get("/api/channels/1/unsupported").json[0]["body"]) == 65_536


def test_the_limits_of_what_is_read_are_those_of_the_columns() -> None:
    columns: Any = Message.__table__.columns
    clients: Any = Client.__table__.columns
    assert columns["content"].type.length == parts.MAX_CONTENT
    assert columns["external_message_id"].type.length == parts.MAX_ID_LENGTH
    assert clients["full_name"].type.length == parts.MAX_NAME
    assert (parts.MAX_META, parts.MAX_MESSAGE_ID) == (MAX_META, MAX_ID)


NAMES = st.sampled_from(
    """
    entry changes value field messages statuses contacts message_echoes from id type text body to
    timestamp system edit message original_message_id message_id chat date update_id data photo user
    edited_message message_reaction callback_query external_chat_id external_message_id kind content
    meta client full_name email phone sent_at sender state new_reaction status recipient_id
    errors wa_id profile
    """.split()  # noqa: SIM905 - a list of them would have a page
)
WORDS = st.sampled_from(
    ["messages", "smb_message_echoes", "text", "edit", "revoke", "system", "message", "status"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=25,
)


@on_sqlite
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(TYPES), st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_json_comes_is_taken(anybody: Caller, channel_type: str, value: Any) -> None:
    name = (
        f"c{count(UnsupportedUpdate)}-{count(Message)}-{db.session.scalar(select(func.random()))}"
    )
    hook = Hook(anybody, channel_type, channel=name[:32])

    hook.send(value)
    if channel_type == "whatsapp":
        hook.send({"entry": [{"changes": [{"field": "messages", "value": value}]}]})
        hook.send(notification({"messages": [value], "statuses": [value]}))
