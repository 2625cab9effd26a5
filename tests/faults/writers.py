"""Writers who remember what was acknowledged, and look for it afterwards."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import psycopg
import requests

GIVE_UP = 60  # seconds for one row
DEMO_PASSWORD = "secret"
TIMEOUT = 30  # seconds; longer than any response may take


class Writer(NamedTuple):
    """A user with a token."""

    user_id: int
    headers: dict[str, str]

    @classmethod
    def log_in(cls, address: str, username: str, password: str = DEMO_PASSWORD) -> "Writer":
        """Return a user, such as one of the demo, logged in."""
        body = {"username": username, "password": password}
        answer = requests.post(f"{address}/api/login", json=body, timeout=TIMEOUT).json()
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        return cls(answer["user"]["user_id"], headers)


class Writers:
    """Users who write tickets, and repeat each until it is acknowledged."""

    def __init__(self, addresses: list[str], users: list[Writer], pause: float = 0.02) -> None:
        self.addresses, self.users, self.pause = addresses, users, pause
        self.acknowledged: dict[str, tuple[int, int]] = {}  # ids of ticket and user, by subject
        self.acknowledged_at: list[float] = []
        self.statuses: Counter[Any] = Counter()
        self.slowest = 0.0
        self.done = threading.Event()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let all users write and read meanwhile."""
        threads = [threading.Thread(target=self.write, args=[user]) for user in self.users]
        threads += [threading.Thread(target=self.read, args=[self.users[0]])]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.done.set()
            for thread in threads:
                thread.join()

    def write(self, user: Writer) -> None:
        """Write one ticket after the other."""
        while not self.done.is_set():
            subject, started_at = str(uuid.uuid4()), time.monotonic()
            for attempt in range(10_000):
                headers = user.headers | {"Idempotency-Key": subject}
                address = self.addresses[attempt % len(self.addresses)]
                body = {"client_id": 55, "subject": subject}
                answer = self.send("POST", f"{address}/api/tickets", headers, json=body)
                if answer is not None and answer.status_code == 201:
                    self.acknowledged[subject] = answer.json()["ticket_id"], user.user_id
                    self.acknowledged_at.append(time.monotonic())
                    break
                if time.monotonic() - started_at > GIVE_UP:
                    break
                time.sleep(0.2)
            time.sleep(self.pause)

    def read(self, user: Writer) -> None:
        """Read a list again and again."""
        while not self.done.wait(0.1):
            for address in self.addresses:
                self.send("GET", f"{address}/api/tickets", user.headers)

    def send(self, method: str, url: str, headers: Any, **kwargs: Any) -> Any:
        """Return a response, None without one; count its status, and note how long it took."""
        started_at = time.monotonic()
        try:
            answer = requests.request(method, url, headers=headers, timeout=TIMEOUT, **kwargs)
        except requests.RequestException as error:
            self.statuses[type(error).__name__] += 1
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - started_at)
        self.statuses[answer.status_code] += 1
        return answer

    def write_more(self, count: int, seconds: float) -> None:
        """Return when so many more tickets are acknowledged; raise TimeoutError."""
        goal, end = len(self.acknowledged) + count, time.monotonic() + seconds
        while len(self.acknowledged) < goal:
            if time.monotonic() > end:
                raise TimeoutError(self.statuses)
            time.sleep(0.05)

    def outage(self) -> float:
        """Return the longest time in which nothing was acknowledged."""
        moments = sorted(self.acknowledged_at)
        return max(after - before for before, after in pairwise(moments))

    def faults(self, fetch: Callable[[str], Any]) -> dict[str, int]:
        """Return how many rows are lost or doubled, and how many have a wrong actor.

        `fetch` returns the rows of a query.
        """
        tickets = fetch("SELECT subject, ticket_id FROM ticket")
        changes = fetch(
            "SELECT entity_id, actor FROM change WHERE entity = 'ticket' AND op = 'created'"
        )
        ids, actors, stored = dict(tickets), dict(changes), Counter(row[0] for row in tickets)
        told = self.acknowledged.items()
        return {
            "lost": sum(ids.get(subject) != ticket_id for subject, (ticket_id, _) in told),
            "doubled": sum(stored[subject] > 1 for subject, _ in told),
            "wrong actor": sum(actors.get(row) != user_id for _, (row, user_id) in told),
        }

    def figures(self, found: dict[str, int]) -> list[str]:
        """Return the cells of a row in docs/reliability.md, with what `faults` has found."""
        times = (f"{seconds:.1f} s" for seconds in (self.outage(), self.slowest))
        return [str(len(self.acknowledged)), *map(str, found.values()), *times]


def rows_of(url: str) -> Callable[[str], Any]:
    """Return a function that returns the rows of a query on PostgreSQL."""

    def fetch(query: str) -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    return fetch
