"""A stand-in for Telegram's Bot API.

Methods are documented on core.telegram.org/bots/api (version 10.1), limits in the bots' FAQ ("My
bot is hitting limits"), errors and the sending of updates by the API's own server,
github.com/tdlib/telegram-bot-api: messages of a chat are sent in order, each until a status of 2xx:
at once, after 2, 4 ... 60 to 120 seconds (or `Retry-After`, at most an hour) for 24 hours; 410 for
23 hours ends the webhook.

Run `python -m tests.providers.telegram --help` to use it as a program.
"""

import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import requests

from tests.providers import telegram_answers as answers
from tests.providers import telegram_updates as updates
from tests.providers.habits import Reply
from tests.providers.limits import Limit, Limiter
from tests.providers.program import run
from tests.providers.sending import Sender
from tests.providers.serving import Request
from tests.providers.standin import Accepted, StandIn
from tests.providers.telegram_updates import PRIVATE, Part

PATH = re.compile(r"/bot(?P<token>[^/]+)/(?P<method>\w+)")
# About 30 a second in all; one a second in a chat, where "short bursts" are let through; 20 a
# minute in a group, whose id is below 0.
LIMITS = {"all": Limit(30, 1 / 30), "chat": Limit(3, 1.0), "group": Limit(20, 3.0)}
FILES = ("photo", "document", "audio", "video", "voice", "animation", "sticker")
KINDS = {f"send{kind}": kind for kind in (*FILES, "location", "contact")} | {"sendmessage": "text"}
SECRET = re.compile(r"[A-Za-z0-9_-]{0,256}")


class Telegram(StandIn, Sender):
    """Takes messages for chats, all of which exist unless a test says otherwise."""

    token = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
    webhook_secret = "a-secret_token"
    limits: Mapping[str, Limit] = LIMITS

    def __init__(self, port: int = 0) -> None:
        Sender.__init__(self)
        self.limiter = Limiter()
        self.refusals: dict[int, answers.Error] = {}  # chats, and the error that messages meet
        self.migrated: dict[int, int] = {}  # groups, and the supergroups that they became
        self.update_ids = itertools.count(820_000_001)
        self.message_ids: dict[int, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self.messages: dict[int, set[int]] = defaultdict(set)  # the ids of the chats' messages
        super().__init__(port)

    @property
    def bot(self) -> Part:
        """The bot as a user."""
        return {
            "id": int(self.token.split(":")[0]),
            "is_bot": True,
            "first_name": "Desk",
            "username": "desk_bot",
        }

    def recipient(self, request: Request) -> str | None:
        """Return the id of the chat."""
        chat = fields_of(request).get("chat_id")
        return None if chat is None else str(chat)

    def answer(self, request: Request) -> Reply:
        """Return the answer of the Bot API; names of methods are in any case."""
        if not (path := PATH.fullmatch(request.path)):
            return answers.refusal(answers.NOT_FOUND)
        if path["token"] != self.token:
            return answers.refusal(answers.UNAUTHORIZED)
        method, fields = path["method"].lower(), fields_of(request)
        if kind := KINDS.get(method):
            return self.send(kind, fields)
        return self.manage(method, fields)

    def manage(self, method: str, fields: Part) -> Reply:
        """Answer a method that sends no message."""
        if method in {"setwebhook", "deletewebhook"}:
            return self.set_webhook(fields if method == "setwebhook" else {})
        if method == "getupdates" and self.hook:
            return answers.refusal(answers.CONFLICT)
        known = {
            "getme": {**self.bot, "can_join_groups": True},
            "getwebhookinfo": self.webhook_info(),
            "getupdates": [],
            **dict.fromkeys(("sendchataction", "answercallbackquery", "setmessagereaction"), True),
        }
        found = known.get(method)
        return answers.refusal(answers.NO_METHOD) if found is None else answers.result(found)

    def set_webhook(self, fields: Part) -> Reply:
        """Note where updates are sent to."""
        secret = str(fields.get("secret_token", ""))
        if not SECRET.fullmatch(secret):
            error = (400, "Bad Request: secret token contains unallowed characters")
            return answers.refusal(error)
        self.hook, self.webhook_secret = str(fields.get("url", "")), secret
        return Reply(200, {"ok": True, "result": True, "description": "Webhook was set"})

    def webhook_info(self) -> Part:
        """Return where updates are sent to, and how many wait."""
        return {
            "url": self.hook,
            "has_custom_certificate": False,
            "pending_update_count": len(self.undelivered),
            "max_connections": 40,
        }

    def send(self, kind: str, fields: Part) -> Reply:
        """Accept a message unless it is wrong or too early."""
        if not fields.get("chat_id"):
            return answers.refusal(answers.CHAT_ID_EMPTY)
        try:
            chat_id = int(fields["chat_id"])
        except ValueError:
            return answers.refusal(answers.CHAT_NOT_FOUND)
        if new := self.migrated.get(chat_id):
            return answers.refusal(answers.MIGRATED, migrate_to_chat_id=new)
        return self.send_to(chat_id, kind, fields)

    def send_to(self, chat_id: int, kind: str, fields: Part) -> Reply:
        """Accept a message to a chat."""
        if error := self.refusals.get(chat_id) or answers.fault(kind, fields):
            return answers.refusal(error)
        if self.replies_to_nothing(chat_id, fields):
            return answers.refusal(answers.REPLIED_NOT_FOUND)
        if early := self.limiter.wait(self.limits_of(chat_id)):
            return answers.too_many(math.ceil(early))
        return answers.result(self.accepted_in(chat_id, kind, fields))

    def replies_to_nothing(self, chat_id: int, fields: Part) -> bool:
        """Return whether a message replies to one that its chat does not have."""
        reply = fields.get("reply_parameters") or {}
        known = reply.get("message_id") in {None, *self.messages[chat_id]}
        return not known and not reply.get("allow_sending_without_reply")

    def limits_of(self, chat_id: int) -> dict[Hashable, Limit]:
        """Return the limits of a message to a chat."""
        names = {"all": None, "group" if chat_id < 0 else "chat": chat_id}
        return {key: self.limits[name] for name, key in names.items() if name in self.limits}

    def accepted_in(self, chat_id: int, kind: str, fields: Part) -> Part:
        """Record a message, and return it as the Bot API does."""
        texts = (fields.get("text"), fields.get("caption"), fields.get(kind))
        text = next((text for text in texts if isinstance(text, str)), "")
        message_id = self.new_message_id(chat_id)
        self.accept(Accepted(str(chat_id), text, str(message_id), fields))
        kept = {name: fields[name] for name in ("text", "caption") if name in fields}
        chat = {"id": chat_id, "type": "supergroup" if chat_id < 0 else "private"}
        return updates.message(message_id, chat, self.bot, **kept)

    def new_message_id(self, chat_id: int) -> int:
        """Return the next id of a chat, which then has such a message."""
        message_id = next(self.message_ids[chat_id])
        self.messages[chat_id].add(message_id)
        return message_id

    def signed(self, body: bytes) -> dict[str, str]:
        """Return the header with the secret; the body itself is not signed."""
        return {"X-Telegram-Bot-Api-Secret-Token": self.webhook_secret}

    def update(self, content: Part, kind: str = "message") -> bytes:
        """Return the body of a new update, such as of the kind `edited_message`."""
        return json.dumps({"update_id": next(self.update_ids), kind: content}).encode()

    def message(self, chat: Part = PRIVATE, **content: Any) -> Part:
        """Return a new message in a chat by a user."""
        return updates.message(self.new_message_id(chat["id"]), chat, **content)

    def write(self, chat: Part = PRIVATE, **content: Any) -> requests.Response:
        """Send a new message by a user once."""
        return self.post(self.update(self.message(chat, **content)))

    def say(self, text: str = "Hello", chat_id: int = PRIVATE["id"], **_: Any) -> int:
        """Send a text by a user; return the status of the answer."""
        return self.write(PRIVATE | {"id": chat_id}, text=text).status_code


def fields_of(request: Request) -> Part:
    """Return the parameters of a method: of the query, and of JSON or of a form."""
    if "json" in request.headers.get("Content-Type", ""):
        return request.query | request.object()
    fields: Part = request.query | dict(parse_qsl(request.body.decode(errors="replace")))
    with suppress(KeyError, ValueError):
        fields["reply_parameters"] = json.loads(fields["reply_parameters"])
    return fields


if __name__ == "__main__":
    run(Telegram)
