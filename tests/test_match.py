"""Where a text says what is asked for: the part that is shown, and the ranges to highlight."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnidesk.db.match import MAX_SHOWN, first_match
from omnidesk.db.words import SearchQuery, words
from tests.test_words import SIGNS

texts = st.text(st.sampled_from(SIGNS + " "), max_size=60)


def highlighted(query: str, text: str) -> list[str]:
    """Return the parts of a text that a query would highlight, in what is shown of it."""
    found = first_match(SearchQuery.parse(query), {"subject": text})
    return [found["text"][start:end] for start, end in found["ranges"]] if found else []


@pytest.mark.parametrize(
    ("query", "text", "parts"),
    [
        ("login", "Cannot LOGIN, login-page, logins", ["LOGIN", "login", "logins"]),
        ("login to", "Cannot log in to logins to", ["to", "to"]),
        ("camion", "El Camión y el Camio\u0301n", ["Camión", "Camio\u0301n"]),
        ("strasse", "Straße", ["Straße"]),
        ("file", "The ﬁles", ["ﬁles"]),
        ('"cannot login"', "login cannot;  LOGIN login", ["cannot;  LOGIN"]),
        ('"a b" "b c"', "a b c, a c", ["a b c"]),
        ("m to", "at 7㏂ to", ["㏂", "to"]),
        ("a m", "at 7㏂", ["㏂"]),
        ("hindi", "हिन्दी", []),
        ("हिन्दी", "x हिन्दी x", ["हिन्दी"]),
        ("x" * 80, "x" * 90, ["x" * 90]),
        ("...", "...", []),
        ("login", "", []),
    ],
)
def test_whole_words_are_highlighted(query: str, text: str, parts: list[str]) -> None:
    assert highlighted(query, text) == parts


def test_the_first_text_that_matches_is_shown() -> None:
    query = SearchQuery.parse("red green")

    found = first_match(query, {"subject": None, "description": "A green one", "body": "red"})

    assert found == {"field": "description", "text": "A green one", "ranges": [(2, 7)]}
    assert first_match(query, {"subject": "blue", "description": None}) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{'before ' * 50}login{' after' * 50}", f"{'before ' * 5}login{' after' * 20}"),
        (f"login {'after ' * 50}", ("login " + "after " * 26)[:-2].rpartition(" ")[0]),
        (f"{'before ' * 50}login", f"{'before ' * 22}login"),
        (f"{'x' * 300} login {'x' * 300}", "login"),
        (f"{'日' * 300}。login。{'日' * 300}", f"{'日' * 39}。login。{'日' * 114}"),
    ],
)
def test_a_part_of_a_long_text_is_shown_between_words(text: str, shown: str) -> None:
    found: Any = first_match(SearchQuery.parse("login"), {"body": text})

    assert found["text"] == shown
    ((start, end),) = found["ranges"]
    assert found["text"][start:end] == "login"


@given(texts, texts)
def test_what_is_highlighted_is_what_was_asked_for(query: str, text: str) -> None:
    asked = SearchQuery.parse(query)
    found = first_match(asked, {"body": text * 5})

    if found is None:
        assert not any(term in words(text * 5) for term in asked.terms)
        return
    assert len(found["text"]) <= MAX_SHOWN
    assert found["text"] in text * 5
    last = 0
    for start, end in found["ranges"]:
        assert last <= start < end <= len(found["text"])
        assert any(term.rstrip() in words(found["text"][start:end]) for term in asked.terms)
        last = end


@given(texts, texts)
def test_the_same_is_highlighted_however_it_is_written(query: str, text: str) -> None:
    composed, decomposed = (
        [unicodedata.normalize("NFC", part) for part in highlighted(query, written)]
        for written in (unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    )

    assert composed == decomposed
