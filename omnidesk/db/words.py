"""The words of texts: what is stored of a text to find it by, and what a query asks for."""

import re
import unicodedata
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from sqlalchemy import Text
from sqlalchemy.orm import MappedColumn

from omnidesk.db.folding import INVISIBLE, derived, digits, fold, joined, unicode_domain
from omnidesk.db.types import MAX_ID

MAX_WORD = 64  # code points; what follows them in a longer word is not looked at
MAX_WORDS_TEXT = 262_144  # code points of a row: a megabyte, the most that PostgreSQL can index
MAX_QUERY = 200  # code points
MAX_QUERY_WORDS = 10
MIN_PREFIX = 3  # code points
UNASSIGNED = ("Cn", "Co", "Cs")  # Unicode's categories of code points that mean nothing


class FoldedSigns(dict[int, str]):
    """By code point: what it is in a folded word, a blank where it is no part of one."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        if unicodedata.category(sign) in UNASSIGNED:  # a million, too many to keep
            return " "
        folded = "".join(part if is_part_of_word(part) else " " for part in fold(sign))
        self[code] = folded
        return folded


def is_part_of_word(sign: str) -> bool:
    """Return whether a folded sign is a letter, a digit, or a mark on one, and can be seen."""
    category = unicodedata.category(sign)
    return category[0] in "LNM" and category != "Me" and not INVISIBLE.match(sign)


FOLDED = FoldedSigns()


def separated(text: str) -> str:
    """Return the folded words of a text, with blanks between them."""
    return unicodedata.normalize("NFKD", text).translate(FOLDED)


def split(text: str) -> list[str]:
    """Return the folded words of a text, none longer than `MAX_WORD`."""
    return [word[:MAX_WORD] for word in separated(text).split()]


def words(*texts: str | None) -> str:
    """Return all words of a row's texts, as a column holds them: ` cannot login  user reports `.

    There is a blank on both sides of each word, and two are between texts, so that ` login `
    is found as a word, ` log` as the beginning of one, and a phrase within one text only.
    """
    found = "".join(f" {' '.join(each)} " for each in map(split, filter(None, texts)) if each)
    if len(found) > MAX_WORDS_TEXT:
        found = found[: MAX_WORDS_TEXT - 1].rpartition(" ")[0] + " "
    return found


def client_words(
    full_name: str, email: str | None, phone: str | None, external_id: str | None
) -> str:
    """Return all words of a client's names and addresses, as `words` does.

    Among them are all endings of the phone number, so that any digits of it that follow each other
    begin a word.
    """
    texts = [each for each in (full_name, email, phone, external_id) if each]
    texts += [*map(joined, texts), unicode_domain(email or "")]
    number = digits(phone or "")
    endings = (number[start:] for start in range(len(number) - MIN_PREFIX + 1))
    return words(*dict.fromkeys(texts), " ".join(endings))


def words_of(*names: str, made_by: Callable[..., str] = words) -> MappedColumn[Any]:
    """Return a column that holds the words of others of its row."""
    return derived(made_by, names, type_=Text, server_default="", sort_order=110)


class SearchQuery(NamedTuple):
    """What somebody looks for: all of it must occur. Without any word, it is empty.

    `number` is the row's that a query with nothing else names: `100` or `#100`. `digits` are those
    of a query without letters, such as a phone number.
    """

    words: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()  # words that follow each other in one text
    prefix: str | None = None  # what a word begins with
    number: int | None = None
    digits: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a text asks for: any text is one, and only quotation marks are special."""
        plain: list[list[str]] = []
        quoted: list[list[str]] = []
        parts = text.split('"')
        for position, part in enumerate(parts):
            is_quoted = position % 2 and position + 1 < len(parts)
            (quoted if is_quoted else plain).append(split(part))
        found = [word for part in plain for word in part]
        prefix = found.pop() if found and len(found[-1]) >= MIN_PREFIX else None
        found += [part[0] for part in quoted if len(part) == 1]
        phrases = dict.fromkeys(" ".join(part) for part in quoted if len(part) > 1)
        alone = "" if re.search(r"[^\W0-9]", text) else digits(text)
        return cls(tuple(dict.fromkeys(found)), tuple(phrases), prefix, number(text), alone)

    def as_one_number(self) -> Self:
        """Return a query for the digits alone as one word; this one where it has letters."""
        if len(self.digits) < MIN_PREFIX:
            return self
        return type(self)(prefix=self.digits[:MAX_WORD])

    @property
    def terms(self) -> tuple[str, ...]:
        """What a row's words must contain, as `words` writes them."""
        whole = tuple(f" {term} " for term in (*self.words, *self.phrases))
        return whole if self.prefix is None else (*whole, f" {self.prefix}")

    def is_met_by(self, found: str) -> bool:
        """Return whether words, as `words` writes them, have all that is asked for."""
        return all(term in found for term in self.terms)

    @property
    def index_prefix(self) -> tuple[str, ...]:
        """What the text index is asked for by the prefix: the word, and what begins so."""
        return () if self.prefix is None else (self.prefix, f"{self.prefix}*")


def number(text: str) -> int | None:
    """Return the id that a whole text is, with or without `#` before it, or None."""
    found = re.fullmatch("#?([0-9]{1,10})", text.strip())
    return int(found[1]) if found and 1 <= int(found[1]) <= MAX_ID else None
