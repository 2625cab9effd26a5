"""Tickets in any order: rows at random, against plain Python."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update

from omnidesk.db import Filters, db
from omnidesk.http.parts import Part
from omnidesk.http.sorting import VALUE
from omnidesk.http.sources import Source
from omnidesk.tickets.finding import matching
from omnidesk.tickets.lists import SORTED_BY
from omnidesk.tickets.models import PRIORITIES, STATUSES, Ticket
from omnidesk.tickets.tags import TicketTag
from tests.conftest import Caller, make_client, make_conversation
from tests.test_finding import some
from tests.test_lists import MOST, looking_at, walk, walk_back

PROPERTY = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TIMES = st.sampled_from([datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2190)])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "status": st.sampled_from(STATUSES),
            "priority": st.sampled_from(PRIORITIES),
            "due_at": st.none() | TIMES,
            "updated_at": TIMES,
            "created_at": TIMES,
            "tagged": st.booleans(),
        }
    ),
    min_size=6,
    max_size=12,
)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "status": some(STATUSES),
        "priority": some(PRIORITIES),
        "tag": st.just(["vip"]),
        "overdue": st.sampled_from([["true"], ["false"]]),
        **{
            f"{name}_{side}": st.sampled_from([["2020-06-01T00:00:00Z"], ["2021-01-01T00:00:00Z"]])
            for name in ("created", "updated", "due")
            for side in ("since", "before")
        },
    },
)
SORT = st.lists(
    st.builds("{}{}".format, st.sampled_from(["", "-"]), st.sampled_from(SORTED_BY)),
    min_size=1,
    max_size=2,
    unique_by=lambda key: key.removeprefix("-"),
)


def store(rows: list[dict[str, Any]]) -> None:
    """Store these tickets and no others, numbered from 1."""
    db.session.execute(delete(TicketTag))
    db.session.execute(delete(Ticket))
    for number, row in enumerate(rows, 1):
        row |= {"ticket_id": number, "client_id": 1, "subject": "x"}
        row["resolved_at"] = datetime(2025, 1, 1, tzinfo=UTC) if is_closed(row) else None
        values = {name: value for name, value in row.items() if name != "tagged"}
        db.session.execute(insert(Ticket).values(values))
        if row["tagged"]:
            db.session.execute(insert(TicketTag).values(ticket_id=number, tag="vip"))
            time = update(Ticket).where(Ticket.ticket_id == number)
            db.session.execute(time.values(updated_at=row["updated_at"]))
    db.session.commit()


def is_closed(row: dict[str, Any]) -> bool:
    """Return whether a ticket is closed."""
    return bool(row["status"] == "cerrado")


def fits(row: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    """Return whether a ticket meets the filters."""
    overdue = not is_closed(row) and row["due_at"] is not None and row["due_at"].year < 2190
    shown = row | {"tag": "vip" if row["tagged"] else "", "overdue": str(overdue).lower()}

    def meets(name: str, values: list[str]) -> bool:
        column, _, side = name.rpartition("_")
        if side not in ("since", "before"):
            return shown[name] in values
        time = shown[f"{column}_at"]
        return time is not None and (time >= datetime.fromisoformat(values[0])) == (side == "since")

    return all(meets(*each) for each in filters.items())


def in_order(rows: list[dict[str, Any]], sort: list[str]) -> list[dict[str, Any]]:
    """Return tickets in an order: sorted by the id, then by the second key, then by the first."""
    times = [key for key in sort if key.removeprefix("-") in ("updated_at", "due_at")]
    by_id = "-ticket_id" if not times or times[-1].startswith("-") else "ticket_id"
    for key in [by_id, *reversed(sort)]:
        name = key.removeprefix("-")
        known = [row for row in rows if row[name] is not None]
        unknown = [row for row in rows if row[name] is None]
        value = PRIORITIES.index if name == "priority" else lambda value: value
        known.sort(key=lambda row: value(row[name]), reverse=key.startswith("-"))
        rows = known + unknown
    return rows


@pytest.fixture
def client(agent: Caller) -> Caller:
    """Somebody who calls, and the client whose tickets are sorted."""
    make_client()
    return agent


TWOS = [2] * 5
SAME_TIME: list[dict[str, Any]] = [
    {
        "status": "abierto",
        "priority": priority,
        "due_at": time,
        "updated_at": time,
        "tagged": False,
        "created_at": time,
    }
    for time in (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
    for priority in PRIORITIES * 2
]


@PROPERTY
@example(rows=SAME_TIME, filters={}, sort=["due_at", "priority"], limit=1, offset=4, most=TWOS)
@example(
    rows=SAME_TIME, filters={}, sort=["-updated_at", "-priority"], limit=1, offset=4, most=TWOS
)
@given(
    rows=ROWS,
    filters=FILTERS,
    sort=SORT,
    limit=st.sampled_from([1, 2, 3, 50]),
    offset=st.integers(0, 4),
    most=MOST,
)
def test_tickets_are_listed_in_any_order(
    client: Caller,
    rows: list[dict[str, Any]],
    filters: dict[str, list[str]],
    sort: list[str],
    limit: int,
    offset: int,
    most: list[int],
) -> None:
    store(rows)
    query = "&".join(
        f"{name}={','.join(some)}" for name, some in [*filters.items(), ("sort", sort)]
    )
    path = f"/api/tickets?{query}"
    expected = [row["ticket_id"] for row in in_order(rows, sort) if fits(row, filters)]

    with looking_at(most):
        forwards, backwards = (
            [row["ticket_id"] for row in walked(client, f"{path}&limit={limit}")]
            for walked in (walk, walk_back)
        )
    skipped = client.get(f"{path}&offset={offset}")

    assert forwards == backwards == expected
    assert [row["ticket_id"] for row in skipped.json] == expected[offset:]


ONE_OF = "Must be one of: -updated_at, updated_at, waiting_since, -waiting_since."


@pytest.mark.parametrize(
    ("path", "query", "message"),
    [
        ("tickets", "sort=created_at", "Must be one of: ticket_id, -ticket_id, updated_at"),
        ("tickets", "sort=", "Must be one of: "),
        ("tickets", "sort=--due_at", "Must be one of: "),
        ("tickets", "sort=%2Bdue_at", "Must be one of: "),
        ("tickets", "sort=due_at, priority", "Must be one of: "),
        ("tickets", "sort=due_at,priority,updated_at", "At most two, separated by a comma."),
        ("tickets", "sort=due_at,-due_at", "Given more than once: due_at."),
        ("tickets", "sort=due_at,due_at", "Given more than once: due_at."),
        ("tickets", "overdue=yes", "Must be one of: true, 1, false, 0."),
        ("conversations", "sort=client_id", ONE_OF),
        ("conversations", "sort=-updated_at,-updated_at", ONE_OF),
    ],
)
def test_an_order_with_a_fault_is_refused_by_name(
    client: Caller, path: str, query: str, message: str
) -> None:
    answer = client.get(f"/api/{path}?{query}")

    assert answer.status_code == 400
    (name, messages), *_ = answer.json["errors"].items()
    assert name == query.partition("=")[0]
    assert messages[0].startswith(message)


@pytest.mark.parametrize(
    "cursor",
    [
        "a00000064",
        "a~00000064",
        "a7fffffff~7fffffff",
        "b0000000000000100000064",
        "a~",
        "b~",
        "a~~~",
    ],
)
def test_a_cursor_of_another_order_is_refused_or_leads_somewhere(
    client: Caller, cursor: str
) -> None:
    store([{"status": "abierto", "priority": "alta", "due_at": None, "tagged": False} | NOW])

    for sort in ("ticket_id", "due_at", "priority", "priority,due_at", "-updated_at,due_at"):
        answer = client.get(f"/api/tickets?sort={sort}&cursor={cursor}")

        assert answer.status_code == 200 or list(answer.json["errors"]) == ["cursor"]


NOW = {"updated_at": datetime(2025, 1, 1, tzinfo=UTC)}


def test_what_is_overdue_is_not_looked_for_among_what_is_not_due() -> None:
    filters = Filters(now=None, status="abierto")

    def found(*, overdue: bool) -> list[Part]:
        return Source(matching, filters, (("sort", ("due_at",)), ("overdue", overdue))).parts()

    (overdue,) = found(overdue=True)
    with_due, without = found(overdue=False)

    assert overdue.known == with_due.known == (VALUE, VALUE)
    assert without.known == (None, VALUE)


def test_a_list_of_what_is_overdue_shows_it_in_its_order(client: Caller) -> None:
    times = [datetime(year, 1, 1, tzinfo=UTC) for year in (2021, 2020, 2190)]
    rows = [{"status": "abierto", "due_at": time, "priority": "baja"} for time in (*times, None)]
    rows.append({"status": "cerrado", "due_at": times[0], "priority": "alta"})
    store([row | NOW | {"tagged": False} for row in rows])

    overdue = client.get("/api/tickets?overdue=true&sort=due_at&include=client")
    closed = client.get("/api/tickets?overdue=true&status=cerrado")

    assert [row["ticket_id"] for row in overdue.json] == [2, 1]
    assert [row["client"]["client_id"] for row in overdue.json] == [1, 1]
    assert closed.json == []


def test_conversations_can_be_asked_for_in_their_own_order(client: Caller) -> None:
    for _ in range(3):
        make_conversation()

    rows = client.get("/api/conversations?sort=-updated_at")

    assert rows.json == client.get("/api/conversations").json
