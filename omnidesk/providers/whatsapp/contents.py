"""What WhatsApp's messages say: kind, text, and what is known of a file or a place.

See Meta's "messages webhook reference", which has a page for each type of message.
"""

from collections.abc import Callable
from typing import Any

from omnidesk.providers.parts import MAX_CONTENT, Content, Part, part, parts, picked, text

FILE = ("id", "mime_type", "filename", "sha256", "file_size", "voice", "animated")
PLACE = ("latitude", "longitude", "name", "address", "url")
ITEM = ("product_retailer_id", "quantity", "item_price", "currency")


def content_of(item: Part) -> Content:
    """Return what a message says; `unsupported` for a type that is not known, or has nothing."""
    read = READERS.get(text(item, "type") or "")
    if read is None or (found := read(item)) is None:
        found = Content("unsupported", reason(item))
    return found._replace(meta=context_of(item) | found.meta)


def context_of(item: Part) -> Part:
    """Return what a message replies to, where it is from, and the advertisement behind it."""
    context, referral = part(item, "context"), part(item, "referral")
    return {
        "reply_to": picked(context, "id").get("id"),
        "forwarded": bool(context.get("forwarded") or context.get("frequently_forwarded")) or None,
        "product": picked(part(context, "referred_product"), "catalog_id", "product_retailer_id"),
        "referral": picked(referral, "source_url", "source_type", "source_id", "headline"),
    }


def reason(item: Part) -> str:
    """Return what WhatsApp says of a message that it does not pass on."""
    return next((text(error, "title", 500) or "" for error in parts(item, "errors")), "")


def of_text(item: Part) -> Content | None:
    """Return a text, None for an empty one."""
    body = text(part(item, "text"), "body")
    return Content("text", body) if body else None


def of_file(kind: str) -> Callable[[Part], Content | None]:
    """Return the reader of a kind of file."""

    def read(item: Part) -> Content | None:
        file = part(item, str(item["type"]))
        meta = picked(file, *FILE)
        return Content(kind, text(file, "caption") or "", meta) if meta.get("id") else None

    return read


def of_location(item: Part) -> Content | None:
    """Return a place, by its name and address where it has them."""
    place = part(item, "location")
    if not {"latitude", "longitude"} <= place.keys():
        return None
    lines = (text(place, "name", 500), text(place, "address", 500))
    return Content("location", "\n".join(filter(None, lines)), picked(place, *PLACE))


def of_contacts(item: Part) -> Content | None:
    """Return the names of people, and their phone numbers."""
    people = parts(item, "contacts")
    names = [text(part(each, "name"), "formatted_name", 500) or "" for each in people]
    phones = [
        picked(phone, "phone").get("phone") for each in people for phone in parts(each, "phones")
    ]
    shown = "\n".join(names)[:MAX_CONTENT]
    return Content("contact", shown, {"phones": phones}) if people else None


def of_reaction(item: Part) -> Content | None:
    """Return a reaction, without a text where it was removed."""
    reaction = part(item, "reaction")
    to = picked(reaction, "message_id").get("message_id")
    return Content("reaction", text(reaction, "emoji") or "", {"reply_to": to}) if to else None


def of_button(item: Part) -> Content | None:
    """Return the text of a template's button that was tapped."""
    button = part(item, "button")
    title = text(button, "text") or text(button, "payload")
    return Content("text", title, picked(button, "payload")) if title else None


def of_interactive(item: Part) -> Content | None:
    """Return the title of a button or a row that was chosen, or what a form says."""
    kind = text(part(item, "interactive"), "type") or ""
    chosen = part(item, "interactive", kind)
    title = text(chosen, "title") or text(chosen, "body") or text(chosen, "response_json")
    meta = {"payload": picked(chosen, "id").get("id")} | picked(
        chosen, "description", "response_json"
    )
    return Content("text", title, {"interactive": kind} | meta) if title else None


def of_order(item: Part) -> Content | None:
    """Return the products that were ordered."""
    order = part(item, "order")
    items: list[Any] = [picked(each, *ITEM) for each in parts(order, "product_items")]
    lines = [f"{each.get('quantity')} x {each.get('product_retailer_id')}" for each in items]
    shown = "\n".join(filter(None, [text(order, "text"), *lines]))[:MAX_CONTENT]
    return Content("text", shown, picked(order, "catalog_id") | {"items": items}) if lines else None


READERS: dict[str, Callable[[Part], Content | None]] = {
    "text": of_text,
    "image": of_file("image"),
    "audio": of_file("audio"),
    "video": of_file("video"),
    "document": of_file("file"),
    "sticker": of_file("sticker"),
    "location": of_location,
    "contacts": of_contacts,
    "reaction": of_reaction,
    "button": of_button,
    "interactive": of_interactive,
    "order": of_order,
}
