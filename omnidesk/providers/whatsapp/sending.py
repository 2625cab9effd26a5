"""Sending on WhatsApp: Meta's page "Messages API"."""

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
    address,
    json_request,
    object_in,
    place,
    said,
)

# A number may send 80 a second ("Throughput"): these are as many in no second. A user may get 45
# at once, and one in six seconds in the long run ("Pair rate limits").
CHANNEL_PACE, CHAT_PACE = Pace(10, 1 / 70), Pace(45, 6.0)
PHONE = re.compile(r"\+?[0-9]{5,20}")
SCOPED = re.compile(r"[A-Z]{2}\..+")  # a business-scoped id
MAX_CAPTION = 1024  # code points
MEDIA = {"image": "image", "audio": "audio", "video": "video", "file": "document"}
WITHOUT_CAPTION = ("audio",)
# Error codes, by whom they are about; the status of HTTP of one code has changed.
TEMPORARY = {1, 2, 4, 80007, 130429, 131000, 131016, 131048, 131057, 133004}
OF_CHAT = {131056: 60.0}  # seconds to wait
OF_CHANNEL = {0, 3, 10, 190, 368, 130497, 131005, 131031, 131037, 131042, 131045, 133006, 133010}
PERMISSIONS = range(200, 300)
NO_ID = "The answer has no id of the message."
UNKNOWN_NUMBER = (100, 33)  # a code, and its subcode


def request(channel: Channel, message: Outgoing) -> Request:
    """Return the request that sends a message; raise CannotSend, and NotConfigured."""
    number, token = channel.setting("phone_number_id"), channel.secret("access_token")
    if not number or not token:
        raise NotConfigured("The channel needs phone_number_id and the secret access_token.")
    url = f"{channel.setting('api_base')}/{channel.setting('api_version')}/{number}/messages"
    return json_request(url, body(message), Authorization=f"Bearer {token}")


def body(message: Outgoing) -> dict[str, Any]:
    """Return the JSON of a message; raise CannotSend for a kind that is not sent."""
    kind = MEDIA.get(message.kind, message.kind)
    sent: dict[str, Any] = {
        "messaging_product": "whatsapp",
        **recipient(message.chat_id),
        "type": kind,
        kind: content(message),
        "biz_opaque_callback_data": str(message.message_id),
    }
    if isinstance(replied := message.meta.get("reply_to"), str):
        sent["context"] = {"message_id": replied}
    return sent


def recipient(chat_id: str) -> dict[str, str]:
    """Return whom a message is for: who has a phone number or a business-scoped id, or a group.

    As on Meta's page "Group messaging", whose ids have no other form than that they are neither.
    """
    if SCOPED.fullmatch(chat_id):
        return {"recipient_type": "individual", "recipient": chat_id}
    is_phone = PHONE.fullmatch(chat_id)
    return {"recipient_type": "individual" if is_phone else "group", "to": chat_id}


def content(message: Outgoing) -> dict[str, Any]:
    """Return what stands under the name of the kind."""
    if message.kind == "text":
        return {"body": message.content}
    if message.kind in MEDIA:
        return file(message)
    if message.kind == "location":
        latitude, longitude = place(message.meta)
        names = {name: message.meta[name] for name in ("name", "address") if name in message.meta}
        return {"latitude": latitude, "longitude": longitude, **names}
    raise CannotSend(f"Messages of the kind {message.kind} are not sent on WhatsApp.")


def file(message: Outgoing) -> dict[str, Any]:
    """Return the link to a file, with its caption and its name where it may have them."""
    found: dict[str, Any] = {"link": address(message.meta)}
    if len(message.content) > MAX_CAPTION:
        raise CannotSend(f"A caption has at most {MAX_CAPTION} characters on WhatsApp.")
    if message.content and message.kind not in WITHOUT_CAPTION:
        found["caption"] = message.content
    if message.kind == "file" and isinstance(name := message.meta.get("filename"), str):
        found["filename"] = name
    return found


def outcome(answer: Answer) -> Outcome:
    """Return what an answer means. One that is not Meta's, but a proxy's, is never final."""
    found, status = object_in(answer), f"WhatsApp answered with status {answer.status}."
    if 200 <= answer.status < 300:
        message_id = sent_id(found)
        return Unclear(f"{NO_ID} {status}") if message_id is None else Sent(message_id)
    error = found.get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return TryAgain(status, answer.retry_after)
    return refusal(answer, error)


def sent_id(found: dict[str, Any]) -> str | None:
    """Return the id of the message in an answer, None where it has none."""
    try:
        message_id = found["messages"][0]["id"]
    except (LookupError, TypeError):
        return None
    is_id = isinstance(message_id, str) and 0 < len(message_id) <= 255 and message_id.isprintable()
    return message_id if is_id else None


def refusal(answer: Answer, error: dict[str, Any]) -> Outcome:
    """Return what an error means: its code decides, and not the status of HTTP."""
    code, data = error["code"], error.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    reason = said(f"{said(error.get('message'))} {details or ''}")
    if code in OF_CHAT:
        return TryAgain(reason, answer.retry_after or OF_CHAT[code], "chat")
    is_of_channel = code in OF_CHANNEL or code in PERMISSIONS
    if code in TEMPORARY or is_of_channel or (code, error.get("error_subcode")) == UNKNOWN_NUMBER:
        return TryAgain(reason, answer.retry_after)
    return TryAgain(reason, answer.retry_after) if answer.status >= 500 else Refused(reason)
