"""Searching over HTTP: which rows are found by which words, and by whom."""

import re
import unicodedata
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnidesk.db import db, utcnow
from omnidesk.tickets.lists import SORTED_BY
from omnidesk.tickets.models import PRIORITIES
from tests.conftest import (
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_message,
    make_ticket,
    on_sqlite,
)
from tests.test_finding import PROPERTY
from tests.test_handover import token_of
from tests.test_lists import MOST, looking_at, walk, walk_back
from tests.test_words import random_texts

VOCABULARY = ["El", "camión", "CAMION", "está", "roto", "Niño", "ni", "nino's", "ro-to", "42"]
TEXTS = [
    " ".join(VOCABULARY[n % 10 : n % 10 + 3] + VOCABULARY[n * 7 % 10 :][:2]) for n in range(12)
]
WORDS = st.sampled_from(["el", "Camión", "camio", "cam", "roto", "ro", "niño", "nin", "42", "s"])
QUERIES = st.lists(
    WORDS | st.lists(WORDS, min_size=2, max_size=2).map(lambda pair: f'"{" ".join(pair)}"'),
    min_size=1,
    max_size=3,
).map(" ".join)


def plain(text: str) -> str:
    """Return the words of a text in plain letters, with a blank on both sides of each."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    letters = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    return f" {' '.join(re.findall(r'[a-z0-9]+', letters))} "


def has(texts: list[str], query: str) -> bool:
    """Return whether all that a query asks for is in some texts together."""
    phrases = re.findall('"([^"]*)"', query)
    words = plain(re.sub('"[^"]*"', " ", query)).split()
    prefix = words.pop() if words and len(words[-1]) >= 3 else ""
    asked = [*map(plain, phrases), *(f" {word} " for word in words), f" {prefix}"]
    return all(any(part in plain(text) for text in texts) for part in asked)


@pytest.fixture
def tickets(agent: Caller) -> list[tuple[dict[str, Any], list[list[str]]]]:
    """Tickets as a list has them, and their texts: of the ticket itself, and of each comment."""
    texts = {}
    for n in range(0, 12, 3):
        subject, description, comment = TEXTS[n : n + 3]
        ticket = make_ticket(subject=subject, description=description, priority="alta")
        texts[ticket.ticket_id] = [[subject, description], [comment]]
        make_comment(ticket_id=ticket.ticket_id, user_id=agent.user.user_id, body=comment)
    return [(row, texts[row["ticket_id"]]) for row in agent.get("/api/tickets").json]


@PROPERTY
@given(
    query=QUERIES,
    others=st.sampled_from(["", "&priority=alta"]),
    limit=st.sampled_from([1, 2, 50]),
    most=MOST,
)
def test_tickets_are_found_by_the_words_of_their_texts_or_of_a_comment(
    agent: Caller,
    tickets: list[tuple[dict[str, Any], list[list[str]]]],
    query: str,
    others: str,
    limit: int,
    most: list[int],
) -> None:
    url = f"/api/tickets?q={query}&limit={limit}{others}"

    with looking_at(most):
        forwards, back = walk(agent, url), walk_back(agent, url)

    assert forwards == [row for row, texts in tickets if any(has(each, query) for each in texts)]
    assert back == forwards


@pytest.mark.parametrize("sort", ["ticket_id", "-ticket_id", "-updated_at"])
@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("query", ["room", "room key", '"room key"'])
def test_a_ticket_is_found_once_however_often_it_says_it(
    agent: Caller, sort: str, limit: int, query: str
) -> None:
    said = {}
    for n in range(9):
        ticket = make_ticket(subject="Room key" if n % 3 else "Hall").ticket_id
        comments = ["The room key", "No room key"][: n % 4]
        for body in comments:
            make_comment(ticket_id=ticket, user_id=agent.user.user_id, body=body)
        said[ticket] = bool(n % 3 or comments)
    url = f"/api/tickets?sort={sort}&limit={limit}&q={query}"

    with looking_at([2, 2, 2, 2, 40]):
        forwards, back = walk(agent, url), walk_back(agent, url)

    rows = agent.get(f"/api/tickets?sort={sort}").json
    assert forwards == [row for row in rows if said[row["ticket_id"]]] != rows
    assert back == forwards


def test_comments_are_searched_for_those_who_may_read_them(agent: Caller, anybody: Caller) -> None:
    ticket = make_ticket(subject="Router").ticket_id
    make_comment(ticket_id=ticket, user_id=agent.user.user_id, body="Secret")

    assert [row["ticket_id"] for row in agent.get("/api/tickets?q=secret").json] == [ticket]
    assert anybody.get("/api/tickets?q=secret").json == []
    assert [row["ticket_id"] for row in anybody.get("/api/tickets?q=router").json] == [ticket]


def test_messages_are_found_by_their_words_and_all_filters(agent: Caller) -> None:
    ana, ben = make_client().client_id, make_client().client_id
    chats = [make_conversation(client_id=client) for client in (ana, ben, ana)]
    ids = [make_message(chat, content=f"Niño {n}").message_id for n, chat in enumerate(chats)]
    make_message(chats[0], content="Hello")

    def found(query: str) -> list[int]:
        return [row["message_id"] for row in agent.get(f"/api/messages?{query}").json]

    assert found("q=nino") == ids[::-1]
    assert found(f"q=nino&client_id={ana}") == [ids[2], ids[0]]
    assert found(f"q=nino&client_id={ana},{ben}&limit=2") == [ids[2], ids[1]]
    assert found(f"q=nino&conversation_id={chats[1].conversation_id}") == [ids[1]]
    assert found("q=nino&sender=bot") == []
    assert found("q=nino&created_since=2199-01-01T00:00:00Z") == []


def test_one_search_finds_tickets_messages_and_clients(agent: Caller) -> None:
    client = make_client(full_name="Niño Router").client_id
    ids = [make_ticket(client, subject=f"Router {n}").ticket_id for n in range(12)]
    message = make_message(make_conversation(client_id=client), content="My router").message_id

    found = agent.get("/api/search?q=router").json

    assert [row["ticket_id"] for row in found["tickets"]] == ids[:1:-1]
    assert [row["message_id"] for row in found["messages"]] == [message]
    assert [row["client_id"] for row in found["clients"]] == [client]
    assert found["tickets"][0] == agent.get(f"/api/tickets/{ids[-1]}").json


@pytest.mark.parametrize("query", ["3", "%233", "+%233+"])
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_a_ticket_is_found_first_by_its_number(agent: Caller, query: str, limit: int) -> None:
    for subject in ("Room 3", "Room 4", "Number", "3 rooms", "3"):
        make_ticket(subject=subject)
    url = f"/api/tickets?q={query}"

    for follow in (walk, walk_back):
        rows = follow(agent, f"{url}&limit={limit}")
        assert [row["ticket_id"] for row in rows] == [3, 5, 4, 1]
    assert [row["ticket_id"] for row in agent.get(f"{url}&offset=1").json] == [5, 4, 1]
    counted = agent.get(f"{url}&limit=2", headers={"Prefer": "count=exact"})
    assert counted.headers["X-Total-Count"] == "4"
    assert agent.get(f"{url}&status=cerrado").json == []
    assert agent.get(f"{url}&ticket_id=4,5").json[0]["ticket_id"] == 5
    assert agent.get(f"{url}&include=client,match").json[0]["match"] is None
    assert agent.get("/api/search?q=3").json["tickets"][0]["ticket_id"] == 3


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("sort", [*SORTED_BY, "priority,-due_at", "due_at,updated_at"])
@pytest.mark.parametrize("most", [2, 20])
def test_a_ticket_is_found_first_by_its_number_in_every_order(
    agent: Caller, sign: str, sort: str, most: int
) -> None:
    for number in range(6):
        due_at = utcnow() if number % 2 else None
        make_ticket(subject="Room 3", priority=PRIORITIES[number % 3], due_at=due_at)
    order = f"sort={sign}{sort}"

    with looking_at([most] * 5):
        url = f"/api/tickets?q=3&limit=2&{order}"
        forwards, back = walk(agent, url), walk_back(agent, url)

    rows = agent.get(f"/api/tickets?q=room&{order}").json
    assert forwards == sorted(rows, key=lambda row: row["ticket_id"] != 3)
    assert back == forwards


@pytest.mark.parametrize("query", ["9999999999", "2147483648", "0", "#12345678901", "٣", "3 rooms"])
def test_other_numbers_are_words(agent: Caller, query: str) -> None:
    make_ticket()

    assert agent.get("/api/tickets", query_string={"q": query}).json == []


def test_a_match_tells_where_a_row_says_it(agent: Caller) -> None:
    ticket = make_ticket(subject="My printer", description="The Niño printer").ticket_id
    for body in ("It is not nino's", "It is nino's router", "The router is nino's"):
        make_comment(ticket_id=ticket, user_id=agent.user.user_id, body=body)
    make_message(make_conversation(), content="Nino?")

    def match(path: str) -> Any:
        (row,) = agent.get(path).json
        return row["match"]

    assert match("/api/tickets?include=etag,match&q=nino") == {
        "field": "description",
        "text": "The Niño printer",
        "ranges": [[4, 8]],
    }
    assert match("/api/tickets?include=match,client&q=nino+rout") == {
        "field": "comment",
        "text": "It is nino's router",
        "ranges": [[6, 10], [13, 19]],
    }
    assert match("/api/messages?include=match&q=nino") == {
        "field": "content",
        "text": "Nino?",
        "ranges": [[0, 4]],
    }


def test_a_match_shows_a_comment_to_those_who_may_read_it(admin: Caller, anybody: Caller) -> None:
    ticket = make_ticket(subject="Router").ticket_id
    body = f"Secret of {ticket}"
    make_comment(ticket_id=ticket, user_id=admin.user.user_id, body=body)
    callers: list[tuple[Caller, dict[str, str], str | None]] = [
        (anybody, {}, None),
        (admin, {}, body),
        (anybody, token_of(admin, "tickets:read"), None),
        (anybody, token_of(admin, "tickets:read", "comments:read"), body),
    ]

    for caller, headers, shown in callers:
        for query in (f"{ticket}", f"%23{ticket}"):  # which finds the ticket by its number
            (row,) = caller.get(f"/api/tickets?q={query}&include=match", headers=headers).json
            assert (row["match"] and row["match"]["text"]) == shown


def test_a_match_needs_a_query(agent: Caller) -> None:
    answer = agent.get("/api/tickets?include=match")

    assert (answer.status_code, [*answer.json["errors"]]) == (400, ["include"])


@on_sqlite
@pytest.mark.parametrize("path", ["/api/tickets", "/api/messages", "/api/search"])
@pytest.mark.parametrize("query", ["", " ", "%2C.-", "%22%22", "x" * 201, "+".join("abcdefghijk")])
def test_a_query_without_words_or_with_too_many_is_refused(
    agent: Caller, path: str, query: str
) -> None:
    answer = agent.get(f"{path}?q={query}")

    assert (answer.status_code, [*answer.json["errors"]]) == (400, ["q"])


@pytest.mark.parametrize("path", ["tickets", "messages", "clients", "search"])
def test_a_query_is_told_that_it_has_no_word(agent: Caller, path: str) -> None:
    answer = agent.get(f"/api/{path}", query_string={"q": "\U0001f525 %"})

    assert answer.status_code == 400
    assert answer.json["errors"] == {"q": ["There is no word in it: no letter and no digit."]}


@pytest.mark.slow
def test_any_text_is_answered(agent: Caller) -> None:
    make_message(make_conversation(), content=make_ticket().subject)
    paths = ("tickets", "messages", "clients", "users", "search")
    asked = random_texts(10_000 if db.engine.name == "sqlite" else 1_000)

    for number, text in enumerate(asked):
        query = quote(text.encode(errors="surrogatepass"))
        answer = agent.get(f"/api/{paths[number % 5]}?q={query}")
        assert answer.status_code in (200, 400), text
