"""What WhatsApp's Cloud API sends to a hook.

The shapes are those of Meta's pages "messages webhook reference" (one for each type of message),
"Business-scoped user IDs", and of the webhooks in Meta's OpenAPI document of version 23.
"""

import base64
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from tests.providers.whatsapp_errors import in_status

BUSINESS = {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"}
ACCOUNT = "102290129340398"

Part = dict[str, Any]  # a JSON object


@dataclass(frozen=True)
class User:
    """A user of WhatsApp: with a phone number, with a business-scoped id, or with both."""

    wa_id: str | None = "16505551234"
    user_id: str | None = None
    name: str = "Sheena Nelson"
    username: str | None = None

    def contact(self) -> Part:
        """Return the user as `contacts` has one."""
        profile = {"name": self.name, "username": self.username}
        ids = {"wa_id": self.wa_id, "user_id": self.user_id}
        return {"profile": present(profile)} | present(ids)


SHEENA = User()
# One who has a user name, and whose number is not told to businesses.
HIDDEN = User(None, "US.13491208655302741918", "Pablo Morales", "pablo.m")


def present(fields: Part) -> Part:
    """Return the fields that are not None: Meta leaves out what does not exist."""
    return {name: value for name, value in fields.items() if value is not None}


def wamid(about: str = "") -> str:
    """Return a new id of a message."""
    return "wamid." + base64.b64encode(f"{about}{secrets.token_hex(12)}".encode()).decode()


def now() -> str:
    """Return the time as Meta writes it."""
    return str(int(time.time()))


def message(user: User, kind: str, content: Any = None, **more: Any) -> Part:
    """Return a message by a user; `content` stands under its kind."""
    ids = present({"from": user.wa_id, "from_user_id": user.user_id})
    return ids | {
        "id": wamid(), "timestamp": now(), "type": kind, **present({kind: content}), **more
    }  # fmt: skip


def text(user: User, body: str, **more: Any) -> Part:
    """Return a message of text."""
    return message(user, "text", {"body": body}, **more)


def reply(user: User, body: str, message_id: str) -> Part:
    """Return a message of text that answers one of the business's."""
    context = {"from": BUSINESS["display_phone_number"], "id": message_id}
    return text(user, body, context=context)


def media(user: User, kind: str, mime_type: str, **more: Any) -> Part:
    """Return an image, audio, video, document or sticker; `more` is caption, filename, voice."""
    sha256 = "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI="
    file = {"id": "1003383421387256", "mime_type": mime_type, "sha256": sha256}
    return message(user, kind, file | more)


def location(user: User) -> Part:
    """Return a place that has a name."""
    place = {"latitude": 37.44221496582, "longitude": -122.16165924072}
    return message(user, "location", place | {"name": "Philz Coffee", "address": "101 Forest Ave"})


def contacts(user: User) -> Part:
    """Return the card of another person."""
    name = {"first_name": "Lucía", "last_name": "Gómez", "formatted_name": "Lucía Gómez"}
    phone = {"phone": "+1 (983) 555-2319", "wa_id": "19835552319", "type": "MOBILE"}
    return message(user, "contacts", [{"name": name, "phones": [phone]}])


def reaction(user: User, message_id: str, emoji: str | None) -> Part:
    """Return a reaction, or its removal: an empty emoji, or none at all."""
    return message(user, "reaction", present({"message_id": message_id, "emoji": emoji}))


def button(user: User, title: str, message_id: str) -> Part:
    """Return the tap on a button of an interactive message."""
    context = {"from": BUSINESS["display_phone_number"], "id": message_id}
    content = {"type": "button_reply", "button_reply": {"id": "cancel", "title": title}}
    return message(user, "interactive", content, context=context)


def order(user: User) -> Part:
    """Return an order of a product in the business's catalogue."""
    item = {"product_retailer_id": "di9ozbzfi4", "quantity": 2, "item_price": 30, "currency": "USD"}
    content = {"catalog_id": "194836987003835", "text": "", "product_items": [item]}
    return message(user, "order", content)


def unsupported(user: User, kind: str = "poll_creation") -> Part:
    """Return a message of a kind that the Cloud API does not pass on."""
    return message(user, "unsupported", {"type": kind}, errors=[in_status(131051)])


def number_changed(user: User, wa_id: str) -> Part:
    """Return the notice of a new phone number; such an update has no `contacts`."""
    body = f"User {user.name} changed from {user.wa_id} to {wa_id}"
    content = {"body": body, "wa_id": wa_id, "type": "user_changed_number"}
    return message(user, "system", content)


def user_id_changed(user: User, user_id: str) -> Part:
    """Return the notice of a new business-scoped id; such an update has no `contacts`."""
    body = f"User {user.name} changed from {user.user_id} to {user_id}"
    content = {"body": body, "user_id": user_id, "type": "user_changed_user_id"}
    return message(user, "system", content)


def edit(user: User, message_id: str, body: str) -> Part:
    """Return the new text of a message; only businesses that use the app, too, get it."""
    changed = {"context": {"id": "M0"}, "type": "text", "text": {"body": body}}
    return message(user, "edit", {"original_message_id": message_id, "message": changed})


def revoke(user: User, message_id: str) -> Part:
    """Return the deletion of a message; only businesses that use the app, too, get it."""
    return message(user, "revoke", {"original_message_id": message_id})


def written_by(user: User, *messages: Part) -> Part:
    """Return the value of a change with messages by a user."""
    found = {"contacts": [user.contact()], "messages": list(messages)}
    if all(item["type"] == "system" for item in messages):
        del found["contacts"]
    return found


def echoes(user: User, *messages: Part) -> Part:
    """Return the value of the field `smb_message_echoes`: what people wrote in WhatsApp's app."""
    to = {"to": user.wa_id, "to_user_id": user.user_id}
    sender = {"from": BUSINESS["display_phone_number"]}
    plain = [
        {key: value for key, value in item.items() if key != "from_user_id"} for item in messages
    ]
    return {"message_echoes": [item | sender | present(to) for item in plain]}


def notification(*values: Part, field: str = "messages", business: Part | None = None) -> bytes:
    """Return the body of an update with a change for each value, as Meta writes JSON.

    Characters beyond ASCII and slashes are escaped; the signature is over these bytes.
    """
    common = {"messaging_product": "whatsapp", "metadata": business or BUSINESS}
    changes = [{"value": common | value, "field": field} for value in values]
    body = {"object": "whatsapp_business_account"}
    entries = [{"id": ACCOUNT, "changes": changes}]
    return json.dumps(body | {"entry": entries}).replace("/", "\\/").encode()
