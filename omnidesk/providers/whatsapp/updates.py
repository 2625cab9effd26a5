"""What WhatsApp tells: messages, what became of ours, and what people wrote in its app.

See Meta's "messages webhook reference" and "Business-scoped user IDs".
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from omnidesk.providers.parts import (
    MAX_NAME,
    Part,
    identifier,
    message_id,
    meta_text,
    part,
    parts,
    seconds,
    text,
)
from omnidesk.providers.updates import (
    DeliveryStatus,
    IdChanged,
    InboundMessage,
    MessageDeleted,
    MessageEdited,
    Person,
    Unsupported,
    Update,
)
from omnidesk.providers.whatsapp.contents import content_of

STATES = {state: state for state in ("sent", "delivered", "read", "failed")} | {"played": "read"}
MAX_ERROR = 500  # code points
MAX_PHONE = 20  # digits
QUIET = ("request_welcome", "system")  # types of what nobody has written


class Side(NamedTuple):
    """Who wrote, and the names under which a message says which client it is of."""

    sender: str
    phone: str
    user_id: str


BY_CLIENT = Side("client", "from", "from_user_id")
BY_BUSINESS = Side("user", "to", "to_user_id")


def read(body: Any, phone_number_id: str | None) -> Iterator[Update]:
    """Yield all that a body tells; what is for another number of the business is not understood."""
    changes = [change for entry in parts(body, "entry") for change in parts(entry, "changes")]
    if not changes:
        yield Unsupported(body)
    for change in changes:
        other = identifier(part(change, "value", "metadata"), "phone_number_id")
        if phone_number_id and other and other != phone_number_id:
            yield Unsupported(change)
        else:
            yield from read_change(change)


def read_change(change: Part) -> Iterator[Update]:
    """Yield what a change tells."""
    value, field, found = part(change, "value"), change.get("field"), []
    contacts = parts(value, "contacts")
    if field == "messages":
        found = [read_message(item, contacts, BY_CLIENT) for item in parts(value, "messages")]
        found += [read_status(item) for item in parts(value, "statuses")]
    elif field == "smb_message_echoes":
        echoes = parts(value, "message_echoes")
        found = [read_message(item, contacts, BY_BUSINESS) for item in echoes]
    yield from found or [Unsupported(change)]


def read_message(item: Part, contacts: list[Part], side: Side) -> Update:
    """Return what a message tells: that it is there, has another text, or was deleted."""
    kind = item.get("type")
    if kind == "system" and (changed := changed_id(item)):
        return changed
    person, known = person_of(item, contacts, side), identifier(item, "id")
    if person is None or known is None or kind in QUIET:
        return Unsupported(item)
    original = identifier(part(item, str(kind)), "original_message_id")
    if original is None:
        return message_of(item, known, person, side)
    chat_ids = chats_of(item, person)
    if kind == "revoke":
        return MessageDeleted(chat_ids, original)
    now = item | part(item, str(kind), "message") | {"context": {}}
    edited_at = seconds(item, "timestamp")
    return MessageEdited(message_of(now, original, person, side), chat_ids, edited_at)


def message_of(item: Part, known: str, person: Person, side: Side) -> InboundMessage:
    """Return a message with an id of WhatsApp's."""
    content = content_of(item)
    return InboundMessage(
        chats_of(item, person)[0],
        person,
        known,
        content.kind,
        content.text,
        meta_text(content.meta),
        seconds(item, "timestamp"),
        side.sender,
        item if content.kind == "unsupported" else None,
    )


def person_of(item: Part, contacts: list[Part], side: Side) -> Person | None:
    """Return which client a message is of: by a business-scoped id where there is one."""
    ids = {*filter(None, (identifier(item, side.phone), identifier(item, side.user_id)))}
    known = ("wa_id", "user_id")
    contact = next((c for c in contacts if ids & {identifier(c, name) for name in known}), {})
    number = identifier(item, side.phone) or identifier(contact, "wa_id")
    scoped = identifier(item, side.user_id) or identifier(contact, "user_id")
    if not (number or scoped):
        return None
    profile = part(contact, "profile")
    name = text(profile, "name", MAX_NAME) or text(profile, "username", MAX_NAME)
    phone = f"+{number}" if number and number.isdecimal() and len(number) <= MAX_PHONE else None
    return Person(scoped or number or "", scoped and number, name, phone)


def chats_of(item: Part, person: Person) -> tuple[str, ...]:
    """Return the id of the chat: a group's, or the phone number where there is one.

    Then the chat may have had the business-scoped id before, when the number was not told.
    """
    group = identifier(item, "group_id")
    found = (group,) if group else (person.other_id, person.user_id)
    return tuple(filter(None, found))


def changed_id(item: Part) -> IdChanged | None:
    """Return that a user has another phone number or business-scoped id; None for other notices."""
    system = part(item, "system")
    kind = text(system, "type")
    if kind == "user_changed_user_id":
        old, new = identifier(item, "from_user_id"), identifier(system, "user_id")
    else:
        old, new = identifier(item, "from"), identifier(system, "wa_id", "new_wa_id")
    return IdChanged(old, new) if old and new and old != new else None


def read_status(item: Part) -> Update:
    """Return what became of a message."""
    state = STATES.get(text(item, "status") or "")
    known, ours = identifier(item, "id"), message_id(item, "biz_opaque_callback_data")
    if state is None or known is None:
        return Unsupported(item)
    names = ("recipient_id", "recipient_user_id")
    chats = tuple(filter(None, (identifier(item, name) for name in names)))
    return DeliveryStatus(chats, known, ours, state, why(item) if state == "failed" else None)


def why(item: Part) -> str:
    """Return why a message failed, in WhatsApp's words."""
    error = next(iter(parts(item, "errors")), {})
    details = text(part(error, "error_data"), "details") or text(error, "message")
    told = [text(error, "title"), details]
    said = ": ".join(dict.fromkeys(filter(None, told))) or "WhatsApp told no reason."
    code = identifier(error, "code")
    return (f"{code}: {said}" if code else said)[:MAX_ERROR]
