"""The stand-in for Telegram's Bot API does what the documentation says."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.providers import telegram_answers as answers
from tests.providers import telegram_updates
from tests.providers.hook import Hook
from tests.providers.limits import Limit
from tests.providers.telegram import Telegram


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A hook that stores everything."""
    with Hook() as running:
        yield running


@pytest.fixture
def telegram(hook: Hook) -> Iterator[Telegram]:
    """Telegram's Bot API."""
    with Telegram() as running:
        running.hook = f"{hook.url}/hooks/telegram/1"
        yield running


def call(telegram: Telegram, method: str, **fields: Any) -> requests.Response:
    """Call a method of the Bot API."""
    return requests.post(f"{telegram.url}/bot{telegram.token}/{method}", json=fields, timeout=1)


def test_telegram_says_who_the_bot_is(telegram: Telegram) -> None:
    bot = call(telegram, "getMe").json()["result"]

    assert (bot["id"], bot["is_bot"]) == (110201543, True)


def test_telegram_numbers_the_messages_of_each_chat(telegram: Telegram) -> None:
    ids = [
        call(telegram, "sendMessage", chat_id=chat, text="Hi").json()["result"]["message_id"]
        for chat in (5, 5, 6)
    ]

    assert ids == [1, 2, 1]
    assert telegram.sent == [("5", "Hi"), ("5", "Hi"), ("6", "Hi")]


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("sendPhoto", {"photo": "https://example.com/a.jpg", "caption": "Look"}),
        ("sendDocument", {"document": "https://example.com/a.pdf", "caption": "Look"}),
        ("sendmessage", {"text": "Look"}),
    ],
)
def test_telegram_accepts_texts_and_files(
    telegram: Telegram, method: str, fields: dict[str, str]
) -> None:
    call(telegram, method, chat_id=5, **fields)

    assert telegram.sent == [("5", "Look")]


def test_telegram_reads_forms_too(telegram: Telegram) -> None:
    form = {"chat_id": "5", "latitude": "4.7", "longitude": "-74.1"}

    response = requests.post(f"{telegram.url}/bot{telegram.token}/sendLocation", form, timeout=1)

    assert response.json()["ok"]


@pytest.mark.parametrize(
    ("method", "fields", "error"),
    [
        ("sendMessage", {"text": "Hi"}, answers.CHAT_ID_EMPTY),
        ("sendMessage", {"chat_id": "ada", "text": "Hi"}, answers.CHAT_NOT_FOUND),
        ("sendMessage", {"chat_id": 1, "text": " "}, answers.TEXT_EMPTY),
        ("sendMessage", {"chat_id": 1, "text": "x" * 4097}, answers.TEXT_TOO_LONG),
        ("sendPhoto", {"chat_id": 1, "caption": "x" * 1025}, answers.CAPTION_TOO_LONG),
        ("sendMessage", {"chat_id": 8, "text": "Hi"}, answers.BLOCKED),
        ("sendMessage", {"chat_id": -4, "text": "Hi"}, answers.MIGRATED),
        ("sendFax", {"chat_id": 1}, answers.NO_METHOD),
        ("getUpdates", {}, answers.CONFLICT),
    ],
)
def test_telegram_refuses_what_is_wrong(
    telegram: Telegram, method: str, fields: dict[str, Any], error: answers.Error
) -> None:
    telegram.refusals[8], telegram.migrated[-4] = answers.BLOCKED, -1004

    response = call(telegram, method, **fields)

    body = response.json()
    assert (body["error_code"], body["description"]) == error
    assert response.status_code == error[0]
    assert not telegram.accepted


def test_telegram_refuses_a_reply_to_a_message_of_another_chat(telegram: Telegram) -> None:
    call(telegram, "sendMessage", chat_id=5, text="Hi")

    reply = {"text": "Yes", "reply_parameters": {"message_id": 1}}

    assert [call(telegram, "sendMessage", chat_id=chat, **reply).ok for chat in (5, 6)] == [
        True,
        False,
    ]


def test_telegram_refuses_another_token(telegram: Telegram) -> None:
    response = requests.post(f"{telegram.url}/bot1:A/getMe", timeout=1)

    assert response.json()["error_code"] == 401


def test_telegram_says_when_to_send_again(telegram: Telegram) -> None:
    telegram.limits = {"chat": Limit(1, 60)}

    responses = [call(telegram, "sendMessage", chat_id=5, text="Hi") for _ in range(2)]

    assert [response.status_code for response in responses] == [200, 429]
    assert responses[1].json()["parameters"]["retry_after"] == 60
    assert responses[1].headers["Retry-After"] == "60"


def test_telegram_sends_updates_to_the_webhook_that_was_set(telegram: Telegram, hook: Hook) -> None:
    call(telegram, "setWebhook", url=f"{hook.url}/new", secret_token="abc-1_Z")

    telegram.write(text="Hello")

    [request] = hook.requests
    assert request.path == "/new"
    assert request.headers["X-Telegram-Bot-Api-Secret-Token"] == "abc-1_Z"
    assert hook.bodies[0]["message"]["text"] == "Hello"
    assert call(telegram, "getWebhookInfo").json()["result"]["url"] == f"{hook.url}/new"


def test_telegram_refuses_a_secret_with_other_characters(telegram: Telegram) -> None:
    assert call(telegram, "setWebhook", url="", secret_token="a b").status_code == 400


def test_telegram_numbers_its_updates(telegram: Telegram, hook: Hook) -> None:
    message = telegram.message(text="Helo")

    for body in (
        telegram.update(message),
        telegram.update(telegram_updates.edited(message, text="Hello"), "edited_message"),
        telegram.update(telegram_updates.reaction(1, "👍"), "message_reaction"),
        telegram.update(telegram_updates.membership("kicked"), "my_chat_member"),
    ):
        telegram.post(body)

    first = hook.bodies[0]["update_id"]
    assert [body["update_id"] - first for body in hook.bodies] == [0, 1, 2, 3]
    assert hook.bodies[1]["edited_message"]["message_id"] == message["message_id"]
