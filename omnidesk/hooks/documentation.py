"""What the OpenAPI document says of hooks."""

from typing import Any

from omnidesk.providers.telegram.signature import HEADER as TELEGRAM
from omnidesk.providers.webhook.signature import HEADERS as STANDARD
from omnidesk.providers.whatsapp.signature import HEADER as WHATSAPP

EXAMPLE = {"type": "message", "data": {"external_chat_id": "ada", "content": "Hello"}}
UPDATES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "What the provider documents; at most 3 MiB",
        "content": {"application/json": {"schema": {"type": "object"}, "example": EXAMPLE}},
    },
}
TYPE = {
    "in": "path",
    "name": "channel_type",
    "description": "The type of the channel: `whatsapp`, `telegram` or `webhook`",
    "schema": {"type": "string", "example": "whatsapp"},
}


def text_parameter(place: str, name: str, description: str) -> dict[str, Any]:
    """Return an optional parameter that is a text."""
    return {
        "in": place,
        "name": name,
        "description": description,
        "required": False,
        "schema": {"type": "string"},
    }


SIGNATURES = [
    text_parameter("header", WHATSAPP, "WhatsApp's signature: `sha256=` and an HMAC in hex"),
    text_parameter("header", TELEGRAM, "Telegram's secret, as `setWebhook` has set it"),
    *(text_parameter("header", name, "As Standard Webhooks says") for name in STANDARD),
]
CHALLENGE = [
    text_parameter("query", "hub.mode", "`subscribe`"),
    text_parameter("query", "hub.verify_token", "The channel's `verify_token`"),
    text_parameter("query", "hub.challenge", "What is answered"),
]
