"""Send load with wrk, and write the files of URLs and tokens that it sends."""

import os
import random
import re
import signal
import subprocess
from collections.abc import Iterable
from contextlib import closing
from math import ceil
from pathlib import Path
from time import sleep
from typing import IO, Any, NamedTuple, cast
from urllib.parse import urlencode

from benchmarks.desks import Plan, connect

SCRIPT = Path(__file__).with_name("load.lua")
LIMIT = 50
DEEPEST = 300  # offsets stay below: pages that somebody might still turn to
PER_FILTERS = 4_000  # URLs
FILTERS = (
    ("status",),
    ("priority",),
    ("assigned_to",),
    ("client_id",),
    ("status", "priority"),
    ("assigned_to", "status"),
    ("assigned_to", "priority"),
    ("client_id", "status"),
    ("client_id", "priority"),
)
LIST = f"/api/tickets?status=abierto&limit={LIMIT}"
BODY = (
    '{"client_id": 5, "subject": "Cannot login", '
    '"description": "User can\'t log in since yesterday", "priority": "alta"}'
)


class Request(NamedTuple):
    """A load: the name of the file of URLs, the body of a POST, and the tokens it sends."""

    name: str
    urls: str
    body: str = ""
    tokens: str = ""  # none, "one" or "many"
    free: bool = False  # whether server and load may share both cores

    @property
    def closed(self) -> bool:
        """Return whether the servers answer it only with a token, though it reads."""
        return bool(self.tokens and not self.body)


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a file that wrk's script reads."""
    path.write_text("".join(f"{line}\n" for line in lines))


def write_fixed(folder: Path) -> None:
    """Write the files of one URL each."""
    write(folder / "list", [LIST])
    write(folder / "new", ["/api/tickets"])


def write_varied(database_url: str, size: int, folder: Path) -> None:
    """Write the files of many URLs, each of which a desk of that size has."""
    rng = random.Random(size)  # noqa: S311 - repeatable, not secret
    numbers = rng.sample(range(1, size + 1), min(size, 50_000))
    write(folder / "ticket", (f"/api/tickets/{number}" for number in numbers))
    write(folder / "lists", varied_lists(database_url, rng))


def varied_lists(database_url: str, rng: random.Random) -> list[str]:
    """Return different URLs of lists, each of which fills a page."""
    found = []
    with closing(connect(database_url)) as connection:
        for names in FILTERS:
            columns = ", ".join(names)
            counts = connection.execute(
                f"SELECT {columns}, count(*) FROM ticket WHERE assigned_to IS NOT NULL "
                f"GROUP BY {columns} HAVING count(*) >= {LIMIT} ORDER BY {columns}"
            ).fetchall()
            urls = [
                {**dict(zip(names, values, strict=True)), "limit": LIMIT, "offset": offset}
                for *values, count in counts
                for offset in range(min(DEEPEST, count - LIMIT + 1))
            ]
            found += rng.sample(urls, min(len(urls), PER_FILTERS))
    return [f"/api/tickets?{urlencode(query)}" for query in found]


def send(port: int, request: Request, env: dict[str, str], plan: Plan) -> float:
    """Return the requests per second that four clients are answered on a port of loopback.

    Raise RuntimeError if any answer is an error, or if none comes.
    """
    said = wrk(port, request, env, plan, plan.seconds)
    if " 0 requests in" in said:  # a short load may be over before the first answer
        said = wrk(port, request, env, plan, 5)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", said)
    rate = float(found[1]) if found else 0.0
    if not rate or "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"{request.name}: {said}")
    return rate


def wrk(port: int, request: Request, env: dict[str, str], plan: Plan, seconds: float) -> str:
    """Run wrk for some seconds and return what it prints."""
    keep = [] if request.free else ["taskset", "-c", str(plan.cores[1])]
    address = f"http://127.0.0.1:{port}/"
    load: list[Any] = ["wrk", "-t1", "-c4", f"-d{ceil(seconds)}s", "-s", SCRIPT, address]
    # wrk takes whole seconds, but when it is interrupted it reports on what it did.
    with subprocess.Popen(
        [*keep, "stdbuf", "-oL", *load],
        env={"PATH": os.environ["PATH"], **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        said = cast("IO[str]", running.stdout).readline()  # it has begun
        sleep(seconds)
        running.send_signal(signal.SIGINT)
        return said + running.communicate()[0]


def environment(request: Request, files: Path, name: str, seed: int) -> dict[str, str]:
    """Return what wrk's script reads; the same seed sends the same requests in the same order."""
    env = {"URLS": str(files / request.urls), "SEED": str(seed)}
    if request.body:
        env["BODY"] = request.body
    if request.tokens:
        env["TOKENS"] = str(files / f"{name}.{request.tokens}")
    return env
