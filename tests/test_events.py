"""Events: what is in the calendar."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import Caller, make_event, make_ticket, on_sqlite

KEYS = ["event_id", "title", "description", "start_time", "end_time", "created_by", "ticket_id"]
DEMO = {
    "title": "Demo",
    "start_time": "2025-11-01T15:00:00Z",
    "end_time": "2025-11-01T15:30:00Z",
}


def post(caller: Caller, **fields: Any) -> Any:
    """Put an event into the calendar."""
    return caller.post("/api/events", json=DEMO | fields)


def test_a_new_event_is_its_creators(agent: Caller) -> None:
    ticket = make_ticket()

    answer = post(agent, description="Demo event", ticket_id=ticket.ticket_id)

    assert answer.status_code == 201
    assert list(answer.json) == KEYS
    assert answer.json["created_by"] == agent.user.user_id
    assert answer.json["ticket_id"] == ticket.ticket_id
    assert agent.get(answer.headers["Location"]).json == answer.json


@pytest.mark.parametrize("fields", [{}, {"ticket_id": None}, {"description": None}])
def test_an_event_needs_neither_ticket_nor_description(
    agent: Caller, fields: dict[str, None]
) -> None:
    assert post(agent, **fields).json["ticket_id"] is None


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2025-11-01T15:30:00Z", "2025-11-01T15:30:00Z"),
        ("2025-11-01T17:30:00+02:00", "2025-11-01T15:30:00Z"),
        ("2025-11-01T10:30:00-05:00", "2025-11-01T15:30:00Z"),
        ("2025-11-01T15:30:00.999999999Z", "2025-11-01T15:30:00Z"),
        ("2025-11-01 15:30:00Z", "2025-11-01T15:30:00Z"),
        ("20251101T153000Z", "2025-11-01T15:30:00Z"),
        ("2025-11-01t15:30:00z", "2025-11-01T15:30:00Z"),
        ("2025-11-01T15:30Z", "2025-11-01T15:30:00Z"),
        ("2025-11-01T17:30:00+02", "2025-11-01T15:30:00Z"),
        ("2025-11-01T15:00:00Z", "2025-11-01T15:00:00Z"),
    ],
)
def test_a_time_is_kept_in_utc_to_the_second(agent: Caller, given: str, stored: str) -> None:
    answer = post(agent, end_time=given)

    assert answer.status_code == 201
    assert agent.get(answer.headers["Location"]).json["end_time"] == stored


@on_sqlite
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        1761998400,
        "1761998400",
        "2025-11-01T15:30:00",
        "2025-11-01",
        "2025-02-30T15:30:00Z",
        "2025-11-01T24:00:01Z",
        "2016-12-31T23:59:60Z",
        "2025-11-01T15:30:00+99:99",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1969-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2025-11-01T15:30:00Z" + "0" * 5000,
        "2025-11-01T15:30:00Z\0junk",
        "2025-11-01T15:30:00\0Z",
        "2025-11-01T15:30:00Z\n",
        "2025-11-01X15:30:00Z",
        "2025-11-01\ud80015:30:00Z",
        "2025-11-01😀15:30:00Z",
        "2025-W44-6T15:30:00Z",
        "2025-11-01T15Z",
        "2025-11-01T15:30:00+02:00:30",
        "2025-1101T15:30:00Z",
        "２025-11-01T15:30:00Z",
        "now",
    ],
)
def test_a_time_with_a_fault_is_refused_by_name(agent: Caller, value: object) -> None:
    answer = post(agent, start_time=value)

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == ["start_time"]


def test_a_time_without_an_offset_is_shown_the_format(agent: Caller) -> None:
    errors = post(agent, start_time="2025-11-01T15:00:00").json["errors"]

    assert "2025-10-29T12:34:56Z" in errors["start_time"][0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("end_time", "2025-11-01T14:59:59Z"),
        ("end_time", "2035-11-01T15:00:00Z"),
        ("title", ""),
        ("title", "x" * 201),
        ("ticket_id", 424242),
        ("ticket_id", "7"),
        ("event_id", 1),
        ("created_by", 1),
        ("created_at", None),
    ],
)
def test_an_event_with_a_fault_is_refused_by_name(agent: Caller, field: str, value: object) -> None:
    answer = post(agent, **{field: value})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


def at(hour: int) -> datetime:
    """Return an hour of the first of November."""
    return datetime(2025, 11, 1, hour, tzinfo=UTC)


def found(caller: Caller, query: str = "") -> list[str]:
    """Return the titles of the events that a query finds."""
    return [event["title"] for event in caller.get(f"/api/events?{query}").json]


def test_events_are_listed_earliest_first(anybody: Caller) -> None:
    for title, hour in (("late", 9), ("early", 8), ("late too", 9)):
        make_event(title=title, start_time=at(hour), end_time=at(10))

    assert found(anybody) == ["early", "late", "late too"]


def test_a_window_holds_its_own_ends(anybody: Caller) -> None:
    make_event(title="in", start_time=at(8), end_time=at(9))
    make_event(title="out", start_time=at(7), end_time=at(10))

    assert found(anybody, "start=2025-11-01T08:00:00Z&end=2025-11-01T09:00:00Z") == ["in"]
    assert found(anybody, "start=2025-11-01T08:00:00Z") == ["in"]
    assert found(anybody, "end=2025-11-01T09:00:00Z") == ["in"]
    assert found(anybody, "start=2025-11-01T10:00:00%2B02:00&end=2025-11-01T09:00:00Z") == ["in"]
    assert found(anybody, "start=2025-12-01T00:00:00Z&end=2025-11-01T00:00:00Z") == []


def test_events_are_filtered(agent: Caller) -> None:
    ticket = make_ticket()
    make_event(title="mine", created_by=agent.user.user_id)
    make_event(title="its", ticket_id=ticket.ticket_id)

    assert found(agent, f"created_by={agent.user.user_id}") == ["mine"]
    assert found(agent, f"ticket_id={ticket.ticket_id}") == ["its"]
    assert found(agent, f"ticket_id={ticket.ticket_id}&created_by=1") == []


@pytest.mark.parametrize("query", ["start=2025-11-01T00:00:00", "end=x", "ticket_id=x"])
def test_a_filter_with_a_fault_is_refused_by_name(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/events?{query}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [query.split("=", maxsplit=1)[0]]


@pytest.mark.parametrize(
    "time",
    ["T00:00:00+02:00", "T00:00:00.000+02:00", "T00:00+0200", "T00:00:00+02", "%2000:00:00+02:00"],
)
def test_a_plus_that_arrived_as_a_space_says_so(anybody: Caller, time: str) -> None:
    answer = anybody.get(f"/api/events?start=2025-11-01{time}")

    assert answer.status_code == 400
    assert "%2B" in answer.json["errors"]["start"][0]


@pytest.mark.parametrize("time", ["2025-11-01", "2025-11-01+00:00", "2025-11-01+00:00:00"])
def test_a_space_before_a_time_is_no_plus(anybody: Caller, time: str) -> None:
    answer = anybody.get(f"/api/events?start={time}")

    assert "Z or an offset" in answer.json["errors"]["start"][0]


def test_an_unknown_event_is_404(anybody: Caller) -> None:
    assert anybody.get("/api/events/424242").json == {"detail": "Not Found"}
