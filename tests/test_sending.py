"""What is asked of each provider for a message, and what its answers mean."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks import Webhook

from omnidesk.channels.models import Channel
from omnidesk.channels.setups import with_defaults
from omnidesk.egress import Answer
from omnidesk.providers.outgoing import (
    CannotSend,
    NotConfigured,
    Outcome,
    Outgoing,
    Refused,
    Request,
    Sent,
    TryAgain,
    Unclear,
)
from omnidesk.providers.sending import PROVIDERS
from tests.providers import telegram_answers, whatsapp_errors
from tests.providers.habits import Reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CHANNELS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "whatsapp": ({"phone_number_id": "106540352242922"}, {"access_token": "EAAG"}),
    "telegram": ({}, {"bot_token": "110:AA"}),
    "webhook": ({"url": "https://desk.example.com/in"}, {"signing_secret": SECRET}),
}
BROWSER = {"url": "https://files.example.com/a.pdf"}


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Channel]:
    """Make a channel of a type, its secrets in the environment."""

    def make(kind: str, **settings: Any) -> Channel:
        own, secrets = CHANNELS[kind]
        for name, value in secrets.items():
            monkeypatch.setenv(name.upper(), value)
        names = json.dumps({name: name.upper() for name in secrets})
        given = with_defaults(kind, own | settings)
        return Channel(type=kind, settings=json.dumps(given), secrets=names)

    return make


def request_for(channel: Channel, content: str = "Hello", **fields: Any) -> Request:
    """Return the request that sends message 81."""
    fields = {"chat_id": "16505551234", "kind": "text"} | fields
    message = Outgoing(message_id=81, content=content, **fields)
    return PROVIDERS[channel.type].request(channel, message)


def sent_to_whatsapp(content: str = "", **fields: Any) -> Any:
    """Return what differs from a text to a phone number, as WhatsApp gets it."""
    usual = {"messaging_product": "whatsapp", "recipient_type": "individual"}
    return {**usual, "to": "16505551234", "biz_opaque_callback_data": "81", **fields}


def test_whatsapp_is_asked_with_the_number_and_the_token(channel: Any) -> None:
    request = request_for(channel("whatsapp", api_base="https://example.com", api_version="v9.0"))

    assert request.url == "https://example.com/v9.0/106540352242922/messages"
    assert request.headers["Authorization"] == "Bearer EAAG"
    assert json.loads(request.body) == sent_to_whatsapp(type="text", text={"body": "Hello"})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            {"kind": "image", "content": "Look", "meta": BROWSER},
            {"type": "image", "image": {"link": BROWSER["url"], "caption": "Look"}},
        ),
        (
            {"kind": "audio", "content": "Listen", "meta": BROWSER},
            {"type": "audio", "audio": {"link": BROWSER["url"]}},
        ),
        (
            {"kind": "video", "content": "", "meta": BROWSER},
            {"type": "video", "video": {"link": BROWSER["url"]}},
        ),
        (
            {"kind": "file", "content": "", "meta": BROWSER | {"filename": "a.pdf"}},
            {"type": "document", "document": {"link": BROWSER["url"], "filename": "a.pdf"}},
        ),
        (
            {"kind": "location", "content": "", "meta": {"latitude": 4, "longitude": -74.5}},
            {"type": "location", "location": {"latitude": 4, "longitude": -74.5}},
        ),
        (
            {"meta": {"reply_to": "wamid.1"}},
            {"type": "text", "text": {"body": "Hello"}, "context": {"message_id": "wamid.1"}},
        ),
    ],
)
def test_each_kind_has_its_form_on_whatsapp(channel: Any, message: Any, expected: Any) -> None:
    request = request_for(channel("whatsapp"), **message)

    assert json.loads(request.body) == sent_to_whatsapp(**expected)


def test_a_user_without_a_number_is_named_by_the_other_id(channel: Any) -> None:
    sent = json.loads(request_for(channel("whatsapp"), chat_id="US.13491208655302741918").body)

    assert sent["recipient"] == "US.13491208655302741918"
    assert sent["recipient_type"] == "individual"
    assert "to" not in sent


def test_a_group_of_whatsapp_is_answered_as_a_group(channel: Any) -> None:
    group = "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD"

    sent = json.loads(request_for(channel("whatsapp"), chat_id=group).body)

    assert (sent["recipient_type"], sent["to"]) == ("group", group)
    assert "recipient" not in sent


@pytest.mark.parametrize(
    ("message", "method", "expected"),
    [
        ({}, "sendMessage", {"text": "Hello"}),
        (
            {"kind": "image", "content": "Look", "meta": BROWSER},
            "sendPhoto",
            {"photo": BROWSER["url"], "caption": "Look"},
        ),
        (
            {"kind": "audio", "content": "", "meta": BROWSER},
            "sendAudio",
            {"audio": BROWSER["url"]},
        ),
        (
            {"kind": "video", "content": "", "meta": BROWSER},
            "sendVideo",
            {"video": BROWSER["url"]},
        ),
        (
            {"kind": "file", "content": "", "meta": BROWSER},
            "sendDocument",
            {"document": BROWSER["url"]},
        ),
        (
            {"kind": "location", "content": "", "meta": {"latitude": 4.5, "longitude": -74}},
            "sendLocation",
            {"latitude": 4.5, "longitude": -74},
        ),
        (
            {"meta": {"reply_to": "7"}},
            "sendMessage",
            {
                "text": "Hello",
                "reply_parameters": {"message_id": 7, "allow_sending_without_reply": True},
            },
        ),
        ({"meta": {"reply_to": "wamid.1"}}, "sendMessage", {"text": "Hello"}),
    ],
)
def test_each_kind_has_its_method_on_telegram(
    channel: Any, message: Any, method: str, expected: Any
) -> None:
    request = request_for(channel("telegram"), **message)

    assert request.url == f"https://api.telegram.org/bot110:AA/{method}"
    assert json.loads(request.body) == {"chat_id": "16505551234", **expected}


def test_an_operators_program_gets_a_signed_message(channel: Any) -> None:
    request = request_for(channel("webhook"), meta={"reply_to": "a"})

    assert request.url == "https://desk.example.com/in"
    assert request.headers["webhook-id"] == "msg_81"
    body = Webhook(SECRET).verify(request.body, dict(request.headers))
    assert body["type"] == "message"
    assert body["data"] == {
        "message_id": 81,
        "external_chat_id": "16505551234",
        "kind": "text",
        "content": "Hello",
        "meta": {"reply_to": "a"},
    }


@pytest.mark.parametrize("kind", ["whatsapp", "telegram"])
@pytest.mark.parametrize(
    "message",
    [
        {"kind": "image"},
        {"kind": "image", "meta": {"url": "file:///etc/passwd"}},
        {"kind": "file", "meta": {"url": 7}},
        {"kind": "image", "content": "x" * 1025, "meta": BROWSER},
        {"kind": "location"},
        {"kind": "location", "meta": {"latitude": "4", "longitude": True}},
        {"kind": "sticker"},
        {"kind": "contact"},
        {"kind": "reaction"},
        {"kind": "unsupported"},
    ],
)
def test_what_cannot_be_sent_says_so(channel: Any, kind: str, message: Any) -> None:
    with pytest.raises(CannotSend):
        request_for(channel(kind), **message)


@pytest.mark.parametrize("kind", ["whatsapp", "telegram", "webhook"])
def test_a_missing_secret_is_told_by_its_name(
    channel: Any, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    incomplete, (name, *_) = channel(kind), CHANNELS[kind][1]
    monkeypatch.delenv(name.upper())

    with pytest.raises(NotConfigured, match=name):
        request_for(incomplete)


def test_a_secret_that_is_no_key_is_told(channel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = channel("webhook")
    monkeypatch.setenv("SIGNING_SECRET", "whsec_!")

    with pytest.raises(NotConfigured, match="base64"):
        request_for(wrong)


@pytest.mark.parametrize("kind", ["whatsapp", "telegram", "webhook"])
def test_a_request_shows_no_secret(channel: Any, kind: str) -> None:
    assert repr(request_for(channel(kind))) == "Request()"


def outcome_of(kind: str, reply: Reply) -> Outcome:
    """Return what a reply of a stand-in means."""
    headers = {name.lower(): value for name, value in reply.headers.items()}
    return PROVIDERS[kind].outcome(Answer(reply.status, headers, reply.content()))


def test_an_id_is_sent() -> None:
    whatsapp = Reply(200, {"messages": [{"id": "wamid.7"}]})
    telegram = telegram_answers.result({"message_id": 7})

    assert outcome_of("whatsapp", whatsapp) == Sent("wamid.7")
    assert outcome_of("telegram", telegram) == Sent("7")
    assert outcome_of("webhook", Reply(200, {"external_message_id": "op-7"})) == Sent("op-7")
    assert outcome_of("webhook", Reply(204, b"")) == Sent(None)
    assert outcome_of("webhook", Reply(200, b"OK")) == Sent(None)
    assert outcome_of("webhook", Reply(200, {"external_message_id": 7})) == Sent(None)


@pytest.mark.parametrize("kind", ["whatsapp", "telegram"])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{", {"messages": []}, {"result": 7}])
def test_a_success_that_is_not_the_makers_is_unclear(kind: str, body: Any) -> None:
    assert isinstance(outcome_of(kind, Reply(200, body)), Unclear)


@pytest.mark.parametrize("number", [True, pytest.param(10**300, id="long"), "7", 7.5])
def test_an_id_of_telegrams_is_an_integer(number: Any) -> None:
    reply = Reply(200, {"ok": True, "result": {"message_id": number}})

    assert isinstance(outcome_of("telegram", reply), Unclear)


FINAL_CODES = {100, 131008, 131009, 131021, 131026, 131047, 131051, 131052, 131053, 131062}


@pytest.mark.parametrize("code", whatsapp_errors.ERRORS)
@pytest.mark.parametrize("status", [400, 429])
def test_whatsapps_code_decides_and_not_the_status(code: int, status: int) -> None:
    found = outcome_of("whatsapp", whatsapp_errors.refusal(code, status=status))

    assert isinstance(found, Refused if code in FINAL_CODES else TryAgain)
    if isinstance(found, TryAgain):
        assert found.whose == ("chat" if code == 131056 else "channel")


@pytest.mark.parametrize(
    ("kind", "reply", "expected"),
    [
        ("whatsapp", Reply(502, b"<html>"), TryAgain),
        ("whatsapp", Reply(403, b"<html>"), TryAgain),
        ("whatsapp", Reply(302, b""), TryAgain),
        ("whatsapp", Reply(400, {"error": {"code": 999999, "message": "No"}}), Refused),
        ("whatsapp", Reply(500, {"error": {"code": 999999, "message": "No"}}), TryAgain),
        ("whatsapp", Reply(400, {"error": {"code": 100, "error_subcode": 33}}), TryAgain),
        ("whatsapp", Reply(400, {"error": {"code": "100"}}), TryAgain),
        ("whatsapp", Reply(400, {"error": "No"}), TryAgain),
        ("telegram", telegram_answers.refusal(telegram_answers.BLOCKED), Refused),
        ("telegram", telegram_answers.refusal(telegram_answers.CHAT_NOT_FOUND), Refused),
        ("telegram", telegram_answers.refusal(telegram_answers.UNAUTHORIZED), TryAgain),
        ("telegram", telegram_answers.refusal(telegram_answers.NOT_FOUND), TryAgain),
        ("telegram", telegram_answers.refusal(telegram_answers.SERVER_ERROR), TryAgain),
        ("telegram", Reply(502, b"<html>"), TryAgain),
        ("telegram", Reply(403, b"<html>"), TryAgain),
        ("webhook", Reply(410, b""), Refused),
        ("webhook", Reply(422, b""), Refused),
        ("webhook", Reply(401, b""), TryAgain),
        ("webhook", Reply(404, b""), TryAgain),
        ("webhook", Reply(302, b""), TryAgain),
        ("webhook", Reply(500, b""), TryAgain),
    ],
)
def test_each_refusal_is_final_or_not(kind: str, reply: Reply, expected: type) -> None:
    assert isinstance(outcome_of(kind, reply), expected)


@pytest.mark.parametrize(
    "wait",
    [
        *(b"NaN", b"Infinity", b"-Infinity", b'"5"', b"null", b"true"),
        pytest.param(b"9" * 400, id="more than a float holds"),
    ],
)
def test_a_wait_that_is_no_number_is_none(wait: bytes) -> None:
    body = b'{"ok":false,"error_code":429,"parameters":{"retry_after":%s}}' % wait

    found = outcome_of("telegram", Reply(429, body))

    assert isinstance(found, TryAgain)
    assert found.after is None


def test_the_wait_that_is_asked_for_is_read() -> None:
    busy = Reply(503, b"", {"Retry-After": "7"})
    flood, long_flood = telegram_answers.too_many(5), telegram_answers.too_many(90)
    pair = whatsapp_errors.refusal(131056)

    assert outcome_of("webhook", busy) == TryAgain("The receiver answered with status 503.", 7.0)
    reason = "Too Many Requests: retry after 5"
    assert outcome_of("telegram", flood) == TryAgain(reason, 5.0, "chat")
    found = [outcome_of("telegram", long_flood), outcome_of("whatsapp", pair)]
    assert [(each.after, each.whose) for each in found if isinstance(each, TryAgain)] == [
        (90.0, "channel"),
        (60.0, "chat"),
    ]


def test_a_reason_is_one_line_that_a_database_stores() -> None:
    error = {"code": 100, "message": "No\x00\n\tnot now"}

    found = outcome_of("whatsapp", Reply(400, {"error": error}))

    assert found == Refused("No not now")
