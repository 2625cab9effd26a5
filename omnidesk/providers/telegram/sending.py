"""Sending on Telegram: core.telegram.org/bots/api."""

import re
from typing import Any

from omnidesk.channels.models import Channel
from omnidesk.egress import Answer
from omnidesk.providers.outgoing import (
    CannotSend,
    NotConfigured,
    Outcome,
    Outgoing,
    Pace,
    Refused,
    Request,
    Sent,
    TryAgain,
    Unclear,
    Whose,
    address,
    json_request,
    object_in,
    place,
    said,
)
from omnidesk.providers.parts import is_integer

# A bot may send about 30 a second: these are as many in no second. A chat gets one a second, and a
# group 20 a minute (core.telegram.org/bots/faq).
CHANNEL_PACE, CHAT_PACE, GROUP_PACE = Pace(5, 1 / 25), Pace(1, 1.0), Pace(20, 3.0)
TOKEN = re.compile(r"[0-9A-Za-z:_-]{1,200}")
MAX_CAPTION = 1024  # code points
FILES = {"image": "Photo", "audio": "Audio", "video": "Video", "file": "Document"}
FINAL = (400, 403)  # 401 and 404 are about the bot's token
NO_ID = "The answer has no id of the message."


def request(channel: Channel, message: Outgoing) -> Request:
    """Return the request that sends a message; raise CannotSend, and NotConfigured."""
    token = channel.secret("bot_token")
    if not token or not TOKEN.fullmatch(token):
        raise NotConfigured("The channel needs the secret bot_token.")
    method, fields = call(message)
    sent = {"chat_id": message.chat_id, **fields}
    if (replied := replied_to(message)) is not None:
        reply = {"message_id": replied, "allow_sending_without_reply": True}
        sent["reply_parameters"] = reply
    return json_request(f"{channel.setting('api_base')}/bot{token}/{method}", sent)


def call(message: Outgoing) -> tuple[str, dict[str, Any]]:
    """Return the method that sends a message, and its fields; raise CannotSend."""
    if message.kind == "text":
        return "sendMessage", {"text": message.content}
    if message.kind in FILES:
        return file(message)
    if message.kind == "location":
        latitude, longitude = place(message.meta)
        return "sendLocation", {"latitude": latitude, "longitude": longitude}
    raise CannotSend(f"Messages of the kind {message.kind} are not sent on Telegram.")


def file(message: Outgoing) -> tuple[str, dict[str, Any]]:
    """Return the method that sends a file, and its fields."""
    name = FILES[message.kind]
    fields = {name.lower(): address(message.meta)}
    if len(message.content) > MAX_CAPTION:
        raise CannotSend(f"A caption has at most {MAX_CAPTION} characters on Telegram.")
    if message.content:
        fields["caption"] = message.content
    return f"send{name}", fields


def replied_to(message: Outgoing) -> int | None:
    """Return the number of the message that is replied to, None where it has none."""
    found = str(message.meta.get("reply_to", ""))
    return int(found) if re.fullmatch("[0-9]{1,15}", found) else None


def outcome(answer: Answer) -> Outcome:
    """Return what an answer means. One that is not Telegram's, but a proxy's, is never final."""
    found, status = object_in(answer), f"Telegram answered with status {answer.status}."
    if 200 <= answer.status < 300:
        message_id = sent_id(found)
        return Unclear(f"{NO_ID} {status}") if message_id is None else Sent(message_id)
    reason = said(found.get("description"), status)
    if answer.status == 429:
        return TryAgain(reason, retry_after(answer, found), whose(answer, found))
    is_final = found.get("ok") is False and answer.status in FINAL
    return Refused(reason) if is_final else TryAgain(reason, answer.retry_after)


def sent_id(found: dict[str, Any]) -> str | None:
    """Return the id of the message in an answer, None where it has none."""
    result = found.get("result")
    number = result.get("message_id") if isinstance(result, dict) else None
    return str(number) if is_integer(number) else None


def retry_after(answer: Answer, found: dict[str, Any]) -> float | None:
    """Return the seconds that Telegram asks to wait."""
    parameters = found.get("parameters")
    seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
    is_number = is_integer(seconds) or isinstance(seconds, float)
    return float(seconds) if is_number else answer.retry_after  # type: ignore[arg-type]


def whose(answer: Answer, found: dict[str, Any]) -> Whose:
    """Return whose limit it is, which Telegram does not say: a chat's asks for a short wait.

    A chat's is over after a second, and a group's after three seconds or a minute.
    """
    return "chat" if (retry_after(answer, found) or 0) <= 60 else "channel"


def chat_pace(chat_id: str) -> Pace:
    """Return how fast one may send to a chat; a group's id is below 0."""
    return GROUP_PACE if chat_id.startswith("-") else CHAT_PACE
