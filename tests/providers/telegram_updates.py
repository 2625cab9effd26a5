"""What Telegram's Bot API sends to a webhook: "Update" and "Message" of the Bot API, version 10.1.

Ids of messages are unique in a chat only: 7 may be a message in every chat.
"""

import time
from typing import Any

Part = dict[str, Any]  # a JSON object

ADA: Part = {"id": 279058397, "is_bot": False, "first_name": "Ada", "last_name": "Lovelace"}
PRIVATE: Part = {"id": 279058397, "type": "private", "first_name": "Ada", "username": "ada"}
GROUP: Part = {"id": -1001234567890, "type": "supergroup", "title": "Couriers"}
PHOTO = [
    {"file_id": f"AgACAgIAAx{side}", "file_unique_id": f"AQAD{side}", "width": side, "height": side}
    for side in (90, 320, 800)
]
VOICE = {
    "file_id": "AwACAgIAAx",
    "file_unique_id": "AgAD1",
    "duration": 3,
    "mime_type": "audio/ogg",
    "file_size": 12000,
}
DOCUMENT = {
    "file_id": "BQACAgIAAx",
    "file_unique_id": "AgAD2",
    "file_name": "invoice.pdf",
    "mime_type": "application/pdf",
    "file_size": 44000,
}
LOCATION = {"latitude": 4.711, "longitude": -74.0721}
CONTACT = {"phone_number": "+573015550155", "first_name": "Ada", "user_id": 279058397}
STICKER = {
    "file_id": "CAACAgIAAx",
    "file_unique_id": "AgAD3",
    "type": "regular",
    "width": 512,
    "height": 512,
    "is_animated": False,
    "is_video": False,
    "emoji": "👍",
}


def message(message_id: int, chat: Part = PRIVATE, user: Part = ADA, **content: Any) -> Part:
    """Return a message: `text="Hello"`, `photo=PHOTO, caption="Look"`, `reply_to_message=...`."""
    place = {"message_id": message_id, "from": user, "chat": chat, "date": int(time.time())}
    return place | content


def forward(message_id: int, text: str, chat: Part = PRIVATE) -> Part:
    """Return a text that was forwarded from somebody who hides who they are."""
    origin = {"type": "hidden_user", "date": int(time.time()), "sender_user_name": "Charles"}
    return message(message_id, chat, text=text, forward_origin=origin)


def edited(earlier: Part, **content: Any) -> Part:
    """Return a new version of a message."""
    return earlier | {"edit_date": int(time.time())} | content


def reaction(message_id: int, *emoji: str, chat: Part = PRIVATE, old: tuple[str, ...] = ()) -> Part:
    """Return a change of the reactions to a message; with no emoji, they were removed."""
    new, before = ([{"type": "emoji", "emoji": one} for one in all_] for all_ in (emoji, old))
    place = {"chat": chat, "message_id": message_id, "user": ADA, "date": int(time.time())}
    return place | {"old_reaction": before, "new_reaction": new}


def callback(earlier: Part, data: str) -> Part:
    """Return the tap on a button under a message of the bot's."""
    ids = {"id": "4382bfdwdsb323b2d9", "chat_instance": "-3423423423"}
    return ids | {"from": ADA, "message": earlier, "data": data}


def membership(status: str, chat: Part = PRIVATE) -> Part:
    """Return a change of the bot's own: `kicked` says that the user blocked it."""
    bot = {"id": 110201543, "is_bot": True, "first_name": "Desk", "username": "desk_bot"}
    before, after = ({"user": bot, "status": one} for one in ("member", status))
    change = {"old_chat_member": before, "new_chat_member": after | {"until_date": 0}}
    return {"chat": chat, "from": ADA, "date": int(time.time())} | change
