"""Read and write for many minutes on both databases: `make soak`.

Fails if a response is a 5xx, or if the workers need more memory at the end than after a tenth of
the time. They are not replaced meanwhile, as they would be by `max_requests`.
"""

import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import requests

from tests import postgres
from tests.conftest import KEY
from tests.faults.writers import Writer
from tests.postgres import free_port
from tests.reliability import record
from tests.servers import BIN, ROOT, STOP, environ, flask, process, wait_for

USERS = ("admin", "user1", "agent2")
CALLERS = 6
MAX_GROWTH = 1.1  # of the workers' memory
SETTLES = 5  # minutes that a run takes at least for its memory to be judged: caches fill first
ROWS = ("--tickets", "1000", "--comments", "500", "--messages", "1000", "--events", "100")
READS = (
    *(
        "/api/tickets?limit=200",
        "/api/tickets?status=abierto&sort=-priority",
        "/api/tickets?q=login",
    ),
    *("/api/tickets?include=client,assignee", "/api/summary", "/api/conversations?limit=50"),
    *("/api/messages?q=help", "/api/search?q=invoice", "/api/clients?q=ana", "/api/events"),
    *("/api/changes?limit=100", "/api/me", "/healthz", "/readyz", "/api/openapi.json", "/nowhere"),
)
Call = tuple[str, str, Any, dict[str, str]]  # a method, a path, a body and headers


class Soak:
    """A desk under load, and what was seen of it."""

    def __init__(self, name: str, database_url: str) -> None:
        limits = dict.fromkeys(
            ("RATE_LIMIT_TOKEN", "RATE_LIMIT_LOGIN", "RATE_LIMIT_LOGIN_ADDRESS"), ""
        )
        self.name, self.statuses, self.slowest = name, Counter[int](), 0.0
        self.settings = {
            "DATABASE_URL": database_url,
            "SECRET_KEY": KEY,
            "OMNIDESK_ENV": "development",
            "PORT": str(free_port()),
        } | limits
        self.address = f"http://127.0.0.1:{self.settings['PORT']}"
        self.memory: list[float] = []  # of all workers, in MB, once a second
        self.done = threading.Event()

    @contextmanager
    def serve(self, folder: Path) -> Iterator[None]:
        """Fill the desk, and serve it."""
        for command in (["init-db", "--demo"], ["seed", *ROWS]):
            made = flask(self.settings, *command)
            if made.returncode:
                raise RuntimeError(made.stderr)
        server: list[Any] = [BIN / "gunicorn", *STOP, "--max-requests", "0", "wsgi:app"]
        log = folder / self.name
        with process(server, log, env=environ(self.settings), cwd=ROOT) as self.server:
            wait_for(f"{self.address}/healthz", log)
            yield

    def run(self) -> None:
        """Call until it is done, and look at the memory meanwhile."""
        users = [Writer.log_in(self.address, name) for name in USERS]
        threads = [threading.Thread(target=self.watch)]
        for number in range(CALLERS):
            rng = random.Random(number)  # noqa: S311 - repeatable, not secret
            threads.append(threading.Thread(target=self.call, args=[users[number % 3], rng]))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def watch(self) -> None:
        """Note the memory of the workers once a second."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children")
        while not self.done.wait(1):
            statuses = [
                Path(f"/proc/{number}/status").read_text()
                for number in children.read_text().split()
            ]
            kilobytes = [int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) for text in statuses]
            self.memory.append(sum(kilobytes) / 1000)

    def call(self, user: Writer, rng: random.Random) -> None:
        """Send requests one after the other, on a connection that is kept."""
        with requests.Session() as session:
            session.headers.update(user.headers)
            while not self.done.is_set():
                for method, path, body, headers in self.requests(rng):
                    started_at = time.monotonic()
                    url = self.address + path
                    answer = session.request(method, url, json=body, headers=headers, timeout=60)
                    self.slowest = max(self.slowest, time.monotonic() - started_at)
                    self.statuses[answer.status_code] += 1

    def requests(self, rng: random.Random) -> list[Call]:
        """Return what a user does next: reads, and now and then a change."""
        ticket, chat = f"/api/tickets/{rng.randint(1, 1000)}", rng.randint(1, 50)
        new = {"client_id": 55, "subject": f"Number {rng.random()}"}
        login = {"username": rng.choice(USERS), "password": rng.choice(["secret", "wrong"])}
        changes: list[Call] = [
            ("POST", "/api/tickets", new, {"Idempotency-Key": str(rng.random())}),
            ("PATCH", ticket, {"status": rng.choice(["abierto", "en_progreso", "cerrado"])}, {}),
            ("PUT", f"{ticket}/tags/tag-{rng.randint(1, 50)}", None, {}),
            ("POST", f"{ticket}/comments", {"body": "Called the client"}, {}),
            ("POST", f"/api/conversations/{chat}/messages", {"content": "Hello"}, {}),
            ("GET", "/api/tickets?limit=1000", None, {"Accept": "text/csv"}),
            ("POST", "/api/login", login, {}),
            ("POST", "/api/tickets", {"client_id": rng.random()}, {}),
        ]
        reads: list[Call] = [("GET", path, None, {}) for path in rng.sample(READS, 6)]
        return [("GET", ticket, None, {}), *reads, *rng.sample(changes, 2)]

    def tenths(self) -> list[float]:
        """Return the memory in each tenth of the time."""
        size = max(1, len(self.memory) // 10)
        return [median(self.memory[n * size : (n + 1) * size]) for n in range(10)]


def main(minutes: float) -> int:
    """Load both databases; return how many of them have failed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(postgres.running(("max_connections=100",)))
        desks = [Soak("SQLite", f"sqlite:///{folder}/desk.db"), Soak("PostgreSQL", url)]
        for desk in desks:
            stack.enter_context(desk.serve(folder))
        threads = [threading.Thread(target=desk.run) for desk in desks]
        for thread in threads:
            thread.start()
        time.sleep(minutes * 60)
        for desk in desks:
            desk.done.set()
        for thread in threads:
            thread.join()
    return sum(report(desk, minutes) for desk in desks)


def report(desk: Soak, minutes: float) -> bool:
    """Write down what was seen; return whether it is a fault."""
    broken = sum(count for status, count in desk.statuses.items() if status >= 500)
    tenths = desk.tenths()
    begin, end = tenths[1], tenths[-1]
    count, slowest = f"{sum(desk.statuses.values()):,}", f"{desk.slowest:.1f} s"
    memory = (f"{begin:.0f} MB", f"{end:.0f} MB")
    record("database", desk.name, f"{minutes:g}", count, str(broken), *memory, slowest)
    course = " ".join(f"{megabytes:.0f}" for megabytes in tenths)
    sys.stdout.write(f"{desk.name}: {dict(desk.statuses)}, memory {course} MB, {slowest}\n")
    return bool(broken) or (minutes >= SETTLES and end > begin * MAX_GROWTH)


if __name__ == "__main__":
    raise SystemExit(main(float(sys.argv[1])))
