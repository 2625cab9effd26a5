"""What a channel of each type is set up with: settings, and secrets from the environment."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from omnidesk.db import RuleViolation

NONE = "none"  # nobody serves its conversations, as those of a channel that has no row
Values = dict[str, str]
Given = Mapping[str, str | None]  # null stands for what is left out


class Setup(NamedTuple):
    """The settings of a type with their defaults, None where one must be given; its secrets."""

    settings: Given = {}
    secrets: Collection[str] = ()


SETUPS = {
    "whatsapp": Setup(
        {
            "api_base": "https://graph.facebook.com",
            "api_version": "v25.0",
            "phone_number_id": None,
        },
        ("access_token", "app_secret", "verify_token"),
    ),
    "telegram": Setup({"api_base": "https://api.telegram.org"}, ("bot_token", "webhook_secret")),
    "webhook": Setup({"url": None}, ("signing_secret",)),
    NONE: Setup(),
}


class BadSetup(RuleViolation):
    """A setting or a secret is not one of the type, or is missing."""

    def __init__(self, field: str, names: Collection[str], message: str) -> None:
        super().__init__(field, message)
        self.errors = {field: {name: [message] for name in names}}


def with_defaults(kind: str, given: Given) -> Values:
    """Return the settings of a channel; raise BadSetup for what its type has not, or must have."""
    known = SETUPS[kind].settings
    require_known("settings", kind, given, known)
    settings = {**known, **{name: value for name, value in given.items() if value is not None}}
    if missing := [name for name, value in settings.items() if value is None]:
        raise BadSetup("settings", missing, f"The type {kind} needs it.")
    return {name: value for name, value in settings.items() if value is not None}


def known_secrets(kind: str, given: Given) -> Values:
    """Return the names of the variables that have the secrets; raise BadSetup for others."""
    require_known("secrets", kind, given, SETUPS[kind].secrets)
    return {name: value for name, value in given.items() if value is not None}


def require_known(field: str, kind: str, given: Given, known: Collection[str]) -> None:
    """Raise BadSetup for names that the type of a channel does not have."""
    if unknown := [name for name in given if name not in known]:
        raise BadSetup(field, unknown, f"The type {kind} has no such thing.")
