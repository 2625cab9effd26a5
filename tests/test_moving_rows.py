"""Pages of a list while its rows change: none that stands still is missed or shown twice."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, update

from omnidesk.db import db
from omnidesk.tickets.models import PRIORITIES, Ticket
from omnidesk.tickets.tags import TicketTag
from tests.conftest import Caller, make_client
from tests.test_lists import MOST, looking_at, walk, walk_back
from tests.test_sorting import FILTERS, PROPERTY, ROWS, SORT, fits, in_order, store

TIMES = [datetime(year, 1, 1, tzinfo=UTC) for year in (2020, 2021, 2190)]


@settings(PROPERTY, max_examples=15)
@given(
    rows=ROWS,
    filters=FILTERS,
    searched=st.booleans(),
    sort=SORT,
    limit=st.sampled_from([1, 2]),
    most=MOST,
    seed=st.integers(0, 99),
)
def test_tickets_that_stand_still_are_shown_once_while_others_move(
    agent: Caller,
    rows: list[dict[str, Any]],
    filters: dict[str, list[str]],
    searched: bool,
    sort: list[str],
    limit: int,
    most: list[int],
    seed: int,
) -> None:
    if not agent.get("/api/clients").json:
        make_client()
    store(rows)
    query = "&".join(f"{name}={','.join(some)}" for name, some in {**filters, "sort": sort}.items())
    path = f"/api/tickets?{query}&limit={limit}{'&q=x' if searched else ''}"
    still = [row["ticket_id"] for row in in_order(rows, sort) if fits(row, filters)]
    still = [ticket_id for ticket_id in still if ticket_id % 2]
    moves = changes(len(rows), Random(seed))  # noqa: S311 - repeatable

    with looking_at(most):
        forwards = walk(agent, path, lambda: next(moves))
        back = walk_back(agent, path, lambda: next(moves))

    for found in (forwards, back):
        shown = [row["ticket_id"] for row in found]
        assert [ticket_id for ticket_id in shown if ticket_id in still] == still


def changes(count: int, rng: Random) -> Iterator[None]:
    """Change, add and delete tickets with even numbers, one each time."""
    for new in range(count + 2 - count % 2, 200, 2):
        values = {
            "status": rng.choice(["abierto", "en_progreso"]),
            "priority": rng.choice(PRIORITIES),
            "due_at": rng.choice([None, *TIMES]),
            "updated_at": rng.choice(TIMES),
            "resolved_at": None,
        }
        chosen = rng.randrange(2, new, 2)
        for table in (TicketTag, Ticket) if rng.random() < 0.3 else ():
            db.session.execute(delete(table).filter_by(ticket_id=chosen))
        db.session.execute(update(Ticket).filter_by(ticket_id=chosen).values(values))
        if new <= count + 10:
            made = {"ticket_id": new, "client_id": 1, "subject": "x", "created_at": TIMES[1]}
            db.session.execute(insert(Ticket).values(made | values))
            db.session.execute(insert(TicketTag).values(ticket_id=new, tag="vip"))
        db.session.commit()
        yield
