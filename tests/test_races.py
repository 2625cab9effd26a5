"""Concurrent changes, against real gunicorn with two workers: no change is lost."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import requests
from sqlalchemy import select

from omnidesk.comments.models import Comment
from omnidesk.db import Filters, db
from omnidesk.db.change_log import Change
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_event,
    make_ticket,
    make_user,
    version,
)
from tests.servers import run_concurrently

HELP = {"subject": "Help"}


def ask(method: str, url: str, caller: Caller, body: Any = None, **headers: str) -> Any:
    """Return the response of a real server."""
    headers = caller.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.request(method, url, json=body, headers=headers, timeout=30)


def patching(url: str, caller: Caller, changes: list[Any]) -> Callable[[int], Any]:
    """Return a function that makes one of several changes, None being to delete the row."""
    return lambda n: ask("PATCH" if changes[n] else "DELETE", url, caller, changes[n])


def test_two_who_change_different_fields_both_succeed(server: str, agent: Caller) -> None:
    for number in range(10):
        url = f"{server}/api/tickets/{make_ticket().ticket_id}"
        changes = [{"subject": f"New {number}"}, {"description": "More"}, {"priority": "alta"}]

        answers = run_concurrently(3, patching(url, agent, changes))

        assert [answer.status_code for answer in answers] == [200] * 3
        row = ask("GET", url, agent)
        assert (changes[0] | changes[1] | changes[2]).items() <= row.json().items()
        assert version(row) == 4


def test_no_tag_of_24_concurrent_ones_is_lost(server: str, agent: Caller) -> None:
    urls = [f"{server}/api/tickets/{make_ticket().ticket_id}" for _ in range(2)]
    tags = [f"tag-{number}" for number in range(6)]

    def put(n: int) -> Any:
        return ask("PUT", f"{urls[n % 2]}/tags/{tags[n // 2 % 6]}", agent)

    answers = run_concurrently(24, put)  # each tag on each ticket, twice

    assert {answer.status_code for answer in answers} == {200}
    assert [ask("GET", url, agent).json()["tags"] for url in urls] == [tags, tags]
    counts = ask("GET", f"{server}/api/tags", agent).json()
    assert counts == [{"tag": tag, "tickets": 2} for tag in tags]


def test_a_tag_that_meets_a_change_of_its_ticket_is_found_by_it(server: str, agent: Caller) -> None:
    url = f"{server}/api/tickets/{make_ticket().ticket_id}"
    for number, priority in enumerate(("alta", "media", "baja") * 4):
        tag, body = f"tag-{number}", {"priority": priority}

        def put_or_patch(n: int, tag: str = tag, body: Any = body) -> int:
            call = ("PATCH", url, agent, body) if n else ("PUT", f"{url}/tags/{tag}", agent)
            return int(ask(*call).status_code)

        assert run_concurrently(2, put_or_patch) == [200, 200]
        found = ask("GET", f"{server}/api/tickets?tag={tag}&priority={priority}", agent)
        assert len(found.json()) == 1


def test_comments_that_meet_changes_of_their_ticket_are_all_made(
    server: str, agent: Caller
) -> None:
    ids = [make_ticket().ticket_id for _ in range(2)]
    url = f"{server}/api/tickets/{ids[0]}"
    new = ("POST", f"{url}/comments", agent, {"body": "New"})
    for number in range(8):
        edited, gone = (server + ask(*new).headers["Location"] for _ in range(2))
        body = {"subject": f"Number {number}"}
        calls: list[tuple[Any, ...]] = [
            *(new, new),
            ("PATCH", edited, agent, {"body": "Other"}),
            ("DELETE", gone, agent),
            ("PATCH", url, agent, {"description": f"Number {number}"}),
            ("PATCH", f"{server}/api/tickets", agent, {"ticket_ids": ids[::-1], "set": body}),
            ("PUT", f"{url}/tags/tag-{number}", agent),
        ]

        def call(n: int, calls: list[tuple[Any, ...]] = calls) -> int:
            return int(ask(*calls[n]).status_code)

        statuses = run_concurrently(len(calls), call)

        assert sorted(statuses) == [200, 200, 200, 200, 201, 201, 204]
    changes = ask("GET", f"{url}/history?limit=200", agent).json()
    assert version(ask("GET", url, agent)) == len(changes)


def test_comments_and_events_go_with_their_ticket_to_another_client(
    server: str, agent: Caller
) -> None:
    clients = [make_client().client_id for _ in range(2)]
    tickets = [make_ticket(clients[0]).ticket_id for _ in range(2)]
    first, second = (f"{server}/api/tickets/{ticket_id}" for ticket_id in tickets)
    time = "2030-11-01T15:00:00Z"
    call = {"title": "Call", "start_time": time, "end_time": time, "ticket_id": tickets[0]}
    comment, new_event = ("POST", f"{first}/comments", {"body": "New"}), f"{server}/api/events"
    for number in range(20):
        edited, gone = (
            server + ask(*comment[:2], agent, comment[2]).headers["Location"] for _ in "ab"
        )
        event = server + ask("POST", new_event, agent, call).headers["Location"]
        here, there = clients[number % 2], clients[1 - number % 2]
        both = {"ticket_ids": tickets, "set": {"client_id": there}}
        calls: list[tuple[Any, ...]] = [
            comment,
            ("PATCH", edited, {"body": "Other"}),
            ("DELETE", gone),
            ("POST", new_event, call),
            ("PATCH", event, {"ticket_id": tickets[1]}),
            ("PATCH", event, {"title": "Other"}),
            ("PATCH", first, {"client_id": there}),
            ("PATCH", second, {"client_id": here}),
            ("PATCH", f"{server}/api/tickets", both),
        ]

        def act(n: int, calls: list[tuple[Any, ...]] = calls) -> int:
            method, url, *body = calls[n]
            return int(ask(method, url, agent, *body).status_code)

        statuses = run_concurrently(len(calls), act)

        assert sorted(statuses) == [*[200] * 6, 201, 201, 204]
        assert wrong_clients() == []


def wrong_clients() -> list[Any]:
    """Return the comments and events that have another client than their ticket."""
    found: list[Any] = []
    for entity in (Comment, Event):
        theirs = select(Ticket.client_id).where(Ticket.ticket_id == entity.ticket_id)
        wrong = entity.client_id.is_distinct_from(theirs.scalar_subquery())
        found += db.session.scalars(select(entity).where(wrong))
    db.session.rollback()
    return found


def test_of_ten_changes_with_one_etag_one_succeeds(server: str, agent: Caller) -> None:
    url = f"{server}/api/tickets/{make_ticket().ticket_id}"
    etag = ask("GET", url, agent).headers["ETag"]

    answers = run_concurrently(
        10, lambda n: ask("PATCH", url, agent, {"subject": f"Of {n}"}, If_Match=etag)
    )

    (winner,) = [answer for answer in answers if answer.status_code == 200]
    others = [answer for answer in answers if answer.status_code == 412]
    assert len(others) == 9
    assert {answer.json()["current"]["subject"] for answer in others} == {winner.json()["subject"]}


def test_a_change_of_a_row_that_is_being_deleted_is_404(server: str, agent: Caller) -> None:
    for _ in range(10):
        event = make_event(created_by=agent.user.user_id)
        url = f"{server}/api/events/{event.event_id}"
        changes = [None, {"title": "Moved"}, {"description": "More"}]

        answers = run_concurrently(3, patching(url, agent, changes))

        statuses = Counter(answer.status_code for answer in answers)
        assert statuses[204] == 1
        assert statuses[204] + statuses[200] + statuses[404] == 3
        assert ask("GET", url, agent).status_code == 404


def test_two_admins_cannot_both_demote_themselves(server: str, admin: Caller) -> None:
    for number in range(5):
        other = Caller(admin.app, make_user(f"admin-{number}", role="admin"))
        both = [admin, other]

        def leave(n: int, both: list[Caller] = both) -> int:
            url = f"{server}/api/users/{both[n].user.user_id}"
            return int(ask("PATCH", url, both[n], {"role": "empleado"}).status_code)

        assert sorted(run_concurrently(2, leave)) == [200, 409]
        users = ask("GET", f"{server}/api/users?role=admin", other).json()
        (left,) = users
        admin = admin if left["user_id"] == admin.user.user_id else other


def test_of_two_admins_who_demote_each_other_one_stays(server: str, admin: Caller) -> None:
    for number in range(10):
        other = Caller(admin.app, make_user(f"admin-{number}", role="admin"))
        both = [admin, other]

        def demote(n: int, both: list[Caller] = both) -> int:
            url = f"{server}/api/users/{both[1 - n].user.user_id}"
            return int(ask("PATCH", url, both[n], {"role": "empleado"}).status_code)

        # Who is demoted before they are asked who they are may not demote anybody.
        assert sorted(run_concurrently(2, demote)) in ([200, 403], [200, 409])
        (left,) = ask("GET", f"{server}/api/users?role=admin", other).json()
        admin = admin if left["user_id"] == admin.user.user_id else other


def test_a_reader_sees_every_change_of_eight_writers_once(server: str, admin: Caller) -> None:
    clients = [make_client().client_id for _ in range(8)]
    done = threading.Event()
    seen: list[int] = []

    def write(number: int) -> None:
        for _ in range(12):
            body = HELP | {"client_id": clients[number]}
            made = ask("POST", f"{server}/api/tickets", admin, body)
            assert made.status_code == 201
            url = server + made.headers["Location"]
            assert ask("PATCH", url, admin, {"status": "cerrado"}).status_code == 200

    def read() -> None:
        url = "/api/changes?limit=5"
        while True:
            last = done.is_set()
            answer = ask("GET", server + url, admin)
            seen.extend(change["seq"] for change in answer.json())
            (url,) = re.findall('<([^>]*)>; rel="next"', answer.headers["Link"])
            if last and not answer.json():
                return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        run_concurrently(8, write)
    finally:
        done.set()
        reader.join()

    assert len(seen) >= 8 * 12 * 2
    assert seen == [change.seq for change in db.session.scalars(Change.feed(Filters(), hidden=()))]
    db.session.rollback()


def test_one_user_logs_in_from_many_places(server: str, agent: Caller) -> None:
    body = {"username": agent.user.username, "password": PASSWORD}

    answers = run_concurrently(
        10, lambda _: requests.post(f"{server}/api/login", json=body, timeout=30)
    )

    assert [answer.status_code for answer in answers] == [200] * 10
