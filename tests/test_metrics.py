"""Metrics: who may read them, and what they count."""

import json
import os
import re
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from flask import Flask
from sqlalchemy import text

from omnidesk.changes import waiting
from omnidesk.db import db, statements
from omnidesk.db.usage import note_error
from omnidesk.operations.backup import backups
from tests.conftest import (
    Caller,
    make_conversation,
    make_message,
    make_ticket,
    make_user,
    on_postgresql,
    on_sqlite,
)
from tests.servers import ROOT, gunicorn, run_concurrently, wait_for

HEALTHY = r'omnidesk_requests_total\{method="GET",route="/healthz",status="200"\} (\d+)'
BACKUP = "omnidesk_backup_timestamp_seconds"
LOST = 'omnidesk_database_faults_total{fault="lost connection"}'
DEADLOCK = psycopg.errors.DeadlockDetected("two transactions wait for each other")
END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database()
"""
TOKEN = "a-token-of-prometheus"


@pytest.fixture
def measured(app_with: Any) -> Flask:
    """An app whose settings ask for metrics."""
    app: Flask = app_with(METRICS_TOKEN=TOKEN)
    return app


def scrape(app: Flask, token: str = TOKEN) -> Any:
    """Ask for the metrics as Prometheus does."""
    return Caller(app).get("/metrics", headers={"Authorization": f"Bearer {token}"})


def value(app: Flask, sample: str) -> float | None:
    """Return the value of a sample, None where there is none."""
    for line in scrape(app).text.splitlines():
        if line.startswith(f"{sample} "):
            return float(line.rpartition(" ")[2])
    return None


def test_there_is_no_such_route_without_a_token(anybody: Caller) -> None:
    assert anybody.get("/metrics").status_code == 404


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic " + TOKEN, "Bearer wrong", "Bearer \xff" * 9]
)
def test_others_get_401(measured: Flask, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    answer = Caller(measured).get("/metrics", headers=headers)

    assert answer.status_code == 401
    assert answer.json == {"detail": "Unauthorized"}
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_token_is_found_behind_several_spaces(measured: Flask) -> None:
    headers = {"Authorization": f"bearer  {TOKEN}"}

    assert Caller(measured).get("/metrics", headers=headers).status_code == 200


def test_only_those_without_the_token_are_limited(app_with: Any) -> None:
    app = app_with(METRICS_TOKEN=TOKEN, RATE_LIMIT_ANONYMOUS="3 per minute")

    assert [scrape(app, "wrong").status_code for _ in range(5)] == [401] * 3 + [429] * 2
    assert [scrape(app).status_code for _ in range(5)] == [200] * 5


def test_an_access_token_is_not_enough(measured: Flask, admin: Caller) -> None:
    assert scrape(measured, admin.token).status_code == 401


def test_a_request_is_counted_by_its_route_and_status(measured: Flask) -> None:
    agent, ticket = Caller(measured, make_user()), make_ticket()

    agent.get(f"/api/tickets/{ticket.ticket_id}")
    agent.get("/api/tickets/987654")
    agent.brew("/api/teapots")

    labels = 'method="GET",route="/api/tickets/{ticket_id}"'
    assert value(measured, f'omnidesk_requests_total{{{labels},status="200"}}') == 1
    assert value(measured, f'omnidesk_requests_total{{{labels},status="404"}}') == 1
    assert value(measured, f"omnidesk_request_seconds_count{{{labels}}}") == 2
    other = 'omnidesk_requests_total{method="other",route="none",status="404"}'
    assert value(measured, other) == 1


def test_the_time_that_a_request_waits_for_changes_is_not_counted(
    measured: Flask, monkeypatch: Any
) -> None:
    agent, slept = Caller(measured, make_user()), [0.0]
    monkeypatch.setattr(waiting, "sleep", slept.append)
    monkeypatch.setattr(waiting, "monotonic", lambda: sum(slept))

    agent.get("/api/changes?after=latest&wait=25")

    labels = 'method="GET",route="/api/changes"'
    counted = value(measured, f"omnidesk_request_seconds_sum{{{labels}}}")
    assert counted is not None
    assert counted < 0, "25 seconds were slept in no time"


def test_what_the_database_is_asked_is_counted(measured: Flask) -> None:
    agent, ticket = Caller(measured, make_user()), make_ticket()
    statements = 'omnidesk_database_statements_total{pool="%s"}'
    before = {name: value(measured, statements % name) or 0 for name in ("read", "write")}

    agent.get("/api/tickets")
    agent.post("/api/tickets", json={"client_id": ticket.client_id, "subject": "Printer"})
    agent.patch(f"/api/tickets/{ticket.ticket_id}", json={"status": "cerrado"})

    after = {name: value(measured, statements % name) or 0 for name in ("read", "write")}
    assert after["read"] - before["read"] >= 4, "each request looks its token up"
    assert after["write"] - before["write"] >= 3, "an insert, a select and an update"
    for pool in ("read", "write"):
        assert 0 < (value(measured, f'omnidesk_database_seconds_total{{pool="{pool}"}}') or 0) < 5
        assert value(measured, f'omnidesk_database_connections{{pool="{pool}"}}') is not None
        assert value(measured, f'omnidesk_database_connections_max{{pool="{pool}"}}')


def test_the_desk_is_counted(measured: Flask) -> None:
    make_ticket()
    make_message(make_conversation())

    assert value(measured, 'omnidesk_tickets{status="abierto"}') == 1
    assert value(measured, "omnidesk_conversations_waiting") == 1
    assert value(measured, "omnidesk_messages_unread") == 1
    assert value(measured, "omnidesk_workers") == 0
    assert value(measured, "omnidesk_queued_seconds") == 0
    assert value(measured, "omnidesk_database_up") == 1


def test_a_scrape_is_not_counted_and_not_limited(app_with: Any) -> None:
    app = app_with(METRICS_TOKEN=TOKEN, RATE_LIMIT_ANONYMOUS="1 per hour")

    answers = [scrape(app) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert 'route="/metrics"' not in answers[-1].text


@on_postgresql
def test_deadlocks_and_lost_connections_are_counted(measured: Flask) -> None:
    agent = Caller(measured, make_user())
    agent.get("/api/tickets")
    before = value(measured, LOST) or 0

    with db.engine.begin() as connection:
        connection.execute(text(END_OTHERS))
    agent.get("/api/tickets")

    assert (value(measured, LOST) or 0) > before
    assert value(measured, 'omnidesk_database_faults_total{fault="deadlock"}') == 0
    try:
        raise DEADLOCK
    except psycopg.Error as error:
        note_error(error, lost=False)
    agent.get("/api/tickets")
    assert value(measured, 'omnidesk_database_faults_total{fault="deadlock"}') == 1


@on_sqlite
def test_a_database_that_is_away_leaves_the_other_metrics(measured: Flask, tmp_path: Path) -> None:
    Caller(measured).get("/healthz")
    with measured.app_context():
        file = Path(str(db.engine.url.database))
        statements.read_pool(db.engines["read"]).clear()
    file.rename(tmp_path / "away")
    try:
        answer = scrape(measured)
    finally:
        (tmp_path / "away").rename(file)

    assert answer.status_code == 200
    assert "\nomnidesk_database_up 0.0\n" in answer.text
    assert 'omnidesk_requests_total{method="GET",route="/healthz",status="200"} 1.0' in answer.text


def test_the_newest_backup_is_told(app_with: Any, tmp_path: Path) -> None:
    app = app_with(METRICS_TOKEN=TOKEN, BACKUP_DIR=str(tmp_path))
    assert value(app, BACKUP) is None

    with app.app_context():
        backups.new_path(tmp_path).touch()

    assert time.time() - (value(app, BACKUP) or 0) < 60


def test_each_metric_of_the_dashboard_and_the_manual_exists(app_with: Any, tmp_path: Path) -> None:
    app = app_with(METRICS_TOKEN=TOKEN, BACKUP_DIR=str(tmp_path))
    with app.app_context():
        backups.new_path(tmp_path).touch()
    Caller(app).get("/healthz")
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    expressions = " ".join(
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    )
    manual = (ROOT / "docs/operations/monitoring.md").read_text()

    served = set(re.findall(r"^(omnidesk_\w+)", scrape(app).text, re.MULTILINE))

    shown = set(re.findall(r"omnidesk_\w+", expressions))
    assert len(shown) >= 12
    assert shown <= served
    documented = set(re.findall(r"^\| `(omnidesk_\w+)`", manual, re.MULTILINE))
    assert documented == {re.sub("_(bucket|sum|count)$", "", name) for name in served}
    assert set(re.findall(r"omnidesk_\w+_\w+", manual)) <= served | documented


def shared_folder(pid: str) -> Path:
    """Return the folder in which a worker shares its metrics."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        if "/omnidesk-metrics-" in line:
            return Path(line.split()[-1]).parent
    raise LookupError(pid)


@on_sqlite
def test_workers_share_their_counts_and_leave_them_to_others(
    migrated_app: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with gunicorn(environment | {"METRICS_TOKEN": TOKEN}, tmp_path) as address:

        def count() -> int:
            text = requests.get(f"{address}/metrics", headers=headers, timeout=5).text
            found = re.search(HEALTHY, text)
            return int(found[1]) if found else 0

        def await_count(wanted: int) -> None:
            until = time.monotonic() + 10
            while count() < wanted and time.monotonic() < until:
                time.sleep(0.1)
            assert count() >= wanted

        ask = partial(requests.get, f"{address}/healthz", timeout=5)
        run_concurrently(20, lambda _: ask())
        await_count(20)
        log = (tmp_path / "gunicorn.log").read_text()
        workers = re.findall(r"Booting worker with pid: (\d+)", log)
        folder = shared_folder(workers[0])
        assert folder.stat().st_mode & 0o77 == 0
        for pid in workers:
            os.kill(int(pid), signal.SIGKILL)
        wait_for(f"{address}/healthz", tmp_path / "gunicorn.log")
        run_concurrently(20, lambda _: ask())
        await_count(40)
        places = {path.stem.rpartition("_")[2] for path in folder.glob("counter_[0-9]*.db")}
        assert places <= {"0", "1"}
    assert not folder.exists()
