"""The answers and errors of Telegram's Bot API.

Errors are as the Bot API's own server writes them (github.com/tdlib/telegram-bot-api, Client.cpp):
the status of HTTP is the `error_code`, and 429 has `Retry-After` besides `retry_after`.
"""

from collections.abc import Mapping
from typing import Any

from tests.providers.habits import Habit, Reply, answer

MAX_TEXT, MAX_CAPTION = 4096, 1024

BLOCKED = (403, "Forbidden: bot was blocked by the user")
DEACTIVATED = (403, "Forbidden: user is deactivated")
KICKED = (403, "Forbidden: bot was kicked from the supergroup chat")
NOT_STARTED = (403, "Forbidden: bot can't initiate conversation with a user")
CHAT_NOT_FOUND = (400, "Bad Request: chat not found")
CHAT_ID_EMPTY = (400, "Bad Request: chat_id is empty")
TEXT_EMPTY = (400, "Bad Request: message text is empty")
TEXT_TOO_LONG = (400, "Bad Request: message is too long")
CAPTION_TOO_LONG = (400, "Bad Request: message caption is too long")
REPLIED_NOT_FOUND = (400, "Bad Request: message to be replied not found")
MIGRATED = (400, "Bad Request: group chat was upgraded to a supergroup chat")
UNAUTHORIZED = (401, "Unauthorized")
NO_METHOD = (404, "Not Found: method not found")
NOT_FOUND = (404, "Not Found")
CONFLICT = (409, "Conflict: can't use getUpdates method while webhook is active")
SERVER_ERROR = (500, "Internal Server Error")

Error = tuple[int, str]


def result(found: Any) -> Reply:
    """Return the answer to a method that worked."""
    return Reply(200, {"ok": True, "result": found})


def refusal(error: Error, **parameters: int) -> Reply:
    """Return the answer with an error, and with parameters such as `migrate_to_chat_id`."""
    code, description = error
    body = {"ok": False, "error_code": code, "description": description}
    return Reply(code, body | ({"parameters": parameters} if parameters else {}))


def too_many(seconds: int) -> Reply:
    """Return the answer to what is too early by some seconds."""
    reply = refusal((429, f"Too Many Requests: retry after {seconds}"), retry_after=seconds)
    return Reply(429, reply.body, {"Retry-After": str(seconds)})


def error(error: Error, **parameters: int) -> Habit:
    """Return the habit that answers with an error."""
    return Habit(refusal(error, **parameters))


def flood(seconds: int) -> Habit:
    """Return the habit that answers with 429."""
    return Habit(too_many(seconds))


def bad_gateway() -> Habit:
    """Return the habit of nginx before the Bot API when that is away: 502, in HTML."""
    return answer(502, b"<html><body>502 Bad Gateway</body></html>", Content_Type="text/html")


def fault(kind: str, fields: Mapping[str, Any]) -> Error | None:
    """Return what is wrong with a message whose content is of a kind."""
    content, caption = fields.get(kind), str(fields.get("caption", ""))
    if kind == "text" and not str(content or "").strip():
        return TEXT_EMPTY
    if kind == "text" and len(str(content)) > MAX_TEXT:
        return TEXT_TOO_LONG
    if len(caption) > MAX_CAPTION:
        return CAPTION_TOO_LONG
    if not content and kind != "location":
        return 400, f"Bad Request: there is no {kind} in the request"
    if kind == "location" and not {"latitude", "longitude"} <= fields.keys():
        return 400, "Bad Request: latitude or longitude is not specified"
    return None
