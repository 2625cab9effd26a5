"""Requests per second against the peers and the floor, in alternating rounds."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import time
from typing import NamedTuple

import jwt

from benchmarks.desks import KEY, PASSWORD, Desks, Plan, connect
from benchmarks.load import (
    BODY,
    LIMIT,
    Request,
    environment,
    send,
    write,
    write_fixed,
    write_varied,
)
from benchmarks.servers import Caller, Server, contenders, gunicorn, log_in, together

PER_USER = 10  # tokens
REPEATED = Request("list of 50, open", "list")
VARIED = Request("list of 50, open, varied", "lists")
ONE = Request("one ticket, open, varied", "ticket")
NEW = Request("new ticket", "new", BODY, tokens="one")
TOKEN = Request("list of 50, token", "list", tokens="one")
TOKENS = Request("list of 50, token, varied URLs and tokens", "lists", tokens="many")
REQUESTS = (
    REPEATED,
    VARIED,
    ONE,
    NEW,
    Request("list of 50, open, on both cores", "list", free=True),
    Request("one ticket, open, varied, on both cores", "ticket", free=True),
    TOKEN,
    TOKENS,
)


class Rate(NamedTuple):
    """How many requests a second a contender answered in a round."""

    request: str
    round: int
    contender: str
    rate: float


def measure(desks: Desks, plan: Plan) -> list[Rate]:
    """Return the rates of all contenders on one kind of database."""
    size = plan.sizes[-1]
    found: list[Rate] = []
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        write_fixed(files)
        write_varied(desks[size], size, files)
        for closed in (False, True):
            with contenders(desks, size, "" if closed else "tickets") as servers:
                write_tokens(servers, files, plan.tokens if closed else 1)
                refuse_differences(servers, files)
                for request in REQUESTS:
                    if request.closed == closed:
                        found += alternate(servers, request, files, plan)
    return found


def write_tokens(servers: dict[str, Server], files: Path, count: int) -> None:
    """Write each contender's tokens into a file, and one of them into another.

    OmniDesk's are from logins. The peers, who come after it, sign theirs for the same users.
    """
    ends, names = int(time()) + 24 * 3600, [f"bench{n // PER_USER}" for n in range(count)]
    for name, server in servers.items():
        if name in ("before", "OmniDesk"):
            users = create_users(server, set(names))
            found = [log_in(server, username) for username in names]
        else:
            claims = [{"sub": str(users[names[n]]), "jti": str(n)} for n in range(count)]
            found = [jwt.encode({**claim, "exp": ends}, KEY, "HS256") for claim in claims]
        write(files / f"{name}.many", found)
        write(files / f"{name}.one", found[:1])


def create_users(server: Server, names: set[str]) -> dict[str, int]:
    """Create users who can log in, unless they exist, and return the ids of all users."""
    with closing(Caller(server, log_in(server))) as admin:
        known = {user["username"]: user["user_id"] for user in admin.get("/api/users?limit=200")}
        for name in names - known.keys():
            user = {"full_name": name, "username": name, "password": PASSWORD}
            known[name] = admin.post("/api/users", 201, **user)["user_id"]
    return known


def refuse_differences(servers: dict[str, Server], files: Path) -> None:
    """Raise RuntimeError unless some of the lists are full, and the same on the same database."""
    lists = (files / "lists").read_text().splitlines()
    for path in lists[:: len(lists) // 10]:
        found = {}
        for name, server in servers.items():
            token = (files / f"{name}.one").read_text().strip()
            with closing(Caller(server, token)) as caller:
                found[name] = [ticket["ticket_id"] for ticket in caller.get(path)]
        before = found.pop("before", found["OmniDesk"])
        if len(before) != LIMIT or any(
            len(set(x)) != LIMIT or x != found["OmniDesk"] for x in found.values()
        ):
            raise RuntimeError(f"{path}: {found}")


def alternate(
    servers: dict[str, Server], request: Request, files: Path, plan: Plan
) -> Iterator[Rate]:
    """Yield the rates of one request, each round with all contenders in turn."""
    for server in servers.values():
        server.keep_to(set(plan.cores) if request.free else {plan.cores[0]})
    for number in range(-plan.warm, plan.rounds):
        for name, server in servers.items():
            env = environment(request, files, name, number + plan.warm)
            rate = send(server.port, request, env, plan)
            if number >= 0:
                yield Rate(request.name, number, name, rate)


def costs(desks: Desks, plan: Plan) -> dict[str, list[float]]:
    """Return by how much new tickets are faster unlogged, and lists without a rate limit."""
    size = plan.sizes[0]
    bare = desks.copy(size, "bare")
    drop_change_log(bare)
    starts = {
        "OmniDesk": gunicorn(desks[size], reads=""),
        "log": gunicorn(bare, reads=""),
        "counting": gunicorn(desks[size], reads="", limit=""),
    }
    found = {}
    with tempfile.TemporaryDirectory() as folder, together(starts) as servers:
        files = Path(folder)
        write_fixed(files)
        for name, server in servers.items():
            write(files / f"{name}.one", [log_in(server)])
        for cheap, request in (("log", NEW), ("counting", TOKEN)):
            pair = {name: servers[name] for name in ("OmniDesk", cheap)}
            found[cheap] = quotients(list(alternate(pair, request, files, plan)), cheap, "OmniDesk")
    return found


def drop_change_log(database_url: str) -> None:
    """Drop the triggers that log changes of tickets."""
    on_sqlite = database_url.startswith("sqlite")
    names = ("_insert", "_update", "_delete") if on_sqlite else (" ON ticket",)
    with closing(connect(database_url)) as connection:
        for name in names:
            connection.execute(f"DROP TRIGGER change_ticket{name}")
        connection.commit()


def quotients(rates: list[Rate], above: str, below: str) -> list[float]:
    """Return the rates of one contender over those of another, round by round."""
    by_name = {name: [r.rate for r in rates if r.contender == name] for name in (above, below)}
    return [a / b for a, b in zip(by_name[above], by_name[below], strict=True)]
