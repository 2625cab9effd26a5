"""What Telegram's messages say: kind, text, and what is known of a file or a place.

See "Message" in the documentation of the Bot API.
"""

from typing import Any

from omnidesk.providers.parts import (
    MAX_CONTENT,
    Content,
    Part,
    identifier,
    part,
    parts,
    picked,
    text,
)

# By the name that a message has for its content; a more special one comes first.
FILES = {
    "animation": "video",
    "document": "file",
    "audio": "audio",
    "voice": "audio",
    "video": "video",
    "video_note": "video",
    "sticker": "sticker",
}
FILE = ("file_id", "mime_type", "file_name", "file_size", "duration", "width", "height", "emoji")
PLACE = ("latitude", "longitude")


def content_of(message: Part) -> Content:
    """Return what a message says; `unsupported` for what is not known."""
    found = of_text(message) or of_file(message) or of_place(message) or of_contact(message)
    found = found or Content("unsupported", text(message, "caption") or "")
    return found._replace(meta=context_of(message) | found.meta)


def context_of(message: Part) -> Part:
    """Return what a message replies to, and where it is from."""
    origin = part(message, "forward_origin")
    name = text(part(origin, "sender_user"), "first_name") or text(origin, "sender_user_name")
    return {
        "reply_to": identifier(part(message, "reply_to_message"), "message_id"),
        "quote": picked(part(message, "quote"), "text").get("text"),
        "forwarded": bool(origin) or None,
        "forwarded_from": name and name[:200],
        "album": identifier(message, "media_group_id"),
        "thread": identifier(message, "message_thread_id"),
    }


def of_text(message: Part) -> Content | None:
    """Return a text, None where there is none."""
    found = text(message, "text")
    return Content("text", found) if found else None


def of_file(message: Part) -> Content | None:
    """Return a photo in its largest size, or another file, with its caption."""
    photos = parts(message, "photo")
    name = "photo" if photos else next((each for each in FILES if part(message, each)), "")
    file = photos[-1] if photos else part(message, name)
    meta = picked(file, *FILE)
    if not meta.get("file_id"):
        return None
    return Content(FILES.get(name, "image"), text(message, "caption") or "", {"type": name} | meta)


def of_place(message: Part) -> Content | None:
    """Return a place, by its name and address where it has them."""
    venue, place = part(message, "venue"), part(message, "location")
    if not {*PLACE} <= place.keys():
        return None
    lines = (text(venue, "title", 500), text(venue, "address", 500))
    meta = picked(place, *PLACE) | picked(venue, "title", "address")
    return Content("location", "\n".join(filter(None, lines)), meta)


def of_contact(message: Part) -> Content | None:
    """Return a person's name and phone number."""
    contact = part(message, "contact")
    names: Any = (text(contact, name, 200) for name in ("first_name", "last_name"))
    meta = {"phones": [contact.get("phone_number")], **picked(contact, "user_id")}
    shown = " ".join(filter(None, names))[:MAX_CONTENT]
    return Content("contact", shown, picked(meta, *meta)) if contact else None
