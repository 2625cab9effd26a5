"""Measure memory, the time to start, and many writers at once."""

import re
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import orjson

from benchmarks.desks import Desks, Plan
from benchmarks.servers import Caller, Server, log_in, ours

WORKERS = 4
CHATS = [number for number in range(1, 18) if number % 10]  # active ones: a client for each


def memory(pid: int, kind: str) -> float:
    """Return a process's memory in MB; the kind is Pss or Rss."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (kilobytes,) = re.findall(rf"^{kind}:\s+([0-9]+)", rollup, re.MULTILINE)
    return int(kilobytes) / 1000


def run(desks: Desks, plan: Plan) -> dict[str, Any]:
    """Return what a server needs at first, and its memory while it answers requests."""
    database_url = desks[plan.sizes[1]]
    return {
        "footprint": footprint(database_url, plan.rounds, min(1000, plan.requests)),
        "memory": memory_in_use(database_url, plan.requests),
    }


def footprint(database_url: str, rounds: int, requests: int) -> dict[str, Any]:
    """Return the memory of two workers after some requests, and the seconds they took to start."""
    starts = []
    for _ in range(rounds):
        began = monotonic()
        with ours(database_url, workers=2) as server:
            starts.append(monotonic() - began)
            ask(server, requests)
            pss = [memory(pid, "Pss") for pid in server.pids()]
            master = memory(server.process.pid, "Pss")
    return {"starts": starts, "workers": pss, "master": master}


def ask(server: Server, requests: int) -> None:
    """Send so many requests of several kinds, on four connections."""
    token = log_in(server)
    paths = ("/api/tickets", "/api/tickets/7", "/api/summary", "/api/events", "/api/conversations")

    def send(count: int) -> None:
        caller = Caller(server, token)
        for number in range(count):
            caller.get(paths[number % len(paths)])

    at_once([lambda: send(requests // 4)] * 4)


def memory_in_use(database_url: str, requests: int) -> list[float]:
    """Return a worker's RSS in MB at ten moments in so many requests."""
    seen = []
    with ours(database_url, "--max-requests", "0") as server:
        ask(server, requests // 10)
        (worker,) = server.pids()
        seen.append(memory(worker, "Rss"))
        for _ in range(9):
            ask(server, requests // 10)
            seen.append(memory(worker, "Rss"))
    return seen


def writers(desks: Desks, plan: Plan) -> dict[str, Any]:
    """Post tickets and messages from 16 clients; return the statuses, and how many are missing."""
    statuses: Counter[int] = Counter()
    kept: dict[str, set[int]] = {"ticket_id": set(), "message_id": set()}
    slowest = 0.0
    with ours(desks[plan.sizes[1]], workers=WORKERS) as server:
        token, end = log_in(server), monotonic() + plan.writing

        def post(number: int) -> None:
            nonlocal slowest
            caller = Caller(server, token)
            chat = f"/api/conversations/{number}/messages"
            ticket = {"client_id": number, "subject": "One more"}
            while monotonic() < end:
                for path, body in (("/api/tickets", ticket), (chat, {"content": "One more"})):
                    began = monotonic()
                    status, answer, _ = caller.send("POST", path, orjson.dumps(body))
                    slowest = max(slowest, monotonic() - began)
                    statuses[status] += 1
                    for key, found in kept.items():
                        if key in (row := orjson.loads(answer)):
                            found.add(row[key])

        at_once([lambda number=number: post(number) for number in CHATS])
        caller = Caller(server, token)
        stored = {row["ticket_id"] for row in walk(caller, "/api/tickets", min(kept["ticket_id"]))}
        messages = set()
        for number in CHATS:
            path = f"/api/conversations/{number}/messages"
            messages |= {row["message_id"] for row in walk(caller, path, None)}
    lost = len(kept["ticket_id"] - stored) + len(kept["message_id"] - messages)
    return {
        "statuses": dict(statuses),
        "lost": lost,
        "seconds": plan.writing,
        "slowest": slowest,
        "rate": sum(statuses.values()) / plan.writing,
    }


def walk(caller: Caller, path: str, last: int | None) -> list[Any]:
    """Return the rows of a list, to its end or until a ticket is reached."""
    rows: list[Any] = []
    url = f"{path}?limit=200"
    while url:
        _, body, link = caller.send("GET", url)
        rows += orjson.loads(body)
        if last is not None and rows and rows[-1]["ticket_id"] < last:
            break
        url = "".join(re.findall('<([^>]*)>; rel="next"', link))
    return rows


def at_once(acts: list[Any]) -> None:
    """Call functions at the same time; raise the first exception of theirs, if there is one."""
    faults: list[BaseException] = []

    def run(act: Any) -> None:
        try:
            act()
        except BaseException as fault:  # noqa: BLE001 - it is raised below
            faults.append(fault)

    with ExitStack() as stack:
        for act in acts:
            thread = threading.Thread(target=run, args=(act,))
            thread.start()
            stack.callback(thread.join)
    if faults:
        raise faults[0]
