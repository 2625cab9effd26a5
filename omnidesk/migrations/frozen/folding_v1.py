"""Frozen: what clients are found by, as version 0013 fills it in."""

import re
import unicodedata

UNDECOMPOSED = str.maketrans(
    {"æ": "ae", "đ": "d", "ħ": "h", "\u0131": "i", "ł": "l", "ø": "o", "œ": "oe", "ŧ": "t"}
)
LETTER_MARKS = (7, 8, 9)


def fold(text: str) -> str:
    """Return a text without the differences of case, accents and compatibility forms."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    kept = (
        sign
        for sign in unicodedata.normalize("NFKD", decomposed)
        if unicodedata.combining(sign) in (0, *LETTER_MARKS)
    )
    return "".join(kept).translate(UNDECOMPOSED)


def search_text(full_name: str, email: str | None, phone: str | None, other: str | None) -> str:
    """Return what words are looked for in, for somebody with these names and addresses."""
    texts = [fold(text) for text in (full_name, email, phone, other) if text]
    texts += [re.sub("(?<=[0-9])[()./-]+(?=[0-9])", "", text) for text in texts]
    texts += [re.sub(r"[()./\s-]", "", fold(phone or "")), fold(unicode_domain(email or ""))]
    return "\n".join(dict.fromkeys(filter(None, texts)))


def unicode_domain(email: str) -> str:
    """Return an e-mail address with its domain in Unicode; as it is where that cannot be."""
    if "xn--" not in email.lower():
        return email
    local, at, domain = email.rpartition("@")
    try:
        return local + at + domain.lower().encode("ascii").decode("idna")
    except UnicodeError:
        return email
