"""The order of changes on PostgreSQL, where who writes first may commit last."""

import itertools
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, update

from omnidesk import migrations
from omnidesk.clients.models import Client
from omnidesk.db import Filters, db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.session import READ
from omnidesk.tickets.models import Ticket
from tests.conftest import Caller, analyze, make_client, make_ticket, on_postgresql
from tests.servers import run_concurrently

# SQLite has one writer at a time: what is shown here cannot happen there.
pytestmark = on_postgresql

Connect = Callable[[], psycopg.Connection]
WRITERS, ROUNDS = 8, 15


@pytest.fixture
def connect(app: Any) -> Iterator[Connect]:
    """Connect to the database beside the app; what is not committed in the end is rolled back."""
    url = db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as stack:

        def connect() -> psycopg.Connection:
            connection = psycopg.connect(url)
            stack.callback(connection.close)
            return connection

        yield connect


def take_number(connection: psycopg.Connection) -> None:
    """Let a transaction have its number, as its first write does."""
    connection.execute("SELECT pg_current_xact_id()")


def add(connection: psycopg.Connection, name: str) -> None:
    """Store a client, in a transaction that goes on."""
    connection.execute(
        "INSERT INTO client (full_name, active, created_at) VALUES (%s, TRUE, now())", [name]
    )


def rename(connection: psycopg.Connection, client_id: int, name: str) -> None:
    """Change a client, in a transaction that goes on."""
    connection.execute("UPDATE client SET full_name = %s WHERE client_id = %s", [name, client_id])


class Follower:
    """Somebody who follows the changes: by links, or by the seq of the last one they have."""

    def __init__(self, caller: Caller, *, by_links: bool = True) -> None:
        self.caller, self.by_links = caller, by_links
        self.url = "/api/changes?limit=3&entity=client"
        self.seen: list[dict[str, Any]] = []

    def read(self) -> int:
        """Read the next page, and return how many changes are on it."""
        answer = self.caller.get(self.url)
        assert answer.status_code == 200, answer.json
        self.seen.extend(answer.json)
        if self.by_links:
            (self.url,) = re.findall('<([^>]*)>; rel="next"', answer.headers["Link"])
        elif self.seen:
            self.url = f"/api/changes?limit=3&entity=client&after={self.seen[-1]['seq']}"
        return len(answer.json)

    def names(self) -> list[str]:
        """Read on to the end, and return all names that the changes gave so far."""
        while self.read():
            pass
        return [change["after"]["full_name"] for change in self.seen]


def test_a_change_committed_late_is_met_before_those_that_wait_for_it(
    connect: Connect, agent: Caller
) -> None:
    early, late = connect(), connect()
    add(early, "a")
    add(late, "b")
    late.commit()
    follower = Follower(agent)
    before = follower.names()

    early.commit()

    assert before == []
    assert follower.names() == ["a", "b"]
    assert Follower(agent).names() == ["a", "b"]


def test_a_change_comes_after_what_it_depends_on(connect: Connect, agent: Caller) -> None:
    early, late = connect(), connect()
    take_number(early)
    add(late, "new")
    late.commit()
    rename(early, 1, "renamed")
    early.commit()

    assert Follower(agent).names() == ["new", "renamed"]
    history = agent.get("/api/clients/1/history").json
    assert [change["after"]["full_name"] for change in history] == ["renamed", "new"]


def test_a_rolled_back_change_delays_no_reader(connect: Connect, agent: Caller) -> None:
    lost = connect()
    add(lost, "lost")
    make_client(full_name="kept")

    lost.rollback()

    assert Follower(agent).names() == ["kept"]


@pytest.mark.parametrize("by_links", [True, False])
def test_a_follower_meets_each_change_once_in_one_order(
    connect: Connect, agent: Caller, *, by_links: bool
) -> None:
    shared = [make_client(full_name="new").client_id for _ in range(3)]
    follower = Follower(agent, by_links=by_links)
    connections = [connect() for _ in range(WRITERS)]

    def write(number: int) -> None:
        connection, chance = connections[number], random.Random(number)  # noqa: S311 - no secret
        for turn in range(ROUNDS):
            add(connection, f"{number}-{turn}")
            time.sleep(chance.random() / 100)
            if chance.random() < 0.5:
                rename(connection, chance.choice(shared), f"by {number}-{turn}")
                time.sleep(chance.random() / 200)
            connection.rollback() if chance.random() < 0.2 else connection.commit()

    writing = threading.Thread(target=run_concurrently, args=(WRITERS, write))
    writing.start()
    while writing.is_alive():
        follower.read()
    writing.join()
    seen = follower.names()

    assert seen == Follower(agent).names(), "an order that never changes"
    numbers = [change["seq"] for change in follower.seen]
    committed = select(Change.seq).where(Change.entity == "client")
    assert sorted(numbers) == sorted(db.session.scalars(committed)), "each of them, once"
    last: dict[int, Any] = {}
    for number in shared:
        of_a_row = [change["seq"] for change in follower.seen if change["entity_id"] == number]
        assert of_a_row == sorted(of_a_row), "as its history has it"
    for change in follower.seen:
        if change["op"] == "updated":
            assert change["before"] == last[change["entity_id"]], "what was is what the last made"
        last[change["entity_id"]] = {"full_name": change["after"]["full_name"]}
    db.session.rollback()


def test_after_a_number_that_no_change_has_come_those_that_follow_the_one_before(
    connect: Connect, agent: Caller
) -> None:
    make_client(full_name="first")
    lost = connect()
    add(lost, "lost")
    lost.rollback()
    make_client(full_name="second")
    first, second = db.session.scalars(
        select(Change.seq).filter_by(entity="client").order_by("seq")
    )
    db.session.rollback()

    def after(seq: int) -> list[int]:
        return [c["seq"] for c in agent.get(f"/api/changes?entity=client&after={seq}").json]

    assert second == first + 2
    assert after(0) == [first, second]
    assert after(first) == after(first + 1) == [second]
    assert after(second) == after(second + 1) == []


def test_pages_lead_back_the_way_they_came(connect: Connect, agent: Caller) -> None:
    early = connect()
    take_number(early)
    for number in range(4):
        make_client(full_name=str(number))
    add(early, "early")
    early.commit()
    path = "/api/changes?entity=client&limit=2"

    pages, answer = [], agent.get(path)
    while answer.json:
        pages.append([change["seq"] for change in answer.json])
        answer = agent.get(re.findall('<([^>]*)>; rel="next"', answer.headers["Link"])[0])
    last = agent.get(f"{path}&offset=4")
    (back,) = re.findall('<([^>]*)>; rel="prev"', last.headers["Link"])

    assert [change["seq"] for change in last.json] == pages[2]
    assert [change["seq"] for change in agent.get(back).json] == pages[1]
    second = agent.get(f"{path}&offset=2")
    (on,) = re.findall('<([^>]*)>; rel="next"', second.headers["Link"])
    assert [change["seq"] for change in agent.get(on).json] == pages[2]
    (back,) = re.findall('<([^>]*)>; rel="prev"', agent.get(on).headers["Link"])
    assert [change["seq"] for change in agent.get(back).json] == pages[1]


@pytest.mark.parametrize(
    "filters", [{}, {"after": 400}, {"entity": "ticket"}, {"entity": "ticket", "after": 400}]
)
def test_the_order_is_read_off_an_index(app: Any, filters: dict[str, Any]) -> None:
    new = {"full_name": "x", "active": True, "created_at": utcnow()}
    db.session.execute(insert(Client), [new] * 500)
    ticket = {"client_id": 1, "subject": "x", "priority": "alta", "status": "abierto"}
    db.session.execute(insert(Ticket), [ticket] * 500)
    analyze()
    feed = Change.feed(Filters(**filters), hidden=())
    rows = feed.params(**filters).limit(5).compile(db.engine)

    with db.engines[READ].connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {rows}", rows.construct_params())

    lines = "\n".join(str(line) for (line,) in plan)
    assert "transaction_id_seq" in lines
    assert not re.search("Sort|Seq Scan", lines), lines


STEPS = (take_number, add, None)  # None is the commit


def orders(writers: int) -> Iterator[tuple[int, ...]]:
    """Return every order in which writers can take their steps."""
    return iter(sorted(set(itertools.permutations([*range(writers)] * len(STEPS)))))


def look(caller: Caller) -> tuple[str, str]:
    """Return the tag of a list, and the list."""
    answer = caller.get("/api/clients")
    return answer.headers["ETag"], answer.get_data(as_text=True)


def step(connections: list[psycopg.Connection], steps: list[int], writer: int) -> None:
    """Let a writer take its next step."""
    act = STEPS[steps[writer]]
    if act is None:
        connections[writer].commit()
    elif act is add:
        add(connections[writer], f"{writer}")
    else:
        take_number(connections[writer])
    steps[writer] += 1


def tags_tell_lists_apart(
    caller: Caller, connections: list[psycopg.Connection], order: tuple[int, ...]
) -> None:
    """Let writers take steps in an order; no tag may ever stand for two lists."""
    seen = dict([look(caller)])
    steps = [0] * len(connections)
    for connection in connections:
        connection.rollback()
    for writer in order:
        step(connections, steps, writer)
        tag, shown = look(caller)
        assert seen.setdefault(tag, shown) == shown, order
        last = caller.get("/api/clients", headers={"If-None-Match": tag})
        assert last.status_code == 304


def test_a_tag_stands_for_one_list_in_whatever_order_two_commit(
    connect: Connect, agent: Caller
) -> None:
    connections = [connect(), connect()]

    for order in orders(2):
        tags_tell_lists_apart(agent, connections, order)


@pytest.fixture
def four(connect: Connect) -> list[psycopg.Connection]:
    """Connections of four writers."""
    return [connect() for _ in range(4)]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations([0, 1, 2, 3] * len(STEPS)))
def test_a_tag_stands_for_one_list_in_whatever_order_four_commit(
    four: list[psycopg.Connection], agent: Caller, order: list[int]
) -> None:
    tags_tell_lists_apart(agent, four, tuple(order))


def test_while_nobody_writes_a_tag_stays(connect: Connect, agent: Caller) -> None:
    make_client()
    tag = agent.get("/api/clients").headers["ETag"]
    agent.get("/api/summary")

    assert agent.get("/api/clients").headers["ETag"] == tag
    make_ticket(1)
    assert agent.get("/api/clients").headers["ETag"] == tag, "of another entity"


def test_a_restored_database_goes_on_in_the_order_that_was_seen(
    connect: Connect, agent: Caller
) -> None:
    early, late = connect(), connect()
    take_number(late)
    add(early, "a")
    early.commit()
    add(late, "b")
    make_client(full_name="c")
    late.commit()
    seen = Follower(agent).names()
    restored = update(Change).values(transaction_id=Change.transaction_id + 10**12)
    db.session.execute(restored)
    db.session.commit()
    lost = Follower(agent).names()

    agent.app.test_cli_runner().invoke(args=["init-db"])
    make_client(full_name="new")

    assert lost == []
    assert Follower(agent).names() == [*seen, "new"]


def test_an_upgrade_leaves_the_order_of_a_database_that_was_not_restored(app: Any) -> None:
    make_client()
    newest = select(func.max(Change.transaction_id))
    before = db.session.scalar(newest)
    db.session.rollback()

    migrations.upgrade()

    assert db.session.scalar(newest) == before
    db.session.rollback()
