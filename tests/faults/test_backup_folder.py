"""Backups are made beside a server, and are good."""

import json
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing
from contextvars import Context
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from omnidesk.db import db, utcnow
from omnidesk.operations.backup import backups, postgresql_programs, sqlite_backup
from omnidesk.operations.backup.backups import newest_backup
from tests.conftest import make_client, make_ticket, on_postgresql, on_sqlite


def run(app: Flask, *command: str, **kwargs: Any) -> Any:
    """Run a command in this process."""
    db.session.rollback()
    return Context().run(app.test_cli_runner().invoke, args=[*command], **kwargs)


def fill() -> None:
    """Make some rows."""
    for _ in range(3):
        make_ticket(description="ñandú 🔑" * 50)


def test_a_backup_is_one_private_file_with_all_rows(app: Flask, tmp_path: Path) -> None:
    fill()
    target = tmp_path / "desk.backup"

    result = run(app, "backup", str(target), "--json")

    assert result.exit_code == 0, result.output
    made = json.loads(result.output)
    assert made["path"] == str(target)
    assert made["bytes"] == target.stat().st_size > 0
    assert made["rows"] > 9
    assert made["newest_change"] >= 6
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [target]


def test_a_backup_takes_the_place_of_an_older_one(app: Flask, tmp_path: Path) -> None:
    target = tmp_path / "desk.backup"
    target.write_text("old")

    result = run(app, "backup", str(target))

    assert result.exit_code == 0, result.output
    assert "found good" in result.output
    assert target.stat().st_size > 1000


@pytest.fixture
def folder(app_with: Any, tmp_path: Path) -> tuple[Flask, Path]:
    """An app with a folder for backups, and the folder."""
    path = tmp_path / "backups"
    path.mkdir()
    return app_with(BACKUP_DIR=str(path)), path


def at(monkeypatch: Any, time: datetime) -> None:
    """Let it be another time for the names of backups."""
    monkeypatch.setattr(backups, "utcnow", lambda: time)


def test_backups_of_a_folder_are_named_after_the_time_listed_and_deleted(
    folder: tuple[Flask, Path], monkeypatch: Any
) -> None:
    app, path = folder
    other = path / "notes-20250101T000000Z.db"
    other.touch()
    now = utcnow()
    for days in (3, 2, 1):
        at(monkeypatch, now - timedelta(days=days))
        assert run(app, "backup").output.endswith("s.\n")
    at(monkeypatch, now)

    listed = run(app, "backups")
    made = json.loads(run(app, "backup", "--keep", "2", "--json").output)
    left = json.loads(run(app, "backups", "--json").output)

    assert [line.split("  ")[1] for line in listed.output.splitlines()] == [
        *("1 day", "2 days", "3 days")
    ]
    assert f"{now:%Y%m%dT%H%M%SZ}" in made["path"]
    assert len(made["deleted"]) == 2
    assert left[0]["path"] == made["path"]
    assert [entry["age_seconds"] // 86_400 for entry in left] == [0, 1]
    assert left[0]["bytes"] == made["bytes"]
    assert other.exists()
    with app.app_context():
        newest = newest_backup()
    assert newest
    assert (str(newest.path), newest.size) == (made["path"], made["bytes"])


def test_what_is_no_file_is_no_backup_and_hides_none(folder: tuple[Flask, Path]) -> None:
    app, path = folder
    with app.app_context():
        (path / backups.new_path(path).name.replace("20", "30", 1)).mkdir()
        (path / backups.new_path(path).name.replace("20", "29", 1)).symlink_to("nowhere")
    others = {*path.iterdir()}

    for _ in range(2):
        assert run(app, "backup", "--keep", "1").exit_code == 0

    listed = json.loads(run(app, "backups", "--json").output)
    assert {*path.iterdir()} == {*others, Path(listed[0]["path"])}
    with app.app_context():
        assert newest_backup()


def test_there_is_no_newest_backup_where_there_is_none(
    folder: tuple[Flask, Path], app: Flask
) -> None:
    other, path = folder
    assert newest_backup() is None, "no BACKUP_DIR"
    with other.app_context():
        assert newest_backup() is None
        path.rmdir()
        assert newest_backup() is None


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["backup"], "set BACKUP_DIR"),
        (["backups"], "set BACKUP_DIR"),
        (["backup", "{folder}/x.db", "--keep", "2"], "--keep is for a folder"),
        (["backup", "{folder}", "--keep", "0"], "--keep"),
        (["backup", "{folder}/nowhere/x.db"], "No such file"),
        (["backup", "{folder}/nowhere/"], "nowhere/ is no folder"),
        (["backup", "/dev/full"], "/dev/full is no file"),
        (["backups", "{folder}/nowhere"], "No such file"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    app: Flask, tmp_path: Path, command: list[str], message: str
) -> None:
    result = run(app, *(part.format(folder=tmp_path) for part in command))

    assert result.exit_code in (1, 2)
    assert message in result.output.splitlines()[-1]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("command", ["backup", "backups"])
def test_a_missing_backup_dir_is_no_file_to_write_to(
    folder: tuple[Flask, Path], command: str
) -> None:
    app, path = folder
    path.rmdir()

    result = run(app, command)

    assert (result.exit_code, result.output) == (1, f"Error: {path} is no folder.\n")
    assert not path.exists()


def test_a_backup_with_other_rows_is_not_called_good(
    app: Flask, tmp_path: Path, monkeypatch: Any
) -> None:
    fill()
    lose_a_row(app, monkeypatch)
    target = tmp_path / "desk.backup"
    target.write_text("the one before")

    result = run(app, "backup", str(target))

    assert result.exit_code == 1
    assert "rows of" in result.output
    assert target.read_text() == "the one before"
    assert [*tmp_path.iterdir()] == [target]


def lose_a_row(app: Flask, monkeypatch: Any) -> None:
    """Let what makes backups lose a client."""
    if db.engine.name == "sqlite":
        copy = sqlite_backup.copy

        def losing(source: Any, target: Path, progress: Any) -> None:
            copy(source, target, progress)
            with closing(sqlite3.connect(target)) as connection:
                connection.execute("DELETE FROM counter")
                connection.commit()

        monkeypatch.setattr(sqlite_backup, "copy", losing)
        return
    from omnidesk.operations.backup import postgresql_backup

    restore = postgresql_backup.restore

    def forgetting(path: Path, url: Any, *options: str) -> None:
        restore(path, url, *options)
        with postgresql_programs.session(url) as connection:
            connection.execute(text("SET search_path = public"))
            connection.execute(text("DELETE FROM ticket WHERE ticket_id = 1"))

    monkeypatch.setattr(postgresql_backup, "restore", forgetting)


@on_sqlite
def test_a_damaged_copy_is_not_called_good(app: Flask, tmp_path: Path, monkeypatch: Any) -> None:
    fill()
    copy = sqlite_backup.copy

    def damaging(source: Any, target: Path, progress: Any) -> None:
        copy(source, target, progress)
        with closing(sqlite3.connect(target)) as connection:
            root = "SELECT rootpage FROM sqlite_master WHERE name = 'ticket'"
            (page,) = connection.execute(root).fetchone()
        with target.open("r+b") as file:
            file.seek(4096 * (page - 1))
            file.write(b"\xff" * 4096)

    monkeypatch.setattr(sqlite_backup, "copy", damaging)

    result = run(app, "backup", str(tmp_path / "desk.backup"))

    assert result.exit_code == 1
    assert [*tmp_path.iterdir()] == []


@on_sqlite
def test_the_database_itself_is_no_target(app: Flask) -> None:
    database = db.engine.url.database or ""

    result = run(app, "backup", database)

    assert result.exit_code == 1
    assert "is the database itself" in result.output


@on_sqlite
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_what_lies_beside_the_database_is_no_target(app: Flask, suffix: str) -> None:
    beside = f"{db.engine.url.database}{suffix}"

    result = run(app, "backup", beside)

    assert (result.exit_code, result.output) == (1, f"Error: {beside} belongs to the database.\n")


@on_sqlite
def test_what_is_written_meanwhile_neither_waits_nor_is_half_there(
    app: Flask, tmp_path: Path, monkeypatch: Any
) -> None:
    fill()
    monkeypatch.setattr(sqlite_backup, "STEP", 1)
    target, names = tmp_path / "desk.backup", list[str]()

    def write(*_: int) -> None:
        if len(names) < 20:
            names.append(make_client(full_name="meanwhile").full_name)

    back_up = sqlite_backup.back_up
    monkeypatch.setattr(sqlite_backup, "back_up", lambda target, _: back_up(target, write))

    result = run(app, "backup", str(target))

    assert result.exit_code == 0, result.output
    assert len(names) == 20
    with closing(sqlite3.connect(target)) as copy:
        found = copy.execute("SELECT count(*) FROM client WHERE full_name = 'meanwhile'").fetchone()
    assert found == (0,)


@pytest.fixture
def without_programs(monkeypatch: Any, tmp_path: Path) -> None:
    """No program of PostgreSQL's is installed."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(postgresql_programs, "INSTALLED", tmp_path)


@on_postgresql
@pytest.mark.usefixtures("without_programs")
def test_a_program_that_is_missing_is_named(app: Flask, tmp_path: Path) -> None:
    result = run(app, "backup", str(tmp_path / "desk.backup"))

    assert result.exit_code == 1
    assert result.output == "Error: pg_dump was not found: install postgresql-client.\n"


@on_postgresql
def test_a_password_is_told_to_programs_where_others_cannot_see_it(
    app_with: Any, database_url: str, tmp_path: Path, monkeypatch: Any
) -> None:
    other = app_with(DATABASE_URL=database_url.replace("desk@", "desk:pass%20word@"))
    started, start = list[Any](), subprocess.run

    def spy(command: Any, **kwargs: Any) -> Any:
        started.append((command, kwargs["env"]))
        return start(command, **kwargs)

    monkeypatch.setattr(subprocess, "run", spy)

    result = run(other, "backup", str(tmp_path / "desk.dump"))

    assert result.exit_code == 0, result.output
    assert [Path(command[0]).name for command, _ in started] == ["pg_dump", "pg_restore"]
    for command, env in started:
        assert "pass word" not in " ".join(command)
        assert env["PGPASSWORD"] == "pass word"


@pytest.fixture
def poor_role(app: Flask) -> Iterator[str]:
    """The name of a role that may read everything, but create no database."""
    with db.engine.begin() as connection:
        connection.execute(text("CREATE ROLE poor LOGIN"))
        connection.execute(text("GRANT pg_read_all_data TO poor"))
    yield "poor"
    with db.engine.begin() as connection:
        connection.execute(text("DROP ROLE poor"))


@on_postgresql
def test_a_role_that_may_not_create_databases_is_told_the_cure(
    app_with: Any, database_url: str, poor_role: str, tmp_path: Path
) -> None:
    other = app_with(DATABASE_URL=database_url.replace("desk@", f"{poor_role}@"))

    result = run(other, "backup", str(tmp_path / "desk.backup"))

    assert result.exit_code == 1
    assert 'run ALTER ROLE "poor" CREATEDB' in result.output
    assert len(result.output.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


@on_postgresql
def test_no_scratch_database_is_left(app: Flask, tmp_path: Path, monkeypatch: Any) -> None:
    fill()
    assert run(app, "backup", str(tmp_path / "one.dump")).exit_code == 0
    lose_a_row(app, monkeypatch)
    assert run(app, "backup", str(tmp_path / "two.dump")).exit_code == 1

    names = db.session.scalars(text("SELECT datname FROM pg_database")).all()
    db.session.rollback()

    assert [name for name in names if "check" in name] == []
    assert [*map(str, tmp_path.iterdir())] == [str(tmp_path / "one.dump")]
