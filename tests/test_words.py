"""The words of texts, and what somebody asks for: functions, alike on every database."""

import re
import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnidesk.db.match import first_match
from omnidesk.db.words import (
    MAX_WORD,
    MAX_WORDS_TEXT,
    SearchQuery,
    words,
)
from omnidesk.migrations.frozen import words_v1

# Letters with marks, in one code point and in several; signs that become several or none.
SIGNS = "aB1 ñn\u0303ßﬁ½㏂Ａ\u0301\u0345ᾳk\u094d\u093cक़한ﷺ❤\ufe0f\u200b\u00ad_'\"#*:&|!()\\\n\t-"
texts = st.text(st.sampled_from(SIGNS), max_size=40) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Cannot login!", " cannot login "),
        ("CAMIÓN Camio\u0301n camion", " camion camion camion "),
        ("Niño Straße ﬁle x² Ａ１", " nino strasse file x2 a1 "),
        ("user@example.com +57 301", " user example com 57 301 "),
        ("it's a_b-c", " it s a b c "),
        ("1️⃣ ❤️ …", " 1 "),
        ("日本語 हिन्दी", " 日本語 हिन्दी "),
        ("x" * 65, f" {'x' * MAX_WORD} "),
        (" \n\x00 *", ""),
        ("", ""),
    ],
)
def test_words_are_folded_letters_and_digits(text: str, found: str) -> None:
    assert words(text) == found


def test_words_of_two_texts_are_never_side_by_side() -> None:
    assert words("a b", None, "...", "c d") == " a b  c d "


@given(texts)
def test_what_can_be_written_in_two_ways_has_the_same_words(text: str) -> None:
    assert words(unicodedata.normalize("NFC", text)) == words(unicodedata.normalize("NFD", text))


@given(texts)
def test_words_have_the_same_words(text: str) -> None:
    found = words(text)

    assert words(found) == found
    assert found == "" or re.fullmatch(f" ([^ ]{{1,{MAX_WORD}}} )+", found)


@given(st.lists(texts | st.none(), max_size=3))
def test_a_migration_fills_in_the_same_words(some: list[str | None]) -> None:
    assert words_v1.words(*some) == words(*some)


def test_no_text_has_more_words_than_an_index_can_hold() -> None:
    found = words("ﷺ" * 65_536, "x " * 500)

    assert MAX_WORDS_TEXT - MAX_WORD < len(found) <= MAX_WORDS_TEXT
    assert found.endswith(" ")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("login", (" login",)),
        ("Cannot LOGIN", (" cannot ", " login")),
        ("to do", (" to ", " do ")),
        ('"cannot login"', (" cannot login ",)),
        ('"login"', (" login ",)),
        (
            'since "cannot login" yesterday now',
            (" since ", " yesterday ", " cannot login ", " now"),
        ),
        ('yesterday "a"', (" a ", " yesterday")),
        ('"not closed', (" not ", " closed")),
        ('"', ()),
        ('""', ()),
        (
            "a OR b* -c NEAR(d) e:f",
            (*(f" {word} " for word in ("a", "or", "b", "c", "near", "d", "e", "f")),),
        ),
        ("login login", (" login ", " login")),
        ("... ❤️", ()),
    ],
)
def test_a_query_is_words_and_phrases(text: str, terms: tuple[str, ...]) -> None:
    assert SearchQuery.parse(text).terms == terms


def test_the_index_is_asked_for_each_term() -> None:
    query = SearchQuery.parse('to "cannot login" yest')

    assert (query.words, query.phrases) == (("to",), ("cannot login",))
    assert query.index_prefix == ("yest", "yest*")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100", 100),
        (" #100 ", 100),
        ("2147483647", 2147483647),
        ("2147483648", None),
        ("0", None),
        ("#0", None),
        ("1" * 5000, None),
        ("##100", None),
        ("# 100", None),
        ("-100", None),
        ("１００", None),
        ("100 a", None),
        ("#", None),
    ],
)
def test_a_query_can_be_a_number(text: str, number: int | None) -> None:
    assert SearchQuery.parse(text).number == number


@given(texts)
def test_a_text_is_found_by_what_it_says(text: str) -> None:
    stored = words(text, "more")

    assert all(term in stored for term in SearchQuery.parse(text.replace('"', " ")).terms)
    assert all(
        term in stored for term in SearchQuery.parse(f'"{text.replace(chr(34), " ")}"').terms
    )


def random_texts(count: int) -> list[str]:
    """Return texts of any code points, those with a meaning to a database among them."""
    rng = Random(1)  # noqa: S311 - repeatable, not secret
    special = [*SIGNS, *"'\"\\%_^~<>?{}[]$@;`=+-/.", "NEAR", "AND", "OR", "NOT", "\ud800", "\x00"]
    some = [[rng.choice(special), chr(rng.randrange(0x110000)), " "] for _ in range(5000)]
    return [
        "".join(part for n in range(rng.randint(1, 8)) for part in rng.choice(some)[: n % 3 + 1])
        for _ in range(count)
    ]


def test_any_text_is_a_query() -> None:
    for text in random_texts(10_000):
        query = SearchQuery.parse(text)
        assert bool(query.terms) == bool(words(text)), text
        assert bool(query.words + query.phrases + query.index_prefix) == bool(words(text)), text
        first_match(query, {"subject": text})
