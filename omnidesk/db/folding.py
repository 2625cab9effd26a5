"""How texts are compared: by a form that is made here, the same on every database and locale."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any

import email_validator
from email_validator import EmailNotValidError, ValidatedEmail
from sqlalchemy import Case, ColumnElement, case, select
from sqlalchemy.orm import MappedColumn, mapped_column

from omnidesk.db.session import db

# A company may use a domain such as desk.local, which only its own servers know.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

# Letters that Unicode does not decompose into one of A to Z and a mark.
UNDECOMPOSED = str.maketrans(
    {"æ": "ae", "đ": "d", "ħ": "h", "\u0131": "i", "ł": "l", "ø": "o", "œ": "oe", "ŧ": "t"}
)
# Combining classes of marks that make another letter: nukta, kana voicing marks and viramas.
LETTER_MARKS = (7, 8, 9)
NUMBER = re.compile("[+0-9()./-]*[0-9][+0-9()./-]*")
PUNCTUATION = re.compile("[()./-]")

MAX_TAG = 50  # code points
MAX_TAG_SENT = 4 * MAX_TAG  # a longer one cannot become short enough when it is composed
TAG_BEGINS = ("Lu", "Ll", "Lt", "Lm", "Lo", "Nd")  # Unicode's categories of letters and digits
TAG_KINDS = (*TAG_BEGINS, "Mn", "Mc")
# Letters and marks of these categories that cannot be seen (Default_Ignorable_Code_Point).
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def nfc(text: str) -> str:
    """Return a text in Unicode's composed form, as most keyboards write it."""
    return unicodedata.normalize("NFC", text)


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


def user_search_text(full_name: str, username: str, email: str | None) -> str:
    """Return what `search_words` are looked for in, for a user with these names and address."""
    texts = [fold(text) for text in (full_name, email, username) if text]
    texts += [*map(joined, texts), fold(unicode_domain(email or ""))]
    return "\n".join(dict.fromkeys(filter(None, texts)))


def joined(text: str) -> str:
    """Return a text without the punctuation between digits."""
    return re.sub("(?<=[0-9])[()./-]+(?=[0-9])", "", text)


def search_words(text: str) -> list[str]:
    """Return the folded words of a text to look for; of a number only its digits and a plus.

    A word that is part of another is left out: where that one is found, it is found, too.
    """
    found = (PUNCTUATION.sub("", w) if NUMBER.fullmatch(w) else w for w in fold(text).split())
    words: list[str] = []
    for word in sorted(found, key=len, reverse=True):
        if not any(word in longer for longer in words):
            words.append(word)
    return words


def unicode_domain(email: str) -> str:
    """Return an e-mail address with its domain in Unicode; as it is where that cannot be."""
    if "xn--" not in email.lower():
        return email
    local, at, domain = email.rpartition("@")
    try:
        return local + at + domain.lower().encode("ascii").decode("idna")
    except UnicodeError:
        return email


def fold_tag(tag: str) -> str | None:
    """Return a tag in lower case and composed form; None where it is none.

    It begins with a letter or digit. Marks are parts of letters, except for those that are
    invisible and would make two tags look alike.
    """
    folded = nfc(nfc(tag).lower()) if len(tag) <= MAX_TAG_SENT else ""
    if not 1 <= len(folded) <= MAX_TAG or INVISIBLE.search(folded):
        return None
    begins = unicodedata.category(folded[0]) in TAG_BEGINS
    others = (sign in "_.:-" or unicodedata.category(sign) in TAG_KINDS for sign in folded)
    return folded if begins and all(others) else None


def validated_email(email: str) -> ValidatedEmail:
    """Return the parts of an e-mail address, asking no name server; raise EmailNotValidError."""
    return email_validator.validate_email(email, check_deliverability=False)


def email_key(email: str | None) -> str | None:
    """Return the form in which e-mail addresses are compared: the domain in ASCII, folded case."""
    if email is None:
        return None
    try:
        parts = validated_email(email)
    except EmailNotValidError:  # stored before there was this check
        return email.lower()
    return f"{nfc(parts.local_part.casefold())}@{parts.ascii_domain.lower()}"


def phone_key(phone: str | None) -> str | None:
    """Return the form in which phone numbers are compared: its digits, from the country's code on.

    A text without digits is compared as it is.
    """
    if phone is None:
        return None
    return digits(phone).removeprefix("00") or phone


def digits(text: str) -> str:
    """Return the digits of a text, from 0 to 9."""
    return re.sub("[^0-9]", "", unicodedata.normalize("NFKC", text))


def derived(make: Callable[..., Any], names: Iterable[str], **kwargs: Any) -> MappedColumn[Any]:
    """Return a column that holds what a function makes of others of its row.

    `Base` keeps it when a row changes. What writes rows without SQLAlchemy must set it.
    """

    def insert_default(context: Any) -> Any:
        row = context.get_current_parameters()
        return make(*(row.get(name) for name in names))

    return mapped_column(default=insert_default, info={"derived": (make, names)}, **kwargs)


def derived_for_all(
    entity: Any, some: ColumnElement[bool], fields: dict[str, Any]
) -> dict[str, Case[Any]]:
    """Return the values of such columns for an UPDATE that sets these fields of some locked rows.

    The rows are read only where a column is made of one of the fields.
    """
    found, key = {}, entity.primary_key()
    for column in entity.__table__.columns:
        make, names = column.info.get("derived", (None, ()))
        if not fields.keys().isdisjoint(names):
            rows = db.session.execute(
                select(key, *(getattr(entity, name) for name in names)).where(some)
            )
            values = (
                (row_id, dict(zip(names, row, strict=True)) | fields) for row_id, *row in rows
            )
            made = {row_id: make(*(row[name] for name in names)) for row_id, row in values}
            found[column.name] = case(made, value=key)
    return found
