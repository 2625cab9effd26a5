"""What WhatsApp's Cloud API requires of a message: Meta's page "Messages API"."""

from typing import Any

MAX_TEXT, MAX_CAPTION, MAX_CALLBACK_DATA = 4096, 1024, 512
MEDIA = ("image", "audio", "video", "document", "sticker")
TYPES = ("text", *MEDIA, "location", "contacts", "reaction", "interactive", "template")

Fault = tuple[int, str]  # a code, and the details


def fault(body: dict[str, Any]) -> Fault | None:
    """Return what is wrong with a message."""
    if body.get("messaging_product") != "whatsapp":
        return 100, "The parameter messaging_product is required."
    if not isinstance(body.get("to") or body.get("recipient"), str):
        return 100, "The parameter to is required."
    if len(body.get("biz_opaque_callback_data", "")) > MAX_CALLBACK_DATA:
        return 100, "Param biz_opaque_callback_data must be at most 512 characters long."
    kind = body.get("type", "text")
    if kind not in TYPES:
        return 100, f"Param type must be one of {', '.join(TYPES)}"
    if not isinstance(content := body.get(kind), dict | list):
        return 131008, f"Required parameter {kind} is missing"
    return content_fault(kind, content)


def content_fault(kind: str, content: Any) -> Fault | None:
    """Return what is wrong with the content of a message."""
    if kind == "text":
        return text_fault(content.get("body"))
    if kind in MEDIA:
        return media_fault(kind, content)
    if kind == "location" and not {"latitude", "longitude"} <= content.keys():
        return 131008, "Required parameter latitude or longitude is missing"
    return None


def text_fault(text: Any) -> Fault | None:
    """Return what is wrong with a text."""
    if not isinstance(text, str) or not text.strip():
        return 100, "The parameter text['body'] is required."
    if len(text) > MAX_TEXT:
        return 100, "Param text['body'] must be at most 4096 characters long."
    return None


def media_fault(kind: str, content: dict[str, Any]) -> Fault | None:
    """Return what is wrong with a file."""
    if ("id" in content) == ("link" in content):
        return 100, f"Param {kind} must have one of id and link"
    if not str(content.get("link", "https://")).startswith(("http://", "https://")):
        return 131009, f"Param {kind}['link'] is not a valid URL"
    if len(content.get("caption", "")) > MAX_CAPTION:
        return 100, f"Param {kind}['caption'] must be at most 1024 characters long."
    return None
