"""What is counted while requests are answered. The labels are bounded: clients choose none."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from time import perf_counter, sleep
from typing import Any

from sqlalchemy import Engine
from werkzeug.routing import Rule

from omnidesk.db.statements import read_pool
from omnidesk.db.usage import FAULTS, Usage, take
from omnidesk.http.request_log import documented_path
from omnidesk.http.shared_metrics import Shared

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)  # seconds
PAUSE = 1  # second in which requests are noted, and then counted together
MAX_NOTED = 100_000
WAITED = "omnidesk.waited"  # in the WSGI environment: seconds that a request waited for changes
SCRAPE = "metrics.scrape"  # the endpoint whose requests are not counted


class RequestMetrics:
    """The counts of this process, or of all workers where they share them."""

    def __init__(self, engines: dict[str, Engine]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
        from prometheus_client.multiprocess import MultiProcessCollector

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        if Shared.folder:
            MultiProcessCollector(self.registry, str(Shared.folder))  # type: ignore[no-untyped-call]
        # What workers share is collected from their files, and not registered.
        own = None if Shared.folder else self.registry
        labels, help_ = ("method", "route"), "Seconds until a response began"
        self.requests = Counter(
            "omnidesk_requests", "Requests answered", (*labels, "status"), registry=own
        )
        self.seconds = Histogram(
            "omnidesk_request_seconds", help_, labels, buckets=BUCKETS, registry=own
        )
        help_ = "Deadlocks and lost connections"
        faults = Counter("omnidesk_database_faults", help_, ("fault",), registry=own)
        self.faults = {fault: faults.labels(fault) for fault in FAULTS}
        self.pools = pool_metrics(engines, own)
        self.of_requests: dict[Any, Any] = {}
        self.noted: deque[Any] = deque(maxlen=MAX_NOTED)
        self.is_waiting = False

    def note(self, method: str, rule: Rule | None, status: str, seconds: float) -> None:
        """Note a request that was answered; it is counted within a second."""
        self.noted.append((method, rule, status, seconds, take()))
        if not self.is_waiting:
            self.is_waiting = True
            Thread(target=self.count_soon, daemon=True).start()

    def count_soon(self) -> None:
        """Count all requests of the next moment together, which takes a fraction of the time."""
        sleep(PAUSE)
        self.is_waiting = False
        self.count_all()

    def count_all(self) -> None:
        """Count the requests that were noted, and the connections that are open."""
        answered: defaultdict[Any, list[float]] = defaultdict(list)
        usages: list[Usage] = []
        with suppress(IndexError):
            while True:
                method, rule, status, seconds, usage = self.noted.popleft()
                usages.append(usage)
                if rule is None or rule.endpoint != SCRAPE:
                    answered[method, rule and rule.rule, status].append(seconds)
        for key, times in answered.items():
            requests, histogram = self.of_requests.get(key) or self.of_request(*key)
            requests.inc(len(times))
            for seconds in times:
                histogram.observe(seconds)
        self.count_usages(usages)

    def of_request(self, method: str, rule: str | None, status: str) -> Any:
        """Return what counts the requests that were answered alike."""
        known = method if method in METHODS else "other"
        labels = known, documented_path(rule) if rule else "none"
        found = self.requests.labels(*labels, status), self.seconds.labels(*labels)
        if method in METHODS:
            self.of_requests[method, rule, status] = found
        return found

    def count_usages(self, usages: list[Usage]) -> None:
        """Count what requests have asked of the database, and the connections that are open."""
        for name, (engine, statements, in_use, connections) in self.pools.items():
            used = [usage.pools[name] for usage in usages if name in usage.pools]
            statements.inc(sum(number for number, _ in used))
            in_use.inc(sum(seconds for _, seconds in used))
            connections.set(open_connections(engine))
        for fault, counter in self.faults.items():
            counter.inc(sum(usage.faults.get(fault, 0) for usage in usages))


def pool_metrics(engines: dict[str, Engine], registry: Any) -> dict[str, tuple[Any, ...]]:
    """Return by pool its engine, and what counts statements, seconds, and open connections."""
    from prometheus_client import Counter, Gauge

    help_ = "Seconds that connections were in use; the rate is how many are at a time"
    found = (
        Counter("omnidesk_database_statements", "Statements run", ("pool",), registry=registry),
        Counter("omnidesk_database_seconds", help_, ("pool",), registry=registry),
        Gauge(
            "omnidesk_database_connections",
            "Connections that are open, in use or idle",
            ("pool",),
            registry=registry,
            multiprocess_mode="livesum",
        ),
    )
    return {
        name: (engine, *(each.labels(name) for each in found)) for name, engine in engines.items()
    }


def open_connections(engine: Engine) -> int:
    """Return how many connections an engine has open in this process."""
    pool: Any = engine.pool
    return int(pool.checkedin() + pool.checkedout() + read_pool(engine).size())


class MeasuredRequests:
    """WSGI middleware that counts each request once it is answered."""

    def __init__(self, wsgi_app: Any, metrics: RequestMetrics) -> None:
        self.wsgi_app, self.metrics = wsgi_app, metrics

    def __call__(self, environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        started_at, status, rule = perf_counter(), "500", None

        def start(line: str, headers: Any, exc_info: Any = None) -> Any:
            nonlocal status, rule
            request = environ.get("werkzeug.request")  # which Flask removes at the end
            status, rule = line[:3], request and request.url_rule
            return start_response(line, headers, exc_info)

        try:
            answer: Iterable[bytes] = self.wsgi_app(environ, start)
        finally:
            seconds = perf_counter() - started_at - environ.get(WAITED, 0)
            self.metrics.note(environ["REQUEST_METHOD"], rule, status, seconds)
        return answer
