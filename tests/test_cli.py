"""What an operator types."""

import json
import subprocess
from collections.abc import Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from omnidesk import migrations
from omnidesk.clients.models import Client
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db
from omnidesk.events.models import Event
from omnidesk.sample_data import bulk, demo
from omnidesk.sample_data.rows import MAKERS
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User
from tests.conftest import (
    PASSWORD,
    Caller,
    check_running_totals,
    make_client,
    make_user,
    on_sqlite,
)
from tests.postgres import new_database
from tests.servers import BIN, ROOT, environ, flask, gunicorn


def count(model: type[Base]) -> int:
    """Return how many rows a model has."""
    rows = db.session.scalar(select(func.count()).select_from(model)) or 0
    db.session.rollback()
    return rows


def run(app: Any, *command: str, **kwargs: Any) -> Any:
    """Run a command in this process."""
    return Context().run(app.test_cli_runner().invoke, args=command, **kwargs)


def test_init_db_may_be_run_again(app: Any) -> None:
    result = run(app, "init-db")

    assert result.exit_code == 0
    assert migrations.NEWEST in result.output


@on_sqlite
@pytest.mark.parametrize("exists", [True, False])
def test_init_db_makes_no_database_where_it_is_told_not_to(
    app: Any, app_with: Any, tmp_path: Path, exists: bool
) -> None:
    database = tmp_path / "desk.db"
    if exists:
        database.touch()

    result = run(app_with(DATABASE_URL=f"sqlite:///{database}"), "init-db", "--no-create")

    assert result.exit_code == 1
    assert str(database) in result.output
    assert len(result.output.splitlines()) == 1
    assert database.exists() == exists


def test_init_db_migrates_a_database_that_it_may_not_make(app: Any) -> None:
    assert run(app, "init-db", "--no-create").exit_code == 0


@on_sqlite
def test_strangers_cannot_read_the_database(app: Any, app_with: Any, tmp_path: Path) -> None:
    database, older = tmp_path / "desk.db", tmp_path / "older.db"
    older.touch(0o664)
    older.chmod(0o664)

    for path in (database, older):
        other = app_with(DATABASE_URL=f"sqlite:///{path}")
        assert run(other, "init-db").exit_code == 0
        with other.app_context():
            make_client()
            db.session.remove()

    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes.pop("older.db") == 0o660
    assert {name for name in modes if "desk" in name} == {"desk.db", "desk.db-wal", "desk.db-shm"}
    assert {mode for name, mode in modes.items() if "desk" in name} == {0o600}
    assert not any(mode & 0o007 for mode in modes.values())


def set_revision(revision: str) -> None:
    """Let the database say that its schema is at a revision."""
    version = text("UPDATE alembic_version SET version_num = :revision")
    with db.engine.begin() as connection:
        connection.execute(version, {"revision": revision})


@pytest.fixture
def newer_schema(app: Any) -> Iterator[None]:
    """A database that newer code has migrated."""
    set_revision("9999_newer")
    yield
    set_revision(migrations.NEWEST)


@pytest.fixture
def older_schema(app: Any) -> Iterator[None]:
    """A database that `init-db` is yet to upgrade."""
    set_revision(min(migrations.KNOWN))
    yield
    set_revision(migrations.NEWEST)


@pytest.mark.usefixtures("newer_schema")
def test_a_newer_schema_is_told_in_one_line(
    app: Any, anybody: Caller, environment: dict[str, str], tmp_path: Path
) -> None:
    command = run(app, "init-db")
    with gunicorn(environment, tmp_path, workers=1):
        log = (tmp_path / "gunicorn.log").read_text()
    ready = anybody.get("/readyz")

    assert command.exit_code == 1
    assert "9999_newer, which is newer than this code" in command.output
    assert len(command.output.splitlines()) == 1
    assert len([line for line in log.splitlines() if "9999_newer" in line]) == 1
    assert "Traceback" not in log
    assert ready.status_code == 503
    assert "9999_newer" in ready.json["errors"]["database"][0]


@pytest.mark.usefixtures("newer_schema")
@pytest.mark.parametrize(
    "command",
    [
        ["create-user", "boss", "--password", PASSWORD],
        ["set-password", "emp1", "--password", PASSWORD],
        ["seed", "--tickets", "1", "--yes"],
        ["prune"],
        ["reindex"],
        ["recount"],
        ["export", "DIR"],
        ["import", "DIR"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_works_on_a_newer_schema(app: Any, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    folder = str(tmp_path / ("new" if command[0] == "export" else "empty"))

    result = run(app, *(folder if word == "DIR" else word for word in command))

    assert result.exit_code == 1
    assert "9999_newer, which is newer than this code" in result.output
    assert len(result.output.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.usefixtures("older_schema")
def test_no_command_works_on_an_older_schema(app: Any) -> None:
    result = run(app, "create-user", "boss", "--password", PASSWORD)

    assert result.exit_code == 1
    assert result.output.endswith(": run init-db.\n")
    assert count(User) == 0


def test_the_demo_is_added_once(app: Any) -> None:
    first = run(app, "init-db", "--demo")
    users = count(User)
    second = run(app, "init-db", "--demo")

    assert "The demo data was added." in first.output
    assert "no demo data added" in second.output
    assert count(User) == users == 3


def new_url(database_url: str, tmp_path: Path) -> str:
    """Return the URL of an empty database of the same kind."""
    if database_url.startswith("postgresql"):
        return new_database(database_url)
    return f"sqlite:///{tmp_path}/new.db"


def test_a_changed_demo_is_made_anew(app_with: Any, database_url: str, tmp_path: Path) -> None:
    url = new_url(database_url, tmp_path)
    app = app_with(DATABASE_URL=url)
    first = run(app, "init-db", "--demo", "--reset")
    seeded = run(app, "seed", "--tickets", "50", "--messages", "1200")

    again = run(app, "init-db", "--demo", "--reset")

    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    assert seeded.exit_code == 0, seeded.output
    assert "Rows by table: none." in first.output
    assert "ticket 56" in again.output
    assert "app_user 23" in again.output
    assert url.rpartition("/")[2] in again.output
    assert "The demo data was added." in again.output
    third = run(app, "init-db", "--demo", "--reset")
    assert "ticket 6," in third.output
    assert "app_user 3," in third.output
    assert run(app, "create-user", "new", "--password", PASSWORD).output.startswith("User 4")


@pytest.mark.parametrize(
    ("command", "env", "message"),
    [
        (["init-db", "--reset"], "development", "add --demo"),
        (["init-db", "--reset"], "production", "add --demo"),
        (["init-db", "--demo", "--reset"], "production", "not for production"),
    ],
)
def test_nothing_but_the_demo_is_reset(
    app_with: Any, command: list[str], env: str, message: str
) -> None:
    make_client()

    result = run(app_with(ENV=env), *command)

    assert result.exit_code == 2
    assert message in result.output
    assert count(Client) == 1


def test_the_demo_has_what_the_contract_names(app: Any, anybody: Caller) -> None:
    run(app, "init-db", "--demo")

    for path in ("/api/tickets/7", "/api/tickets/100", "/api/events/42"):
        assert anybody.get(path).status_code == 200
    credentials = {"username": "user1", "password": demo.PASSWORD}
    token = anybody.post("/api/login", json=credentials).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert anybody.get("/api/clients/55", headers=headers).status_code == 200
    summary = anybody.get("/api/summary", headers=headers).json
    assert summary["tickets"]["overdue"] > 0 < summary["tickets"]["unassigned"]
    assert summary["upcoming_events"] > 0 < summary["unread_messages"]


def test_a_row_after_the_demo_gets_a_number_of_its_own(app: Any) -> None:
    run(app, "init-db", "--demo")

    assert make_client().client_id == 59


def test_the_demo_is_refused_in_production(app_with: Any) -> None:
    result = run(app_with(ENV="production"), "init-db", "--demo")

    assert result.exit_code != 0
    assert "not for production" in result.output
    assert count(User) == 0


def test_a_user_is_created_who_can_log_in(app: Any, anybody: Caller) -> None:
    result = run(app, "create-user", "boss", "--role", "admin", input=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0, result.output
    login = anybody.post("/api/login", json={"username": "boss", "password": PASSWORD})
    assert login.json["user"]["role"] == "admin"


def test_a_lost_password_is_replaced(app: Any, anybody: Caller) -> None:
    make_user("boss", role="admin")
    old = anybody.post("/api/login", json={"username": "boss", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {old.json['access_token']}"}
    new = "another good one"

    result = run(app, "set-password", "Boss", input=f"{new}\n{new}\n")

    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "User 1, boss, has a new password."
    assert anybody.get("/api/me", headers=headers).status_code == 401
    for password, status in ((PASSWORD, 401), (new, 200)):
        login = anybody.post("/api/login", json={"username": "boss", "password": password})
        assert login.status_code == status


@pytest.mark.parametrize(
    ("username", "password", "message"),
    [
        ("boss", "password123", "password: Too common"),
        ("nobody", "another good one", "There is no user nobody."),
        ("bo\udcff", "another good one", r"'bo\udcff' is no text in UTF-8."),
    ],
)
def test_a_password_that_cannot_be_set_changes_nothing(
    app: Any, anybody: Caller, username: str, password: str, message: str
) -> None:
    make_user("boss", role="admin")

    result = run(app, "set-password", username, "--password", password)

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {message}")
    assert len(result.output.splitlines()) == 1
    login = anybody.post("/api/login", json={"username": "boss", "password": PASSWORD})
    assert login.status_code == 200


def test_whoever_is_not_active_gets_a_password_and_still_cannot_log_in(app: Any) -> None:
    make_user("gone", active=False)

    result = run(app, "set-password", "gone", "--password", "another good one")

    assert (result.exit_code, "not active" in result.output) == (0, True)


def test_an_error_of_the_driver_is_told_in_one_line(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: int) -> None:
        raise db.engine.dialect.loaded_dbapi.Error("duplicate key")

    monkeypatch.setattr(bulk, "fill", fail)

    result = run(app, "seed", "--tickets", "1")

    assert (result.exit_code, result.output.strip(".\n")) == (1, "Error: duplicate key")


@pytest.mark.parametrize("streams", ["2>&-", "<&- 2>&-"])
def test_a_command_without_standard_error_does_its_work(
    app: Any, environment: dict[str, str], tmp_path: Path, streams: str
) -> None:
    for command in (f"backup {tmp_path}/a", f"export {tmp_path}/b"):
        line = f"{BIN}/flask --app wsgi {command} --json {streams}"
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            env=environ(environment),
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0
        assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("username", "options", "field"),
    [
        ("a b", ["--password", PASSWORD], "username"),
        ("new", ["--password", "short"], "password"),
        ("new", ["--password", "password123"], "password"),
        ("new", ["--password", PASSWORD, "--email", "nobody"], "email"),
        ("TAKEN", ["--password", PASSWORD], "username"),
    ],
)
def test_a_user_with_a_fault_is_not_created(
    app: Any, username: str, options: list[str], field: str
) -> None:
    make_user("taken")

    result = run(app, "create-user", username, *options)

    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {field}: ")
    assert count(User) == 1


@pytest.mark.parametrize(
    "command",
    [["create-user", "boss", "--password", PASSWORD], ["seed", "--tickets", "1", "--yes"]],
)
def test_a_command_before_init_db_says_so_in_one_line(tmp_path: Path, command: list[str]) -> None:
    settings = {"SECRET_KEY": "k" * 48, "DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}

    result = flask(settings, *command)

    assert result.returncode == 1
    assert "has init-db been run?" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def rows(model: type[Base]) -> list[Any]:
    """Return all rows of a model, but for when tickets got their tags."""
    table = model.__table__
    columns = [column for column in table.c if column is not Ticket.__table__.c.updated_at]
    ordered = select(*columns).order_by(*table.primary_key)
    found = [tuple(row) for row in db.session.execute(ordered)]
    db.session.rollback()
    return found


def test_seeds_are_as_many_as_asked_for_and_of_every_kind(app: Any, agent: Caller) -> None:
    result = run(app, "seed", "--tickets", "500", "--messages", "300", "--events", "200")

    assert result.exit_code == 0, result.output
    assert (count(Ticket), count(Message), count(Event)) == (500, 300, 200)
    for conversation_id in range(1, count(Conversation) + 1):
        check_running_totals(conversation_id)
    summary = agent.get("/api/summary").json
    assert sum(summary["tickets"][name] for name in ("open", "in_progress", "closed")) == 500
    assert summary["tickets"]["overdue"] > 0 < summary["tickets"]["unassigned"]
    assert len(agent.get("/api/tickets?limit=200").json) == 200
    assert make_client().client_id == count(Client)


def test_seeds_are_told_by_table_and_none_of_their_users_can_log_in(
    app: Any, anybody: Caller
) -> None:
    result = run(app, "seed", "--tickets", "30", "--comments", "7")

    assert result.output.splitlines()[-1] == (
        "Rows that were added, by table: app_user 20, client 2, ticket 30, comment 7."
    )
    for password in ("none", demo.PASSWORD):
        credentials = {"username": "agent-1", "password": password}
        assert anybody.post("/api/login", json=credentials).status_code == 401


@pytest.mark.parametrize(
    ("options", "answer", "added"),
    [([], "", 0), ([], "n\n", 0), ([], "y\n", 5), (["--yes"], "", 5)],
)
def test_made_up_rows_are_not_added_in_production_unasked(
    app_with: Any, options: list[str], answer: str, added: int
) -> None:
    result = run(app_with(ENV="production"), "seed", "--tickets", "5", *options, input=answer)

    assert ("in production?" in result.output) == (not options)
    assert result.exit_code == int(added == 0)
    assert count(Ticket) == added


def test_seeds_are_the_same_for_the_same_random_seed(
    app: Any, app_with: Any, tmp_path: Path
) -> None:
    bulk.fill(300, 200, 100, random_seed=1)
    first = [rows(model) for model in MAKERS]

    with app_with(DATABASE_URL=f"sqlite:///{tmp_path}/again.db").app_context():
        migrations.upgrade()
        bulk.fill(300, 200, 100, random_seed=1)
        again = [rows(model) for model in MAKERS]
        bulk.fill(300, 0, 0, random_seed=2)
        more = rows(Ticket)[300:]
        db.session.remove()

    assert again == first
    assert [row[1:] for row in more] != [row[1:] for row in first[2]]


@on_sqlite
def test_seeds_break_no_rule(app: Any) -> None:
    bulk.fill(300, 200, 100, random_seed=1)

    assert db.session.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
    assert db.session.execute(text("PRAGMA foreign_key_check")).all() == []
    assert db.session.scalar(text("PRAGMA ignore_check_constraints")) == 0
    db.session.rollback()


@on_sqlite
def test_seeds_leave_the_indexes_in_the_order_that_sqlite_chooses_by(app: Any) -> None:
    bulk.fill(300, 200, 100, random_seed=1)

    made = "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'conversation'"
    indexes = [*db.session.scalars(text(f"{made} AND sql NOT LIKE '%UNIQUE%' ORDER BY rowid"))]
    conditional = [" WHERE " in index for index in indexes]
    assert conditional == sorted(conditional)
    assert any(conditional)
    db.session.rollback()


def test_seeds_keep_what_is_there(app: Any) -> None:
    make_client(full_name="Somebody")

    bulk.fill(10, 10, 10, random_seed=1)

    assert rows(Client)[0][1] == "Somebody"


def test_a_command_without_a_key_says_so_in_one_line(tmp_path: Path) -> None:
    result = flask({"DATABASE_URL": f"sqlite:///{tmp_path}/desk.db"}, "init-db")

    assert result.returncode == 1
    assert "SECRET_KEY" in result.stderr
    assert len(result.stderr.splitlines()) == 1
