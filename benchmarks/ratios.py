"""Requests per second against the peers and the floor, in alternating rounds."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.servers import Plan, Server, contenders, log_in, ours

SERVER, LOAD = {0}, "1"  # the cores
SCRIPT = Path(__file__).with_name("load.lua")
LIST, ITEM, CREATE = "/api/tickets?status=abierto&limit=50", "/api/tickets/{id}", "/api/tickets"
BODY = (
    '{"client_id": 5, "subject": "Cannot login", '
    '"description": "User can\'t log in since yesterday", "priority": "alta"}'
)


class Request(NamedTuple):
    """What is sent, whether reading needs a token, and whether the servers are kept to a core."""

    name: str
    path: str
    body: str = ""
    closed: bool = False
    free: bool = False


REQUESTS = (
    Request("list of 50, open", LIST),
    Request("list of 50, token checked", LIST, closed=True),
    Request("one ticket, open", ITEM),
    Request("new ticket", CREATE, BODY),
    Request("list of 50, open, on both cores", LIST, free=True),
    Request("one ticket, open, on both cores", ITEM, free=True),
)


class Rate(NamedTuple):
    """How many requests a second a contender answered in a round."""

    request: str
    round: int
    contender: str
    rate: float


def measure(database_url: str, plan: Plan) -> Iterator[Rate]:
    """Give the rates of all contenders on one database."""
    for closed in (False, True):
        reads = "" if closed else "tickets"
        with contenders(database_url, reads) as servers:
            token = log_in(servers["OmniDesk"])
            for request in REQUESTS:
                if request.closed != closed or (request.free and not plan.free):
                    continue
                for server in servers.values():
                    server.keep_to({0, 1} if request.free else SERVER)
                for number in range(-plan.warm, plan.rounds):
                    for name, server in servers.items():
                        if closed and name == "floor":
                            continue  # the floor knows no tokens
                        rate = load(server, request, token, plan)
                        if number >= 0:
                            yield Rate(request.name, number, name, rate)


def cost_of_the_log(logged: str, bare: str, plan: Plan) -> list[float]:
    """Give the rates of new tickets on a desk without the change log, over those of one with it."""
    with ours(logged) as with_log, ours(bare) as without:
        return costs(with_log, without, REQUESTS[3], plan)


def cost_of_counting(database_url: str, plan: Plan) -> list[float]:
    """Give the rates of lists that nobody counts, over those that are counted for a limit."""
    with (
        ours(database_url, reads="") as counted,
        ours(database_url, reads="", limit="") as uncounted,
    ):
        return costs(counted, uncounted, REQUESTS[1], plan)


def costs(dear: Server, cheap: Server, request: Request, plan: Plan) -> list[float]:
    """Give the rates of one server over those of another, round by round."""
    found, token = [], {server: log_in(server) for server in (dear, cheap)}
    for server in token:
        server.keep_to(SERVER)
    for _ in range(plan.warm + plan.rounds):
        rate = load(dear, request, token[dear], plan)
        found.append(load(cheap, request, token[cheap], plan) / rate)
    return found[plan.warm :]


def load(server: Server, request: Request, token: str, plan: Plan) -> float:
    """Give the requests per second that four clients are answered."""
    env: dict[str, Any] = {
        "PATH": os.environ["PATH"],
        "PATH_": request.path,
        "TICKETS": str(plan.sizes[-1]),
    }
    if request.body:
        env["BODY"] = request.body
    if request.body or request.closed:
        env["AUTHORIZATION"] = f"Bearer {token}"
    keep = [] if request.free else ["taskset", "-c", LOAD]
    address = f"http://127.0.0.1:{server.port}/"
    wrk = ["wrk", "-t1", "-c4", f"-d{plan.seconds}s", "-s", str(SCRIPT), address]
    said = subprocess.run([*keep, *wrk], env=env, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    if not found or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{request.name}: {said}")
    return float(found[1])
