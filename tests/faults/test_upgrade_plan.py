"""What an upgrade would do, and how it waits for others."""

import json
import sys
import threading
import time
from subprocess import PIPE, Popen
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from omnidesk import migrations
from omnidesk.db import db
from omnidesk.operations import upgrade_plan
from omnidesk.sample_data import bulk
from tests.conftest import on_postgresql, on_sqlite
from tests.faults.test_migrations import empty
from tests.test_cli import run

__all__ = ["empty"]  # a fixture


def test_there_is_nothing_to_do_at_the_newest_schema(app: Flask) -> None:
    result = run(app, "init-db", "--plan")

    assert result.exit_code == 0
    assert result.output == (
        f"The schema is at {migrations.NEWEST}, the newest. There is nothing to do.\n"
    )


def test_a_plan_names_the_migrations_and_the_disk_and_changes_nothing(
    empty: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrations.upgrade("0024_long_events")
    monkeypatch.setattr(upgrade_plan, "row_count", lambda: 2_000_000)

    result = run(empty, "init-db", "--plan")

    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "The schema is at 0024_long_events. For about 2,000,000 rows:"
    assert [line.split()[0] for line in lines[1:4]] == [
        "0025_inbox",
        "0026_inbound",
        "0027_cases",
    ]
    seconds = 2 * upgrade_plan.FIGURES["0026_inbound"][db.engine.name == "postgresql"]
    assert lines[2].endswith(f"about {seconds:.0f} seconds")
    assert any("of the disk" in line for line in lines)
    assert "Stop the server first" in lines[-1]
    assert migrations.revision() == "0024_long_events"


def test_a_plan_says_of_each_migration_how_long_it_takes(empty: Flask) -> None:
    migrations.upgrade("0013_input")

    lines = run(empty, "init-db", "--plan").output.splitlines()

    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if line.startswith("  ")}
    assert told["0016_bytewise_keys"] == "not measured"
    assert told["0019_found"] == "about a second"
    assert told["0033_webhooks"] == "a moment"


def test_rows_are_counted_in_any_version(empty: Flask) -> None:
    assert upgrade_plan.plan().rows == 0
    migrations.upgrade()
    bulk.fill(tickets=50, messages=20, events=5, random_seed=7, comments=10)

    assert 85 <= upgrade_plan.row_count() <= 120


def test_each_migration_that_was_measured_exists() -> None:
    assert set(upgrade_plan.FIGURES) <= migrations.KNOWN


def test_a_newer_schema_is_told_in_one_line(empty: Flask) -> None:
    migrations.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999_future'"))

    result, diagnosis = run(empty, "init-db", "--plan"), run(empty, "doctor", "--json")

    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "newer than this code" in result.output
    (found,) = (
        each for each in json.loads(diagnosis.output)["findings"] if each["check"] == "schema"
    )
    assert found["problem"].endswith(f"newer than this code ({migrations.NEWEST}).")
    assert found["cure"].startswith("Install the newer code")


def test_pending_migrations_are_found_by_the_doctor(empty: Flask) -> None:
    migrations.upgrade("0024_long_events")

    findings = json.loads(run(empty, "doctor", "--json").output)["findings"]

    (found,) = (each for each in findings if each["check"] == "schema")
    assert found["level"] == "fault"
    assert "migrations are pending" in found["problem"]
    assert "init-db" in found["cure"]


@on_sqlite
def test_a_database_that_is_not_there_has_a_plan(app_with: Any, tmp_path: Any) -> None:
    app = app_with(DATABASE_URL=f"sqlite:///{tmp_path}/absent.db")

    result = run(app, "init-db", "--plan")

    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert not (tmp_path / "absent.db").exists()


OPEN = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM ticket").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


@on_sqlite
def test_init_db_says_that_the_server_must_stop_while_it_runs(empty: Flask) -> None:
    migrations.upgrade("0026_inbound")
    file = str(db.engine.url.database)
    with Popen([sys.executable, "-c", OPEN, file], stdin=PIPE, stdout=PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        beside = run(empty, "init-db")
        other.communicate()
    again = run(empty, "init-db")

    assert beside.exit_code == again.exit_code == 0
    assert "Stop the server first" in beside.output
    assert "Stop the server first" not in again.output


@on_postgresql
def test_migrations_keep_nobody_waiting_while_they_wait_themselves(
    empty: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MAX_LOCK_WAIT", "200ms")
    monkeypatch.setattr(migrations, "PAUSE", 0.1)
    migrations.upgrade("0024_long_events")
    waits: list[float] = []

    def read(seconds: float) -> None:
        with empty.app_context():
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                started_at = time.monotonic()
                with db.engine.begin() as connection:
                    connection.execute(text("SELECT count(*) FROM conversation"))
                waits.append(time.monotonic() - started_at)
                time.sleep(0.02)

    with db.engine.connect() as holder:
        holder.execute(text("SELECT count(*) FROM conversation"))
        upgrade = threading.Thread(target=in_context, args=(empty, migrations.upgrade))
        upgrade.start()
        read(1.2)
        holder.rollback()
    upgrade.join()

    assert max(waits) < 0.8
    assert migrations.revision() == migrations.NEWEST


def in_context(app: Flask, act: Any) -> None:
    """Call a function in a context of its own."""
    with app.app_context():
        act()
