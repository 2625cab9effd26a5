"""What all lists have in common: pages, their neighbours, and counts that are asked for."""

import re
from typing import Any

import pytest

from tests.conftest import Caller, make_client, make_conversation, make_message, make_ticket

LISTS = [
    "/api/events",
    "/api/tickets",
    "/api/users",
    "/api/clients",
    "/api/conversations",
    "/api/conversations/1/messages",
]


def links(answer: Any) -> dict[str, str]:
    """Give the addresses in the Link header by their relation."""
    found = re.findall('<([^>]*)>; rel="([^"]*)"', answer.headers.get("Link", ""))
    return {rel: url for url, rel in found}


def ids(answer: Any) -> list[int]:
    """Give the ids of the tickets in an answer."""
    return [ticket["ticket_id"] for ticket in answer.json]


@pytest.fixture
def tickets(app: Any) -> list[int]:
    """Five tickets of one client's, newest first."""
    client_id = make_client().client_id
    return [make_ticket(client_id).ticket_id for _ in range(5)][::-1]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_is_a_bare_array(agent: Caller, path: str) -> None:
    make_message(make_conversation())

    answer = agent.get(path)

    assert answer.status_code == 200
    assert isinstance(answer.json, list)
    assert "Link" not in answer.headers
    assert "X-Total-Count" not in answer.headers


def test_fifty_rows_are_sent_unless_asked_otherwise(agent: Caller) -> None:
    client_id = make_client().client_id
    for _ in range(51):
        make_ticket(client_id)

    assert len(ids(agent.get("/api/tickets"))) == 50
    assert len(ids(agent.get("/api/tickets?limit=200"))) == 51


def test_a_page_leads_to_its_neighbours(agent: Caller, tickets: list[int]) -> None:
    first = agent.get("/api/tickets?limit=2&status=abierto")
    second = agent.get(links(first)["next"])
    third = agent.get(links(second)["next"])

    assert ids(first) + ids(second) + ids(third) == tickets
    assert links(first) == {"next": "/api/tickets?limit=2&status=abierto&offset=2"}
    assert links(third) == {"prev": "/api/tickets?limit=2&status=abierto&offset=2"}
    assert agent.get(links(second)["prev"]).json == first.json


def test_other_parameters_are_kept_as_they_were_given(agent: Caller) -> None:
    query = "start=2025-11-01T00:00:00%2B02:00&offset=1"

    prev = links(agent.get(f"/api/events?{query}"))["prev"]

    assert agent.get(prev).status_code == 200
    assert "start=2025-11-01T00:00:00%2B02:00" in prev.replace("%3A", ":")


def test_a_nested_list_leads_on_too(agent: Caller) -> None:
    conversation = make_conversation()
    sent = [make_message(conversation).message_id for _ in range(2)]

    first = agent.get(f"/api/conversations/{conversation.conversation_id}/messages?limit=1")
    second = agent.get(links(first)["next"])

    assert [first.json[0]["message_id"], second.json[0]["message_id"]] == sent


def test_the_total_is_counted_when_it_is_asked_for(agent: Caller, tickets: list[int]) -> None:
    make_ticket(status="cerrado")
    count = {"Prefer": "count=exact"}

    answer = agent.get("/api/tickets?limit=2&status=abierto", headers=count)

    assert answer.headers["X-Total-Count"] == "5"
    assert answer.headers["Preference-Applied"] == "count=exact"
    past_the_end = agent.get("/api/tickets?offset=1000", headers=count)
    assert past_the_end.json == []
    assert past_the_end.headers["X-Total-Count"] == "6"


@pytest.mark.parametrize("prefer", ["", "count", "count=planned", "=", ",;=", "\xff", '"'])
def test_any_other_preference_is_ignored(agent: Caller, prefer: str) -> None:
    answer = agent.get("/api/tickets", headers={"Prefer": prefer})

    assert answer.status_code == 200
    assert "X-Total-Count" not in answer.headers


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", ""),
        ("limit", "x"),
        ("limit", "1e2"),
        ("limit", "+5"),
        ("limit", "5.0"),
        ("limit", "1&limit=2"),
        ("offset", "-1"),
        ("offset", "9223372036854775808"),
        ("offset", "9" * 30),
        ("offset", "1&offset=1"),
        ("page", "2"),
    ],
)
def test_a_page_with_a_fault_is_refused_by_name(
    agent: Caller, path: str, name: str, value: str
) -> None:
    answer = agent.get(f"{path}?{name}={value}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [name]


@pytest.mark.parametrize("offset", [10**12, 2**53 - 1])
def test_a_page_far_past_the_end_is_empty(agent: Caller, offset: int) -> None:
    assert agent.get(f"/api/tickets?offset={offset}").json == []


def test_old_rows_keep_their_order_while_new_ones_come(agent: Caller) -> None:
    old = [make_client().client_id for _ in range(6)]
    seen = []

    for offset in (0, 2, 4):
        seen += [c["client_id"] for c in agent.get(f"/api/clients?limit=2&offset={offset}").json]
        make_client()

    assert seen == old


def test_a_misspelt_parameter_is_told_the_right_one(agent: Caller) -> None:
    errors = agent.get("/api/tickets?stauts=abierto").json["errors"]

    assert errors == {"stauts": ["Unknown field. Did you mean 'status'?"]}
