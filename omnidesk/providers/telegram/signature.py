"""The secret that Telegram sends along with what it sends, as `setWebhook` has set it."""

import hmac
from collections.abc import Mapping

SECRET = "webhook_secret"  # noqa: S105 - the name of a secret, not one
HEADER = "X-Telegram-Bot-Api-Secret-Token"


def is_signed(_body: bytes, headers: Mapping[str, str], secret: str) -> bool:
    """Return whether the secret is the right one; headers have names in lower case."""
    given = headers.get(HEADER.lower(), "")
    return hmac.compare_digest(
        given.encode(errors="replace"), secret.encode(errors="surrogateescape")
    )
