"""Time answers as the desk grows: medians on one connection, sizes in turn."""

import re
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from time import perf_counter
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson

from benchmarks.desks import PASSWORD, Desks, Plan, connect
from benchmarks.servers import Caller, gunicorn, log_in, together

TICKETS, EVENTS, USERS = "/api/tickets", "/api/events", "/api/users"
CHANGES = "/api/changes"
OPEN_STATUSES = "abierto,en_progreso"
LOGIN = orjson.dumps({"username": "bench", "password": PASSWORD})


class Probe(NamedTuple):
    """A request: its name, and a function that finds its path on a desk."""

    name: str
    path: Callable[[Caller], str]
    body: bytes | None = None
    most: int = 1_000  # requests behind one median


class Median(NamedTuple):
    """How many milliseconds a request took on a desk of a size, in one round."""

    probe: str
    size: int
    rows: int
    round: int
    milliseconds: float


def listing(path: str, limit: int = 20, **filters: object) -> Callable[[Caller], str]:
    """Return a function that finds a list's path; a filter may be a function of the desk, too."""

    def find(desk: Caller) -> str:
        found = {name: value(desk) if callable(value) else value for name, value in filters.items()}
        return f"{path}?{urlencode({**found, 'limit': limit})}"

    return find


def busy_client(desk: Caller) -> int:
    """Return the id of a client with five closed tickets of medium priority."""
    for ticket in desk.get(f"{TICKETS}?status=cerrado&limit=200"):
        client_id: int = ticket["client_id"]
        path = f"{TICKETS}?client_id={client_id}&status=cerrado&priority=media"
        if len(desk.get(path)) >= 5:
            return client_id
    raise LookupError("no such client")


def assigned(name: str, **filters: object) -> Callable[[Caller], Any]:
    """Return a function that finds a field of the newest assigned ticket with these filters."""
    tickets = listing(TICKETS, 200, **filters)
    return lambda desk: next(
        ticket[name] for ticket in desk.get(tickets(desk)) if ticket["assigned_to"]
    )


def event_with(name: str) -> Callable[[Caller], Any]:
    """Return a function that finds a field of the earliest event that has it."""
    return lambda desk: next(
        event[name] for event in desk.get(f"{EVENTS}?limit=200") if event[name]
    )


def client_with_event(desk: Caller) -> Any:
    """Return the id of the client of the earliest event that is about a ticket."""
    return desk.get(f"{TICKETS}/{event_with('ticket_id')(desk)}")["client_id"]


def deep(desk: Caller) -> str:
    """Return the link to the page after the middle of all tickets."""
    (newest,) = desk.get(f"{TICKETS}?limit=1")
    path = f"{TICKETS}?limit=20&offset={newest['ticket_id'] // 2}"
    (found,) = re.findall('<([^>]*)>; rel="next"', desk.send("GET", path)[2])
    return str(found)


def newest(name: str) -> Callable[[Caller], Any]:
    """Return a function that finds a field of the newest ticket."""
    return lambda desk: desk.get(f"{TICKETS}?limit=1")[0][name]


OLD = "2024-01-01T12:00:00Z"  # when a desk of a thousand tickets, one a minute, was young
WINDOW: dict[str, Any] = {"start": "2025-03-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
PROBES = (
    Probe("tickets", listing(TICKETS)),
    Probe("tickets, next link at half depth", deep),
    Probe("status", listing(TICKETS, status="cerrado")),
    Probe("priority", listing(TICKETS, priority="alta")),
    Probe("assigned_to", listing(TICKETS, assigned_to=3)),
    Probe("client_id", listing(TICKETS, 5, client_id=busy_client)),
    Probe("status + priority", listing(TICKETS, status="cerrado", priority="baja")),
    Probe("status + priority, rare", listing(TICKETS, 2, status="abierto", priority="alta")),
    Probe("assigned_to + status", listing(TICKETS, status="cerrado", assigned_to=3)),
    Probe("assigned_to + status, rare", listing(TICKETS, 1, status="abierto", assigned_to=3)),
    Probe("assigned_to + priority", listing(TICKETS, 10, priority="media", assigned_to=3)),
    Probe("client_id + status", listing(TICKETS, 5, status="cerrado", client_id=busy_client)),
    Probe("client_id + priority", listing(TICKETS, 5, priority="media", client_id=busy_client)),
    Probe(
        "client_id + assigned_to",
        listing(TICKETS, 1, client_id=assigned("client_id"), assigned_to=assigned("assigned_to")),
    ),
    Probe("conversation_id", listing(TICKETS, conversation_id=1)),
    Probe("tag", listing(TICKETS, 2, tag="vip")),
    Probe("tag + status", listing(TICKETS, 1, tag="vip", status="cerrado")),
    Probe("tag + priority", listing(TICKETS, 1, tag="vip", priority="media")),
    Probe("tag + status, rare", listing(TICKETS, 1, tag="bug", status="abierto")),
    Probe(
        "tag + assigned_to",
        listing(TICKETS, 1, tag="vip", assigned_to=assigned("assigned_to", tag="vip")),
    ),
    Probe(
        "tag + client_id",
        listing(TICKETS, 1, tag="vip", client_id=assigned("client_id", tag="vip")),
    ),
    Probe("status, two", listing(TICKETS, status=OPEN_STATUSES)),
    Probe(
        "status, two + assigned_to, two",
        listing(TICKETS, status="cerrado,en_progreso", assigned_to="3,none"),
    ),
    Probe("sorted by updated_at", listing(TICKETS, sort="-updated_at")),
    Probe("sorted by due_at", listing(TICKETS, sort="due_at")),
    Probe("sorted by priority and due_at", listing(TICKETS, sort="priority,due_at")),
    Probe("status, two, by updated_at", listing(TICKETS, status=OPEN_STATUSES, sort="-updated_at")),
    Probe("status, two, by due_at", listing(TICKETS, status=OPEN_STATUSES, sort="due_at")),
    Probe("status, two, by priority", listing(TICKETS, status=OPEN_STATUSES, sort="priority")),
    Probe(
        "status, two, by priority and due_at",
        listing(TICKETS, status=OPEN_STATUSES, sort="priority,due_at"),
    ),
    Probe("assigned_to, by updated_at", listing(TICKETS, assigned_to=3, sort="-updated_at")),
    Probe(
        "client_id, by updated_at", listing(TICKETS, 5, client_id=busy_client, sort="-updated_at")
    ),
    Probe(
        "client_id, by priority and due_at",
        listing(TICKETS, 5, client_id=busy_client, sort="priority,due_at"),
    ),
    Probe(
        "assigned_to, by priority and updated_at",
        listing(TICKETS, assigned_to=3, sort="priority,-updated_at"),
    ),
    Probe(
        "priority, two, by priority and due_at",
        listing(TICKETS, priority="media,baja", sort="priority,due_at"),
    ),
    Probe("sorted by due_at and updated_at", listing(TICKETS, sort="due_at,-updated_at")),
    Probe("tag, by updated_at", listing(TICKETS, 2, tag="vip", sort="-updated_at")),
    Probe(
        "tag + status, two, by due_at",
        listing(TICKETS, 1, tag="vip", status=OPEN_STATUSES, sort="due_at"),
    ),
    Probe("overdue", listing(TICKETS, 5, overdue="true")),
    Probe("not overdue, by due_at", listing(TICKETS, overdue="false", sort="due_at")),
    Probe("overdue, by due_at", listing(TICKETS, overdue="true", sort="due_at")),
    Probe("tickets with client and assignee", listing(TICKETS, include="client,assignee")),
    Probe("created_before, old", listing(TICKETS, created_before=OLD)),
    Probe("created_before, old + status", listing(TICKETS, created_before=OLD, status="cerrado")),
    Probe("resolved_before, old", listing(TICKETS, 1, resolved_before=OLD)),
    Probe("updated_since, recent", listing(TICKETS, 1, updated_since=newest("updated_at"))),
    Probe("q, a word in half", listing(TICKETS, q="morning")),
    Probe("q, two common words", listing(TICKETS, q="morning usual")),
    Probe("q, a common word and a rare one", listing(TICKETS, 1, q="morning 77")),
    Probe("q, a rare word", listing(TICKETS, 1, q='"77"')),
    Probe("q, an absent word", listing(TICKETS, q="zzzzzz")),
    Probe(
        "q, with a filter that nothing meets", listing(TICKETS, q="morning", client_id=2**31 - 1)
    ),
    Probe("q, a prefix of three letters", listing(TICKETS, q="mor")),
    Probe("q + status", listing(TICKETS, q="morning", status="cerrado")),
    Probe("q with matches", listing(TICKETS, q="morning", include="match")),
    Probe("messages, q", listing("/api/messages", q="version")),
    Probe("messages, q, an absent word", listing("/api/messages", q="zzzzzz")),
    Probe("search", lambda _: "/api/search?q=morning"),
    Probe("tags", listing("/api/tags")),
    Probe("one ticket", lambda _: f"{TICKETS}/100"),
    Probe("events", listing(EVENTS)),
    Probe("events, a window", listing(EVENTS, **WINDOW)),
    Probe("events, overlapping a window", listing(EVENTS, overlaps="true", **WINDOW)),
    Probe("events, created_by", listing(EVENTS, 2, created_by=event_with("created_by"))),
    Probe("events, ticket_id", listing(EVENTS, 1, ticket_id=event_with("ticket_id"))),
    Probe("events, client_id", listing(EVENTS, 1, client_id=client_with_event)),
    Probe(
        "events, created_by in a window",
        listing(EVENTS, 1, created_by=event_with("created_by"), start=event_with("start_time")),
    ),
    Probe("users, role + active", listing(USERS, role="empleado", active="true")),
    Probe("clients", listing("/api/clients")),
    Probe("clients, q", listing("/api/clients", 1, q="lovelace")),
    Probe("clients, q, an absent word", listing("/api/clients", q="zzzzzz")),
    Probe("clients, q, the last digits of a number", listing("/api/clients", 1, q="0042")),
    Probe("conversations", listing("/api/conversations")),
    Probe(
        "conversations with client and last message",
        listing("/api/conversations", include="client,last_message"),
    ),
    Probe("conversations, active", listing("/api/conversations", active="true")),
    Probe(
        "conversations, active + handled_by_bot",
        listing("/api/conversations", active="true", handled_by_bot="false"),
    ),
    Probe(
        "conversations, channel + assigned_to",
        listing("/api/conversations", 1, channel="web", assigned_to=3),
    ),
    Probe("conversations, unread", listing("/api/conversations", 5, unread="true")),
    Probe(
        "conversations, who waits longest",
        listing("/api/conversations", active="true", waiting="true", sort="waiting_since"),
    ),
    Probe("conversations, mine", listing("/api/conversations", 5, active="true", assigned_to=1)),
    Probe(
        "conversations, mine, who waits longest",
        listing("/api/conversations", 5, assigned_to=1, waiting="true", sort="waiting_since"),
    ),
    Probe(
        "conversations, of nobody",
        listing("/api/conversations", active="true", assigned_to="none"),
    ),
    Probe(
        "messages of the longest conversation, newest first",
        listing("/api/conversations/1/messages", order="desc"),
    ),
    Probe("messages of the longest conversation", listing("/api/conversations/1/messages")),
    Probe("timeline", lambda desk: f"/api/clients/{busy_client(desk)}/timeline?limit=20"),
    Probe("changes", listing(CHANGES)),
    Probe("changes, after the latest", listing(CHANGES, after="latest")),
    Probe("changes, since a time", listing(CHANGES, since="2100-01-01T00:00:00Z")),
    Probe("changes, entity, two", listing(CHANGES, entity="ticket,message")),
    Probe("changes, actor", listing(CHANGES, actor="1,2")),
    Probe("changes, actor + entity", listing(CHANGES, actor=1, entity="ticket")),
    Probe("summary", lambda _: "/api/summary"),
    Probe("login", lambda _: "/api/login", LOGIN, most=4),
)


def run(desks: Desks, plan: Plan) -> dict[str, Any]:
    """Return the medians on desks of every size, and what an offset costs on the largest."""
    largest = plan.sizes[-1]
    with ExitStack() as stack:
        starts = {str(size): gunicorn(desks[size]) for size in plan.sizes}
        callers = {}
        for name, server in stack.enter_context(together(starts)).items():
            server.keep_to({plan.cores[0]})
            callers[int(name)] = stack.enter_context(closing(Caller(server, log_in(server))))
        connection = stack.enter_context(closing(connect(desks[largest])))
        return {
            "medians": list(measure(callers, plan)),
            "offset": offset(callers[largest], connection, largest // 2, plan.rounds),
        }


def measure(desks: dict[int, Caller], plan: Plan) -> Iterator[Median]:
    """Yield the medians on desks of every size, one round after another."""
    for probe in PROBES:
        paths = {size: probe.path(desk) for size, desk in desks.items()}
        for number in range(-plan.warm, plan.rounds):
            for size, desk in desks.items():
                rows, median = time(desk, paths[size], probe, min(probe.most, plan.asked))
                if number >= 0:
                    yield Median(probe.name, size, rows, number, median)


def time(desk: Caller, path: str, probe: Probe, requests: int) -> tuple[int, float]:
    """Return how many rows an answer has, and the median of the milliseconds it takes."""
    method, times = "POST" if probe.body else "GET", []
    for _ in range(requests):
        start = perf_counter()
        status, answer, _link = desk.send(method, path, probe.body)
        times.append(1000 * (perf_counter() - start))
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer!r}")
    shown = orjson.loads(answer)
    return len(shown) if isinstance(shown, list) else 1, statistics.median(times)


def offset(desk: Caller, connection: Any, rows: int, rounds: int) -> list[tuple[float, float]]:
    """Return the milliseconds of a list behind an offset, and of walking an index as far."""
    walk = f"SELECT ticket_id FROM ticket ORDER BY ticket_id DESC LIMIT 1 OFFSET {rows}"
    found = []
    for _ in range(rounds):
        start = perf_counter()
        desk.get(f"{TICKETS}?limit=20&offset={rows}")
        middle = perf_counter()
        connection.execute(walk).fetchall()
        found.append((1000 * (middle - start), 1000 * (perf_counter() - middle)))
    return found
