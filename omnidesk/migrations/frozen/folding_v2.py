"""Frozen: how e-mail addresses and phone numbers are compared, as version 0019 fills it in."""

import unicodedata

from omnidesk.migrations.frozen.folding_v1 import search_text

__all__ = ["email_key", "phone_key", "search_text"]


def email_key(email: str | None) -> str | None:
    """Return the form in which e-mail addresses are compared: the domain in ASCII, folded case."""
    if email is None:
        return None
    local, at, domain = unicodedata.normalize("NFC", email).rpartition("@")
    labels = domain.lower().split(".")
    return local.casefold() + at + ".".join(map(ascii_label, labels))


def ascii_label(label: str) -> str:
    """Return a part of a domain in ASCII (RFC 5890, section 2.3.2.1)."""
    return label if label.isascii() else f"xn--{label.encode('punycode').decode()}"


def phone_key(phone: str | None) -> str | None:
    """Return the form in which phone numbers are compared: its digits, from the country's code."""
    if phone is None:
        return None
    digits = "".join(sign for sign in unicodedata.normalize("NFKC", phone) if sign in "0123456789")
    return digits.removeprefix("00") or phone
