"""What Telegram tells: messages, edits, reactions and taps on buttons.

See "Update" in the documentation of the Bot API. Ids of messages are unique in their chat only.
"""

from collections.abc import Callable, Iterator
from typing import Any

from omnidesk.providers.parts import (
    MAX_NAME,
    Part,
    identifier,
    meta_text,
    part,
    parts,
    seconds,
    text,
)
from omnidesk.providers.telegram.contents import content_of
from omnidesk.providers.updates import (
    IdChanged,
    InboundMessage,
    MessageEdited,
    Person,
    Unsupported,
    Update,
)

Found = Update | None


def read(body: Any) -> Iterator[Update]:
    """Yield what a body tells: one thing."""
    update = part(body)
    name = next((each for each in READERS if part(update, each)), None)
    found = None if name is None else READERS[name](part(update, name), update)
    yield found or Unsupported(body)


def read_message(message: Part, _: Part) -> Found:
    """Return a message, or that its chat has another id; None for one of no person or chat."""
    chat = identifier(part(message, "chat"), "id")
    old, new = (identifier(message, f"migrate_{way}_chat_id") for way in ("from", "to"))
    if chat and (old or new):
        return IdChanged(old or chat, new or chat)
    return message_of(message)


def message_of(message: Part) -> InboundMessage | None:
    """Return a message; None for one of no person, in no chat, or without an id."""
    chat, person = identifier(part(message, "chat"), "id"), person_of(part(message, "from"))
    known = identifier(message, "message_id")
    if not (chat and person and known):
        return None
    content = content_of(message)
    return InboundMessage(
        chat,
        person,
        known,
        content.kind,
        content.text,
        meta_text(content.meta),
        seconds(message, "date"),
        raw=message if content.kind == "unsupported" else None,
    )


def person_of(user: Part) -> Person | None:
    """Return a user; None for none and for bots."""
    known = identifier(user, "id")
    if known is None or user.get("is_bot") is True:
        return None
    names = (text(user, name, MAX_NAME) for name in ("first_name", "last_name"))
    name = " ".join(filter(None, names))[:MAX_NAME] or text(user, "username", MAX_NAME)
    return Person(known, name=name)


def read_edit(message: Part, _: Part) -> Found:
    """Return that a message has another text."""
    found = message_of(message)
    if found is None:
        return None
    return MessageEdited(found, (found.chat_id,), seconds(message, "edit_date"))


def read_reaction(reaction: Part, update: Part) -> Found:
    """Return a reaction as a message, without a text where it was removed."""
    chat, person = identifier(part(reaction, "chat"), "id"), person_of(part(reaction, "user"))
    to, number = identifier(reaction, "message_id"), identifier(update, "update_id")
    if not (chat and person and to and number):
        return None
    emoji = [text(each, "emoji", 50) or "*" for each in parts(reaction, "new_reaction")]
    meta, sent_at = meta_text({"reply_to": to}), seconds(reaction, "date")
    shown = "".join(emoji[:100])
    return InboundMessage(chat, person, f"reaction-{number}", "reaction", shown, meta, sent_at)


def read_callback(callback: Part, _: Part) -> Found:
    """Return the tap on a button under one of our messages: a message with the button's text."""
    message, data = part(callback, "message"), text(callback, "data", 200)
    chat, person = identifier(part(message, "chat"), "id"), person_of(part(callback, "from"))
    known, to = identifier(callback, "id"), identifier(message, "message_id")
    if not (chat and person and known and data and len(known) <= 200):
        return None
    meta = meta_text({"reply_to": to, "payload": data})
    shown = button_text(message, callback.get("data")) or data
    return InboundMessage(chat, person, f"callback-{known}", "text", shown, meta, None)


def button_text(message: Part, data: Any) -> str | None:
    """Return the text of the button that sends these data, None where it is not there."""
    rows = part(message, "reply_markup").get("inline_keyboard")
    for row in rows if isinstance(rows, list) else ():
        for button in parts({"row": row}, "row"):
            if button.get("callback_data") == data:
                return text(button, "text", 200)
    return None


READERS: dict[str, Callable[[Part, Part], Found]] = {
    "message": read_message,
    "edited_message": read_edit,
    "message_reaction": read_reaction,
    "callback_query": read_callback,
}
