"""The signature of Standard Webhooks 1.0, by the package of those who wrote the specification."""

from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

SECRET = "signing_secret"  # noqa: S105 - the name of a secret, not one
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def is_signed(body: bytes, headers: Mapping[str, str], secret: str) -> bool:
    """Return whether a signature is that of the raw body, its id and its time, and is not old.

    There may be several. Raises ValueError for a secret that is not `whsec_` and base64.
    """
    verifier = signer(secret)
    given = {name: headers.get(name, "") for name in HEADERS}
    try:
        verifier.verify(body, given, json_parse=False)
    except (WebhookVerificationError, ValueError):  # such as of base64, or of UTF-8
        return False
    return True


def signer(secret: str) -> Webhook:
    """Return what checks signatures with a secret; raise ValueError for one that is none."""
    try:
        return Webhook(secret)
    except (ValueError, EmptyWebhookSecretError) as error:
        raise ValueError("The secret is not whsec_ and base64.") from error
