"""Backups beside busy writers, and commands that are killed in the middle."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, make_url, text

from omnidesk import migrations
from omnidesk.db import db
from omnidesk.db.sqlite_files import files_at
from omnidesk.sample_data import bulk
from omnidesk.setting_values import database_url
from tests.conftest import KEY, Caller, dispose_engines, make_app, make_user
from tests.faults.killed import run_until, run_until_killed
from tests.postgres import new_database
from tests.servers import BIN, ROOT, environ, flask, gunicorn

TICKETS = 4_000
MOMENTS = (0.5, 0.7, 0.8, 0.9)  # of the time that a command takes
START = "SELECT changes_after FROM database_id"


class Desk:
    """A database with many rows, and commands on it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.settings = {
            "DATABASE_URL": url,
            "SECRET_KEY": KEY,
            "OMNIDESK_ENV": "production",
            "RATE_LIMIT_TOKEN": "",
        }
        app = make_app(url)
        with app.app_context():
            migrations.upgrade()
            self.headers = Caller(app, make_user(role="admin")).headers
            bulk.fill(TICKETS, 0, 0, random_seed=1)
            db.session.remove()
            dispose_engines()

    def run(self, *command: str) -> Any:
        """Run a command to its end."""
        done = flask(self.settings, *command)
        assert done.returncode == 0, done.stderr
        return done

    def kill(self, seconds: float, *command: str) -> None:
        """Run a command for so long, and then kill it."""
        program: list[Any] = [BIN / "flask", "--app", "wsgi", *command]
        env, log = environ(self.settings), (self.folder / "killed.log").open("ab")
        with log, subprocess.Popen(program, env=env, cwd=ROOT, stdout=log, stderr=log) as running:
            time.sleep(seconds)
            running.send_signal(signal.SIGKILL)

    def duration(self, *command: str) -> float:
        """Run a command to its end; return how long it took."""
        started = time.monotonic()
        self.run(*command)
        return time.monotonic() - started

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """Yield a connection in a transaction, and leave none open."""
        files_at.cache_clear()  # another file is no fault here
        engine = create_engine(database_url(self.settings["DATABASE_URL"]))
        with engine.begin() as connection:
            yield connection
        engine.dispose()

    def query(self, sql: str) -> Any:
        """Return the first value that a query finds."""
        with self.connection() as connection:
            return connection.scalar(text(sql))

    def change(self, sql: str) -> None:
        """Change rows that no trigger watches."""
        with self.connection() as connection:
            connection.execute(text(sql))


@pytest.fixture(params=["sqlite", "postgresql"])
def desk(request: Any, tmp_path: Path) -> Desk:
    """A desk with many rows."""
    if request.param == "sqlite":
        (tmp_path / "data").mkdir()
        return Desk(f"sqlite:///{tmp_path}/data/desk.db", tmp_path)
    return Desk(new_database(request.getfixturevalue("postgres_url")), tmp_path)


@contextmanager
def writers(desk: Desk, address: str) -> Iterator[tuple[list[int], list[float]]]:
    """Write all the time; yield the ids that were acknowledged, and how long each took."""
    stop, ids, times = threading.Event(), list[int](), list[float]()

    def write() -> None:
        while not stop.is_set():
            started = time.monotonic()
            answer = requests.post(
                f"{address}/api/clients",
                headers=desk.headers,
                json={"full_name": "Busy"},
                timeout=30,
            )
            times.append(time.monotonic() - started)
            ids.append(answer.json()["client_id"] if answer.status_code == 201 else 0)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield ids, times
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_backup_beside_writers_has_all_that_was_stored_before_it(desk: Desk) -> None:
    target = desk.folder / "desk.backup"
    with gunicorn(desk.settings, desk.folder) as address, writers(desk, address) as (ids, times):
        while len(ids) < 20:
            time.sleep(0.05)
        before = len(ids)
        desk.run("backup", str(target))
        after = len(ids)
    desk.run("restore", str(target), "--yes")

    assert 0 not in ids, "no writer was refused"
    assert after > before + 20
    assert max(times) < 5
    with desk.connection() as connection:
        found = connection.scalars(text("SELECT client_id FROM client")).all()
    assert set(ids[:before]) <= set(found)
    assert max(found) < max(ids)


def test_a_server_that_nobody_has_asked_for_anything_is_not_restored(desk: Desk) -> None:
    target = desk.folder / "desk.backup"
    desk.run("backup", str(target))

    with gunicorn(desk.settings, desk.folder):
        time.sleep(1)  # it connects once it answers
        done = flask(desk.settings, "restore", str(target), "--yes")

    assert done.returncode == 1
    assert "is in use: stop the server" in done.stderr


def test_a_backup_that_is_killed_leaves_the_one_before_and_the_next_one_works(desk: Desk) -> None:
    folder = desk.folder / "backups"
    folder.mkdir()
    whole = desk.duration("backup", str(folder))
    (first,) = folder.iterdir()
    content = first.read_bytes()

    for moment in MOMENTS:
        desk.kill(whole * moment, "backup", str(folder))
        shown = [path for path in folder.iterdir() if not path.name.startswith(".")]
        assert first.read_bytes() == content
        for path in set(shown) - {first}:  # it was complete
            path.unlink()
    time.sleep(whole)  # a program that was started goes on to its end
    desk.run("backup", str(folder), "--keep", "1")

    (left,) = folder.iterdir()
    assert left != first
    assert desk.query("SELECT count(*) FROM ticket") == TICKETS
    if "postgresql" in desk.settings["DATABASE_URL"]:
        scratch = "SELECT count(*) FROM pg_database WHERE datname LIKE '%backup_check'"
        assert desk.query(scratch) == 0


def is_restored(desk: Desk, kill_restore: Callable[[], None]) -> bool:
    """Return whether a restore that is killed has replaced the database, which is whole anyway."""
    desk.change("UPDATE database_id SET id = 'before'")
    start = desk.query(START)
    kill_restore()
    time.sleep(0.2)
    is_done = bool(desk.query("SELECT id FROM database_id") != "before")
    assert (desk.query(START) > start) == is_done
    assert desk.query("SELECT count(*) FROM ticket") == TICKETS
    assert desk.query("SELECT count(*) FROM alembic_version") == 1
    return is_done


def test_a_restore_that_is_killed_at_any_moment_is_done_or_not_done(desk: Desk) -> None:
    target = desk.folder / "desk.backup"
    desk.run("backup", str(target))
    whole = desk.duration("restore", str(target), "--yes")

    for moment in MOMENTS:
        is_restored(desk, partial(desk.kill, whole * moment, "restore", str(target), "--yes"))
    time.sleep(whole)
    desk.run("restore", str(target), "--yes")

    assert desk.query("SELECT count(*) FROM ticket") == TICKETS
    with gunicorn(desk.settings, desk.folder) as address:
        assert requests.get(f"{address}/readyz", timeout=30).status_code == 200


UNFINISHED = {
    "sqlite": (
        ("sqlite_backup:copy", "backup", "new.backup"),
        ("sqlite_restore:fill", "restore", "desk.backup", "--yes"),
    ),
    "postgresql": (
        ("postgresql_backup:restore", "backup", "new.backup"),
        ("postgresql_backup:restore", "restore", "desk.backup", "--yes"),
    ),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_told_to_end_leaves_nothing_unfinished(desk: Desk, number: int) -> None:
    target = desk.folder / "desk.backup"
    desk.run("backup", str(target))
    before = left_by(desk)

    for step, command, name, *options in UNFINISHED[kind_of(desk)]:
        place = f"omnidesk.operations.backup.{step}"
        path = str(desk.folder / name)
        run_until(number, desk.settings, place, 1, command, path, *options)
        assert left_by(desk) == before, command


def kind_of(desk: Desk) -> str:
    """Return what a desk's database is."""
    return make_url(desk.settings["DATABASE_URL"]).get_backend_name()


def left_by(desk: Desk) -> set[str]:
    """Return the files and the databases that there are, without those that SQLite reads with."""
    found = {str(path) for path in desk.folder.rglob("*") if path.suffix != ".log"}
    found = {path for path in found if not path.endswith(("-wal", "-shm"))}
    if kind_of(desk) == "postgresql":
        names = "SELECT string_agg(datname, ' ') FROM pg_database"
        found.update(desk.query(names).split())
    return found


# The steps of a restore, and whether it is done after them.
RESTORE_STEPS = {
    "sqlite": {
        "sqlite_restore:fill": False,
        "sqlite_restore:put_aside": False,
        "sqlite_restore:put_in_place": True,
    },
    "postgresql": {
        "postgresql_backup:restore": False,
        "postgresql_restore:prepare": False,
        "postgresql_restore:swap": True,
    },
}


def test_a_restore_that_is_killed_after_a_step_is_done_only_after_the_last(desk: Desk) -> None:
    target = desk.folder / "desk.backup"
    desk.run("backup", str(target))
    steps = RESTORE_STEPS[kind_of(desk)]

    for step, is_done in steps.items():
        name = f"omnidesk.operations.backup.{step}"
        killed = partial(run_until_killed, desk.settings, name, 1, "restore", str(target), "--yes")
        assert is_restored(desk, killed) == is_done, step
    desk.run("restore", str(target), "--yes")

    assert desk.query("SELECT count(*) FROM ticket") == TICKETS


def test_a_cleanup_that_is_killed_leaves_a_log_without_a_gap(desk: Desk) -> None:
    desk.change("UPDATE change SET at = '2025-01-01 00:00:00+00:00'")
    newest = desk.query("SELECT max(seq) FROM change")
    with gunicorn(desk.settings, desk.folder) as address, writers(desk, address) as (ids, _):
        for seconds in (1.0, 1.2, 1.4, 1.6):
            desk.kill(seconds, "prune", "--change-log-days", "30")
            start = desk.query(START)
            first = desk.query("SELECT min(seq) FROM change")
            assert start < first
        pruned = desk.run("prune", "--change-log-days", "30")

    assert 0 not in ids
    assert "changes were deleted" in pruned.stdout
    assert desk.query(START) == newest
    assert desk.query("SELECT count(*) FROM change") == len(ids)
