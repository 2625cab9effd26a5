"""Tags: one at a time, so that two people do not overwrite each other's list."""

import re
from typing import Any

import pytest
import requests
from sqlalchemy import select

from omnidesk.db import db
from omnidesk.db.change_log import Change
from tests.conftest import Caller, make_client, make_tag, make_ticket, on_sqlite, version


@pytest.fixture
def path(app: Any) -> str:
    """The address of a ticket."""
    return f"/api/tickets/{make_ticket().ticket_id}"


def test_a_new_ticket_has_no_tags(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "subject": "Help"}

    answer = agent.post("/api/tickets", json=body)

    assert answer.json["tags"] == []
    assert list(answer.json)[9:12] == ["assigned_to", "tags", "updated_at"], "behind the contract's"


def test_a_ticket_shows_its_tags_in_the_order_of_their_letters(agent: Caller, path: str) -> None:
    for tag in ("vip", "2fa", "bug-7", "bug:7", "bug"):
        answer = agent.put(f"{path}/tags/{tag}")

    assert answer.status_code == 200
    assert answer.json["tags"] == ["2fa", "bug", "bug-7", "bug:7", "vip"]
    assert answer.json == agent.get(path).json == agent.get("/api/tickets").json[0]
    assert answer.headers["ETag"] == agent.get(path).headers["ETag"]
    assert version(answer) == 6


def test_a_tag_put_twice_is_there_once(agent: Caller, path: str) -> None:
    first, second = (agent.put(f"{path}/tags/vip") for _ in range(2))

    assert (second.status_code, second.json) == (200, first.json)
    assert second.headers["ETag"] == first.headers["ETag"]
    assert len(agent.get(f"{path}/history").json) == 2


def test_a_tag_is_taken_off_and_once_more_changes_nothing(agent: Caller, path: str) -> None:
    agent.put(f"{path}/tags/bug")
    agent.put(f"{path}/tags/vip")

    first, second = (agent.delete(f"{path}/tags/bug") for _ in range(2))

    assert (first.status_code, first.json["tags"]) == (200, ["vip"])
    assert (second.status_code, second.json) == (200, first.json)
    assert second.headers["ETag"] == first.headers["ETag"]


def test_the_history_says_who_tagged_a_ticket(agent: Caller, path: str) -> None:
    agent.put(f"{path}/tags/bug")
    agent.put(f"{path}/tags/vip")

    newest, *_ = agent.get(f"{path}/history").json

    assert newest["actor"] == agent.user.user_id
    shown = newest["before"]["tags"], newest["after"]["tags"]
    assert shown == (["bug"], ["bug", "vip"])


def test_tags_are_counted_and_gone_with_their_last_ticket(agent: Caller, path: str) -> None:
    make_tag(make_ticket(), "vip")
    agent.put(f"{path}/tags/vip")
    agent.put(f"{path}/tags/bug")
    two = agent.get("/api/tags")

    agent.delete(f"{path}/tags/bug")
    agent.delete(f"{path}/tags/vip")
    one = agent.get("/api/tags", headers={"If-None-Match": two.headers["ETag"]})

    assert two.json == [{"tag": "bug", "tickets": 1}, {"tag": "vip", "tickets": 2}]
    assert one.json == [{"tag": "vip", "tickets": 1}]
    same = agent.get("/api/tags", headers={"If-None-Match": one.headers["ETag"]})
    assert same.status_code == 304


def test_tags_are_followed_by_links_in_both_directions(agent: Caller) -> None:
    ticket = make_ticket()
    tags = ["a", "a-b", "a:b", "b", "z"]
    for tag in tags:
        make_tag(ticket, tag)

    pages, answer = [], agent.get("/api/tags?limit=2")
    while True:
        pages.append([row["tag"] for row in answer.json])
        following = re.search('<([^>]*)>; rel="next"', answer.headers["Link"])
        if not following:
            break
        answer = agent.get(following[1])
    (before,) = re.findall('<([^>]*)>; rel="prev"', answer.headers["Link"])

    assert pages == [["a", "a-b"], ["a:b", "b"], ["z"]]
    assert [row["tag"] for row in agent.get(before).json] == ["a:b", "b"]


@pytest.mark.parametrize("cursor", ["vip", "a", "a.", "c.vip", "a. ", "a00000064", "a." + 51 * "x"])
def test_an_invalid_cursor_of_tags_is_400(agent: Caller, cursor: str) -> None:
    answer = agent.get("/api/tags", query_string={"cursor": cursor})

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["cursor"])


def test_tickets_are_found_by_tag_and_other_filters(agent: Caller) -> None:
    client_id = make_client().client_id
    tickets = [make_ticket(client_id, priority=("alta", "baja")[n % 2]) for n in range(6)]
    for ticket in tickets[1:]:
        make_tag(ticket, "vip")
    make_tag(tickets[0], "bug")

    def found(query: str) -> list[int]:
        return [ticket["ticket_id"] for ticket in agent.get(f"/api/tickets?{query}").json]

    assert found("tag=vip") == [6, 5, 4, 3, 2]
    assert found("tag=vip&priority=alta") == [5, 3]
    assert found(f"tag=bug&client_id={client_id}") == [1]
    assert found("tag=none") == []
    page = agent.get("/api/tickets?tag=vip&limit=2", headers={"Prefer": "count=exact"})
    assert page.headers["X-Total-Count"] == "5"
    (following,) = re.findall('<([^>]*)>; rel="next"', page.headers["Link"])
    assert [ticket["ticket_id"] for ticket in agent.get(following).json] == [4, 3]
    assert found("tag=vip&limit=2&offset=3") == [3, 2]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("VIP", "vip"),
        ("facturación", "facturación"),
        ("FACTURACIO\u0301N", "facturación"),
        ("Año-Nuevo", "año-nuevo"),
        ("Жалоба", "жалоба"),
        ("परीक्षा", "परीक्षा"),
        ("緊急", "緊急"),
        ("٣", "٣"),
        ("x" * 50, "x" * 50),
        ("E\u0301" * 50, "é" * 50),
        ("İ" * 25, "i\u0307" * 25),
    ],
)
def test_a_tag_has_one_form(agent: Caller, path: str, given: str, stored: str) -> None:
    for tag in (given, stored):
        answer = agent.put(f"{path}/tags/{tag}")
        found = agent.get("/api/tickets", query_string={"tag": given}).json

        assert (answer.status_code, answer.json["tags"]) == (200, [stored])
        assert [ticket["tags"] for ticket in found] == [[stored]]
    assert agent.get("/api/tags").json == [{"tag": stored, "tickets": 1}]
    assert agent.delete(f"{path}/tags/{given}").json["tags"] == []


def test_tags_of_any_script_are_followed_by_links(agent: Caller) -> None:
    ticket = make_ticket()
    tags = ["a", "z", "ñ", "ж", "緊急", "𐐨"]
    for tag in tags:
        make_tag(ticket, tag)

    pages, answer = [], agent.get("/api/tags?limit=1")
    while following := re.search('<([^>]*)>; rel="next"', answer.headers["Link"]):
        assert answer.headers["Link"].isascii()
        pages += [row["tag"] for row in answer.json]
        answer = agent.get(following[1])

    assert pages + [row["tag"] for row in answer.json] == tags


def test_a_page_that_ends_at_a_tag_of_any_script_is_served(server: str, agent: Caller) -> None:
    ticket = make_ticket()
    for tag in ("ñ", "緊急", "𐐨"):
        make_tag(ticket, tag)

    pages, link = [], "/api/tags?limit=1"
    while link:
        answer = requests.get(server + link, headers=agent.headers, timeout=10)
        assert answer.status_code == 200
        pages += [row["tag"] for row in answer.json()]
        link = answer.links.get("next", {}).get("url", "")

    assert pages == ["ñ", "緊急", "𐐨"]


@on_sqlite
@pytest.mark.parametrize("method", ["put", "delete"])
@pytest.mark.parametrize(
    "tag",
    [
        *("-vip", "a b", "%F0%9F%94%91", "x" * 51, "a%0A", "a%CC%81" * 26 + "x" * 25),
        *("\u0301a", "a\u200b", "a\ufe0f", "a\u200d", "½", "a%FF", "\u3164", "İ" * 26, "x" * 9000),
    ],
)
def test_an_invalid_tag_is_refused(agent: Caller, path: str, method: str, tag: str) -> None:
    answer = getattr(agent, method)(f"{path}/tags/{tag}")

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["tag"])


@pytest.mark.parametrize("query", ["tag=VIP!", "tag=", "tag=a%00", "tag=a&tag=b", "tag=%FF"])
def test_a_filter_that_is_no_tag_is_refused_by_name(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/tickets?{query}")

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["tag"])


@pytest.mark.parametrize("method", ["put", "delete"])
def test_a_tag_is_refused_without_a_token_or_with_an_old_etag(
    agent: Caller, anybody: Caller, path: str, method: str
) -> None:
    log = len(db.session.scalars(select(Change)).all())
    db.session.rollback()
    old = {"If-Match": agent.get(path).headers["ETag"]}
    agent.put(f"{path}/tags/bug")

    refused = [
        getattr(anybody, method)(f"{path}/tags/vip"),
        getattr(agent, method)("/api/tickets/424242/tags/vip"),
        getattr(agent, method)(f"{path}/tags/"),
        getattr(agent, method)(f"{path}/tags/a/b"),
        getattr(agent, method)(f"{path}/tags/vip?x=1"),
        getattr(agent, method)(f"{path}/tags/bug", headers=old),
    ]

    assert [answer.status_code for answer in refused] == [401, 404, 404, 404, 400, 412]
    assert refused[-1].json["current"]["tags"] == ["bug"]
    assert len(db.session.scalars(select(Change)).all()) == log + 1
    db.session.rollback()


@pytest.mark.parametrize(("method", "below"), [("post", ""), ("patch", "/1")])
def test_a_list_of_tags_is_refused(agent: Caller, path: str, method: str, below: str) -> None:
    body = {"client_id": 1, "subject": "Help", "tags": ["vip"]}

    answer = getattr(agent, method)(f"/api/tickets{below}", json=body)

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["tags"])
