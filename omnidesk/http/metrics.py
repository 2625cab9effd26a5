"""Metrics for Prometheus: `GET /metrics`, where the settings have a token for it.

Without the token nothing is counted, and prometheus-client is not imported.
"""

from collections.abc import Callable, Iterable, Iterator
from hmac import compare_digest
from time import time
from typing import Any

from flask import Flask, Response, current_app, g, request
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from omnidesk.db import db
from omnidesk.db.counters import Counter
from omnidesk.db.engines import MAX_COUNTING
from omnidesk.db.request_deadline import within_deadline
from omnidesk.db.session import RATE_LIMITS, READ
from omnidesk.db.statements import Statement
from omnidesk.db.usage import measure
from omnidesk.http.blueprint import Blueprint, bearer_token
from omnidesk.http.errors import http_error, invalid_token
from omnidesk.http.rate_limits import strangers_counted
from omnidesk.http.request_metrics import MeasuredRequests, RequestMetrics

MAX_WAIT = 2  # seconds that a scrape waits for PostgreSQL
STATUSES = ("abierto", "en_progreso", "cerrado")
COUNTED = {  # by triggers: what is counted under a name, and the metric of it
    "unassigned": ("omnidesk_tickets_unassigned", "Tickets not closed that nobody has"),
    "waiting": ("omnidesk_conversations_waiting", "Active conversations whose client waits"),
    "unread": ("omnidesk_messages_unread", "Unread messages of clients"),
}
NAMES = (*STATUSES, *COUNTED)
COUNTS = Statement(select(*[Counter.value(name).label(f"count_{name}") for name in NAMES]))


class MetricsBlueprint(Blueprint):
    """The route, which needs the token of the settings; with it, a request counts nowhere."""

    def _authorize(self) -> None:
        """Raise 401 without the token, or 429 for too many such requests."""
        g.user = None
        if request.method != "OPTIONS":
            with strangers_counted():
                require_token(request.headers.get("Authorization", ""))


def require_token(header: str) -> None:
    """Raise 401 unless an Authorization header has the token of the settings."""
    token = bearer_token(header)
    if not token:
        raise http_error(401)
    wanted: str = current_app.config["METRICS_TOKEN"]
    if not compare_digest(token.encode(errors="replace"), wanted.encode()):
        raise invalid_token()


blp = MetricsBlueprint("metrics", url_prefix="")


@blp.get("/metrics")
def scrape() -> Response:
    """Tell the counts of all workers, and those of the desk"""
    from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

    metrics: RequestMetrics = current_app.extensions["metrics"]
    metrics.count_all()
    with within_deadline(MAX_WAIT):
        text = generate_latest(metrics.registry)
    return Response(text, content_type=CONTENT_TYPE_LATEST)


class Desk:
    """What is looked up when somebody asks: counts of rows, the last backup, the settings.

    `newest_backup` returns a backup with its age in seconds, or None; `sending` what there is to
    tell of what the worker sends: gauges by name, each with what it says.
    """

    def __init__(
        self,
        config: dict[str, Any],
        newest_backup: Callable[[], Any],
        sending: Callable[[], Iterable[tuple[str, str, float]]],
    ) -> None:
        self.config, self.newest_backup, self.sending = config, newest_backup, sending

    def collect(self) -> Iterator[Any]:
        """Yield the metrics; the counts only if the database answers."""
        from prometheus_client.core import GaugeMetricFamily

        up = GaugeMetricFamily("omnidesk_database_up", "Whether the database answers")
        try:
            (counts,) = COUNTS.fetch()
        except (SQLAlchemyError, ValueError):
            counts = ()
        up.add_metric((), bool(counts))
        yield up
        tickets = GaugeMetricFamily("omnidesk_tickets", "Tickets by status", labels=("status",))
        for name, count in zip(NAMES, counts, strict=False):
            if name in STATUSES:
                tickets.add_metric((name,), count)
            else:
                yield GaugeMetricFamily(*COUNTED[name], count)
        yield tickets
        if counts:
            for gauge in self.sending():
                yield GaugeMetricFamily(*gauge)
        yield self.limits()
        if backup := self.newest_backup():
            help_ = "When the newest backup was begun, in seconds since 1970"
            begun_at = time() - backup.age
            yield GaugeMetricFamily("omnidesk_backup_timestamp_seconds", help_, begun_at)

    def limits(self) -> Any:
        """Return how many connections the pools of all workers may open."""
        from prometheus_client.core import GaugeMetricFamily

        limits = GaugeMetricFamily(
            "omnidesk_database_connections_max", "Connections that may be open", labels=("pool",)
        )
        workers, threads = self.config["WEB_CONCURRENCY"], self.config["THREADS"]
        writers = threads if db.engine.name == "postgresql" else 1
        for pool, each in (("write", writers), (READ, threads), (RATE_LIMITS, MAX_COUNTING)):
            limits.add_metric((pool,), workers * each)
        return limits


def init_app(app: Flask, *looked_up: Callable[[], Any]) -> None:
    """Count the requests of an app, and serve the counts, and what `Desk` looks up."""
    with app.app_context():
        engines = {"write": db.engine, READ: db.engines[READ], RATE_LIMITS: db.engines[RATE_LIMITS]}
    for name, engine in engines.items():
        measure(name, engine)
    metrics = app.extensions["metrics"] = RequestMetrics(engines)
    metrics.registry.register(Desk(app.config, *looked_up))
    app.wsgi_app = MeasuredRequests(app.wsgi_app, metrics)  # type: ignore[method-assign]
    app.register_blueprint(blp)
