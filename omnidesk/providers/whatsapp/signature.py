"""WhatsApp's signature of what it sends, and the token of its challenge.

See "Create a webhook endpoint" in Meta's documentation.
"""

import hmac
from collections.abc import Mapping
from hashlib import sha256

SECRET = "app_secret"  # noqa: S105 - the name of a secret, not one
HEADER = "X-Hub-Signature-256"


def is_signed(body: bytes, headers: Mapping[str, str], secret: str) -> bool:
    """Return whether the signature is that of the raw body; headers have names in lower case."""
    digest = hmac.new(secret.encode(errors="surrogateescape"), body, sha256).hexdigest()
    given = headers.get(HEADER.lower(), "").lower()
    return hmac.compare_digest(given.encode(errors="replace"), f"sha256={digest}".encode())


def is_token(given: str, token: str) -> bool:
    """Return whether a challenge has the verify token, compared in constant time."""
    return hmac.compare_digest(
        given.encode(errors="surrogateescape"), token.encode(errors="surrogateescape")
    )
