"""The feed to live by: from where it begins, whose changes and of what, and when it is 304."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from omnidesk.changes.schemas import MAX_ACTORS
from omnidesk.db import db
from omnidesk.db.change_log import ENTITIES, Change
from omnidesk.db.feed_start import start_anew
from omnidesk.http.sources import MAX_PARTS
from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    make_user,
    on_postgresql,
    recorded_statements,
)
from tests.test_change_log import Connect, add, connect, take_number
from tests.test_changes import changes

__all__ = ["connect"]
TEN = datetime(2025, 11, 1, 10, tzinfo=UTC)


def next_link(answer: Any) -> str:
    """Return the link to the next page."""
    (url,) = re.findall('<([^>]*)>; rel="next"', answer.headers["Link"])
    return str(url)


def seqs(found: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of changes."""
    return [change["seq"] for change in found]


def make_at(*times: datetime) -> list[int]:
    """Store a change made at each time, and nothing else in the log; return their numbers."""
    for _ in times:
        make_client()
    rows = db.session.scalars(Change.of("client").order_by(Change.seq)).all()
    for row, time in zip(rows, times, strict=True):
        db.session.execute(update(Change).where(Change.seq == row.seq).values(at=time))
    db.session.commit()
    return [row.seq for row in rows]


def test_the_feed_from_latest_on_has_what_is_changed_from_now_on(agent: Caller) -> None:
    make_client(full_name="Old")

    now = agent.get("/api/changes?after=latest&limit=7&entity=client")
    make_client(full_name="New")
    later = agent.get(next_link(now))

    assert (now.status_code, now.json) == (200, [])
    assert [change["after"]["full_name"] for change in later.json] == ["New"]
    assert agent.get(next_link(later)).json == []


def test_the_feed_of_an_empty_log_begins_with_the_first_change(admin: Caller) -> None:
    db.session.execute(Change.__table__.delete())
    db.session.commit()

    now = admin.get("/api/changes?after=latest")
    make_client(full_name="First")

    assert now.json == []
    assert [c["after"]["full_name"] for c in admin.get(next_link(now)).json] == ["First"]


def test_latest_after_a_restore_is_no_lost_position(agent: Caller) -> None:
    make_client(full_name="Old")
    with db.engine.begin() as connection:
        start_anew(connection)

    now = agent.get("/api/changes?after=latest")
    make_client(full_name="New")

    assert now.status_code == 200
    assert [c["after"]["full_name"] for c in agent.get(next_link(now)).json] == ["New"]


@on_postgresql
def test_what_is_committed_late_follows_latest(connect: Connect, agent: Caller) -> None:
    early, late = connect(), connect()
    add(early, "early")
    add(late, "late")
    late.commit()

    now = agent.get("/api/changes?after=latest&entity=client")
    early.commit()

    found = agent.get(next_link(now)).json
    assert (now.json, [c["after"]["full_name"] for c in found]) == ([], ["early", "late"])


def test_since_has_the_changes_made_at_a_time_or_later(agent: Caller) -> None:
    made = make_at(*(TEN + timedelta(hours=hours) for hours in range(4)))

    def since(text: str) -> list[int]:
        return seqs(changes(agent, f"entity=client&since={text}"))

    assert since("2025-11-01T00:00:00Z") == made
    assert since("2025-11-01T11:00:00Z") == made[1:]
    assert since("2025-11-01T12:00:01Z") == since("2025-11-01T14:00:00%2B01:00") == made[3:]
    assert since("2025-11-01T13:00:01Z") == []


def test_since_finds_changes_whose_times_are_out_of_order(agent: Caller) -> None:
    step = timedelta(seconds=20)
    made = make_at(TEN, TEN + 2 * step, TEN + step, TEN + 3 * step)

    found = changes(agent, "entity=client&since=2025-11-01T10:00:20Z")

    assert seqs(found) == made[1:]


def test_since_and_after_hold_together(agent: Caller) -> None:
    made = make_at(*(TEN + timedelta(hours=hours) for hours in range(4)))

    for number in range(4):
        query = f"entity=client&since=2025-11-01T11:00:00Z&after={made[number]}"
        assert seqs(changes(agent, query)) == made[max(1, number + 1) :]


def test_a_time_before_the_start_of_the_feed_is_no_lost_position(agent: Caller) -> None:
    make_at(TEN)
    with db.engine.begin() as connection:
        start_anew(connection)
    make_client(full_name="New")

    found = agent.get("/api/changes?since=2025-11-01T00:00:00Z")

    assert [change["after"]["full_name"] for change in found.json] == ["New"]
    gone = agent.get("/api/changes?since=2025-11-01T00:00:00Z&after=0")
    assert (gone.status_code, list(gone.json["errors"])) == (410, ["after"])


@on_postgresql
def test_since_finds_what_was_made_after_another_change_and_comes_before_it(
    connect: Connect, agent: Caller
) -> None:
    early, late = connect(), connect()
    take_number(early)
    add(late, "late")
    add(early, "early")
    late.commit()
    early.commit()
    for row_id, time in ((1, TEN), (2, TEN + timedelta(seconds=10))):
        row = Change.entity_id == row_id
        db.session.execute(update(Change).where(row, Change.entity == "client").values(at=time))
    db.session.commit()

    def since(text: str) -> list[str]:
        found = agent.get(f"/api/changes?entity=client&since={text}").json
        return [change["after"]["full_name"] for change in found]

    assert since("2025-11-01T10:00:00Z") == ["early", "late"]
    assert since("2025-11-01T10:00:05Z") == ["early"]


def test_the_changes_of_some_users_are_found(admin: Caller, agent: Caller) -> None:
    for caller in (agent, admin):
        caller.post("/api/clients", json={"full_name": "Ada"})
    admin.post("/api/clients", json={"full_name": "Bob"})
    mine = admin.get("/api/changes?actor=me").json
    one = agent.user.user_id

    assert [change["actor"] for change in mine] == [admin.user.user_id] * 2
    assert admin.get(f"/api/changes?actor={one},me").json == changes(admin, f"actor=me,{one}")
    assert len(changes(admin, f"actor=me,{one}")) == 3
    assert admin.get("/api/changes?actor=424242").json == []


def test_the_changes_of_several_entities_come_in_one_order(agent: Caller) -> None:
    ticket = make_ticket()
    make_message(make_conversation())
    for subject in "abc":
        agent.patch(f"/api/tickets/{ticket.ticket_id}", json={"subject": subject})
        make_event()

    found = changes(agent, "entity=event,ticket,message")

    whole = [c for c in changes(agent) if c["entity"] in ("event", "ticket", "message")]
    assert found == whole
    assert {change["entity"] for change in found} == {"event", "ticket", "message"}


def test_all_filters_hold_together(admin: Caller, agent: Caller) -> None:
    for caller in (agent, admin):
        for number in range(3):
            made = caller.post("/api/clients", json={"full_name": f"Ada {number}"}).json
            caller.post("/api/tickets", json={"client_id": made["client_id"], "subject": "x"})
            make_user(f"user-{caller.user.user_id}-{number}")
    after = seqs(changes(admin, "actor=me"))[1]

    query = f"actor=me,{agent.user.user_id}&entity=client,ticket&since=2025-01-01T00:00:00Z"
    found = changes(admin, f"{query}&after={after}")

    whole = [c for c in changes(admin) if c["actor"] and c["seq"] > after]
    assert found == whole
    assert len(found) == 4


def test_pages_of_several_entities_lead_back_the_way_they_came(agent: Caller) -> None:
    for _ in range(3):
        make_ticket()
    url = "/api/changes?entity=client,ticket&limit=2"

    pages, answer = [], agent.get(url)
    while answer.json:
        pages.append(seqs(answer.json))
        answer = agent.get(next_link(answer))
    (back,) = re.findall('<([^>]*)>; rel="prev"', answer.headers["Link"])

    assert [len(page) for page in pages] == [2, 2, 2]
    assert seqs(agent.get(back).json) == pages[-1]
    assert seqs(agent.get(f"{url}&offset=2").json) == pages[1]


def test_no_filter_shows_what_a_caller_may_not_read(agent: Caller, admin: Caller) -> None:
    admin.patch(f"/api/users/{agent.user.user_id}", json={"full_name": "New"})
    one = admin.user.user_id
    admin.post("/api/clients", json={"full_name": "Ada"})

    for query in (f"actor={one}", f"actor={one},me", "since=2025-01-01T00:00:00Z"):
        assert {c["entity"] for c in changes(agent, query)} == {"client"}, query
    for query in ("entity=user", f"entity=user&actor={one}", "entity=user,comment"):
        assert changes(agent, query) == [], query


@pytest.mark.parametrize(
    "query",
    [
        *("after=last", "after=latest,1", "after=-1", "after=2147483648", "after="),
        *("since=x", "since=2025-11-01", "since=2025-11-01T10:00:00", "since=1969-01-01T00:00:00Z"),
        *("actor=0", "actor=x", "actor=none", "actor=1,", "actor=1,2,3,4,5", "actor=me,you"),
        *("entity=ticket,", "entity=ticket,tickets", "entity=", "entity=all"),
        *("wait=-1", "wait=26", "wait=1.5", "wait=x", "wait="),
    ],
)
def test_a_query_with_a_fault_is_refused_by_name(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/changes?{query}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [query.partition("=")[0]]


def test_each_actor_and_entity_has_a_part_of_the_feed() -> None:
    assert MAX_ACTORS * len(ENTITIES) <= MAX_PARTS


@pytest.mark.parametrize(
    ("query", "changed"),
    [
        ("entity=ticket", False),
        ("entity=ticket,event", False),
        ("entity=ticket,client", True),
        ("entity=client", True),
        ("actor=me", True),
        ("since=2025-01-01T00:00:00Z", True),
        ("after=0", True),
    ],
)
def test_a_feed_is_304_until_a_row_of_its_entities_changes(
    agent: Caller, query: str, *, changed: bool
) -> None:
    make_ticket()
    url = f"/api/changes?{query}"
    tag = {"If-None-Match": agent.get(url).headers["ETag"]}
    assert agent.get(url, headers=tag).status_code == 304

    make_client()

    assert (agent.get(url, headers=tag).status_code == 200) == changed
    make_ticket(1)
    assert (agent.get(url, headers=tag).status_code == 200) == (changed or "ticket" in query)


def test_the_end_of_the_feed_is_304_until_it_goes_on(agent: Caller) -> None:
    make_client()
    url = next_link(agent.get("/api/changes?after=latest"))
    empty = agent.get(url)
    tag = {"If-None-Match": empty.headers["ETag"]}

    with recorded_statements() as statements:
        idle = agent.get(url, headers=tag)
    make_client(full_name="New")
    news = agent.get(url, headers=tag)

    assert (empty.json, idle.status_code) == ([], 304)
    assert len(statements) == 2, "of the token, and of the last change"
    assert [change["after"]["full_name"] for change in news.json] == ["New"]
