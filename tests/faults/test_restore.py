"""A backup takes the place of the database, or everything stays as it was."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text

from omnidesk import migrations
from omnidesk.auth.models import UserSession
from omnidesk.clients.models import Client
from omnidesk.conversations.deliveries import Outbox
from omnidesk.conversations.messages import Message
from omnidesk.db import db
from omnidesk.db.sqlite_files import files_at
from omnidesk.operations.restored_messages import RESTORED
from tests.conftest import (
    Caller,
    dispose_engines,
    make_channel,
    make_client,
    make_conversation,
    make_message,
    make_ticket,
    make_user,
    on_sqlite,
)
from tests.faults.test_backup_folder import poor_role
from tests.postgres import free_port
from tests.test_caches import TICKET, Desk, assert_strangers, desk

__all__ = ["desk", "poor_role"]
REFUSED = "is in use: stop the server"


def run(desk: Desk, *command: str, **kwargs: Any) -> Any:
    """Run a command on a database that nobody else has open."""
    db.session.remove()
    dispose_engines()
    result = Context().run(desk.app.test_cli_runner().invoke, args=[*command], **kwargs)
    dispose_engines()
    files_at.cache_clear()
    return result


def back_up(desk: Desk) -> Path:
    """Make a backup; return its path."""
    path = desk.folder / "desk.backup"
    result = run(desk, "backup", str(path))
    assert result.exit_code == 0, result.output
    return path


def names() -> list[str]:
    """Return the names of all clients."""
    found = db.session.scalars(select(Client.full_name).order_by(Client.client_id)).all()
    db.session.remove()
    return list(found)


def restored(desk: Desk, path: Path) -> str:
    """Restore a backup; return what the command says."""
    result = run(desk, "restore", str(path), "--yes")
    assert result.exit_code == 0, result.output
    desk.init_db()
    return str(result.output)


def test_a_restored_database_is_as_it_was_and_another_one_to_everybody(desk: Desk) -> None:
    admin = desk.begin()
    make_ticket()
    path = back_up(desk)
    row = admin.patch(TICKET, json={"subject": "Lost"})
    make_client(full_name="Lost")
    page, feed = admin.get("/api/tickets"), admin.get("/api/changes")
    position = feed.json[-1]["seq"]

    said = restored(desk, path)
    kept = said.strip().rstrip(".").rpartition(" ")[2]
    admin = Caller(desk.app, make_user("admin2", role="admin"))

    assert names() == ["Ada Lovelace"]
    assert kept_names(desk, kept) == ["Ada Lovelace", "Lost"]
    assert migrations.revision() == migrations.NEWEST
    admin.patch(TICKET, json={"subject": "Another"})
    assert_strangers(admin, row, page)
    gone = admin.get(f"/api/changes?after={position}")
    assert (gone.status_code, gone.json["oldest_seq"]) == (410, position + 1_000_001)
    later = admin.get("/api/changes").json
    assert [change["seq"] - position for change in later] == [1_000_001, 1_000_002]
    assert len(admin.get(f"{TICKET}/history").json) == 2


def test_the_path_of_a_backup_may_have_any_bytes(desk: Desk) -> None:
    desk.begin()
    make_client(full_name="Ada Lovelace")
    path = desk.folder / "b\udcff %?#.backup"

    assert run(desk, "backup", str(path)).exit_code == 0
    assert run(desk, "restore", str(path), "--yes").exit_code == 0

    desk.init_db()
    assert names() == ["Ada Lovelace"]


def kept_names(desk: Desk, kept: str) -> list[str]:
    """Return the names of all clients in the database that was kept."""
    if db.engine.name == "sqlite":
        assert [*desk.folder.glob(f"{Path(kept).name}*")] == [Path(kept)]
        with closing(sqlite3.connect(kept)) as connection:
            found = connection.execute("SELECT full_name FROM client ORDER BY client_id").fetchall()
            return [name for (name,) in found]
    engine = create_engine(db.engine.url.set(database=kept))
    with engine.connect() as connection:
        clients = connection.scalars(text("SELECT full_name FROM client ORDER BY client_id")).all()
    engine.dispose()
    return list(clients)


def test_what_a_backup_has_to_send_is_not_sent_by_itself(desk: Desk) -> None:
    admin = desk.begin()
    make_channel()
    chat = make_conversation(channel="telegram", external_chat_id="1")
    address = f"/api/conversations/{chat.conversation_id}/messages"
    for state in ("sent", "sending", "queued"):
        message_id = admin.post(address, json={"content": state}).json["message_id"]
        db.session.get_one(Message, message_id).set_delivery(state)
        db.session.commit()
    path = back_up(desk)

    restored(desk, path)

    admin = Caller(desk.app, make_user("admin2", role="admin"))
    found = [message["delivery"] for message in admin.get(address).json]
    assert [delivery["state"] for delivery in found] == ["sent", "unknown", "unknown"]
    assert found[1]["error"] == found[2]["error"] == RESTORED
    assert db.session.scalars(select(Outbox)).all() == []
    db.session.remove()
    assert admin.post(f"{address}/{message_id}/retry").json["delivery"]["state"] == "queued"


def test_what_a_restored_desk_adds_has_no_number_of_what_is_lost(desk: Desk) -> None:
    desk.begin()
    make_ticket()
    path = back_up(desk)
    lost = make_ticket(client_id=make_client().client_id)
    number, client_id = lost.ticket_id, lost.client_id

    restored(desk, path)
    added = make_ticket(client_id=make_client().client_id)

    assert (added.ticket_id, added.client_id) == (number + 1, client_id + 1)


def test_numbers_that_others_know_are_not_given_out_again_without_the_lost_desk(
    desk: Desk,
) -> None:
    desk.begin()
    make_message(make_conversation())
    path = back_up(desk)
    desk.begin()  # on a new disk, say

    restored(desk, path)
    message = make_message(make_conversation())
    Caller(desk.app, make_user("admin2", role="admin"))

    assert message.message_id == 1_000_002  # by which programs know what they have sent
    assert db.session.scalars(select(UserSession.session_id)).all()[-1] == 1_000_002


def test_a_backup_of_an_older_schema_is_brought_to_the_newest(desk: Desk) -> None:
    desk.begin()
    dispose_engines()
    if db.engine.name == "sqlite":
        desk.file.unlink()
        files_at.cache_clear()
    else:
        desk.make()
    migrations.upgrade("0020_updated_at")
    path = back_up(desk)

    restored(desk, path)

    assert migrations.revision() == migrations.NEWEST


@on_sqlite
@pytest.mark.parametrize(
    ("fault", "message"),
    [("newer", "9999_newer, which is newer"), ("stranger", "is no backup of a desk")],
)
def test_a_backup_that_this_code_cannot_use_changes_nothing(
    desk: Desk, fault: str, message: str
) -> None:
    desk.begin()
    make_client(full_name="Before")
    statement = {
        "newer": "UPDATE alembic_version SET version_num = '9999_newer'",
        "stranger": "DROP TABLE alembic_version",
    }[fault]
    run_sql(statement)
    path = back_up(desk)
    db.session.remove()
    desk.begin()
    make_client(full_name="Now")

    result = run(desk, "restore", str(path), "--yes")

    assert result.exit_code == 1
    assert message in result.output
    assert len(result.output.splitlines()) == 1
    assert names() == ["Now"]
    assert_nothing_left(desk)


def test_a_file_that_is_no_backup_is_named(desk: Desk, tmp_path: Path) -> None:
    desk.begin()
    junk = tmp_path / "junk"
    junk.write_text("This is no backup.\n" * 100)
    db.session.remove()

    result = run(desk, "restore", str(junk), "--yes")

    assert result.exit_code == 1
    assert str(junk) in result.output
    assert len(result.output.splitlines()) == 1


def run_sql(statement: str) -> None:
    """Run a statement."""
    with db.engine.begin() as connection:
        connection.execute(text(statement))


def assert_nothing_left(desk: Desk) -> None:
    """Check that no part of a restore is left."""
    if db.engine.name == "sqlite":
        left = {path.name for path in desk.folder.iterdir()}
        assert left <= {"desk.db", "desk.db-wal", "desk.db-shm", "desk.backup"}
        return
    with desk.elsewhere() as sql:
        found = sql("SELECT datname FROM pg_database WHERE datname ~ '^desk_(restoring|backup)'")
        assert found.scalars().all() == []


def test_a_file_that_is_no_backup_is_refused(desk: Desk) -> None:
    desk.begin()
    path = desk.folder / "notes.txt"
    path.write_text("These are notes. " * 1000)

    result = run(desk, "restore", str(path), "--yes")

    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1


def test_a_damaged_backup_changes_nothing(desk: Desk) -> None:
    desk.begin()
    for number in range(200):
        make_client(full_name=f"{number}")
    path = back_up(desk)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : -200] = bytes(len(content) - len(content) // 2 - 200)
    path.write_bytes(content)

    result = run(desk, "restore", str(path), "--yes")

    assert result.exit_code == 1
    assert len(names()) == 200
    assert_nothing_left(desk)


@on_sqlite
def test_whoever_does_not_confirm_changes_nothing(desk: Desk) -> None:
    desk.begin()
    path = back_up(desk)
    make_client(full_name="After")

    result = run(desk, "restore", str(path), input="n\n")

    assert result.exit_code == 1
    assert "Replace the database" in result.output
    assert names() == ["After"]
    assert run(desk, "restore", str(path), input="y\n").exit_code == 0
    desk.init_db()
    assert names() == []


@contextmanager
def somebody_connected(desk: Desk) -> Iterator[None]:
    """Let another process have the database open."""
    if db.engine.name == "postgresql":
        engine = create_engine(db.engine.url)
        with engine.connect():
            yield
        engine.dispose()
        return
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "c.execute('SELECT * FROM client').fetchall(); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, desk.file], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"open\n"
        yield
        other.communicate(b"\n")


@pytest.mark.parametrize(
    "command", [["restore", "{backup}", "--yes"], ["init-db", "--demo", "--reset"]], ids=str
)
def test_a_database_that_somebody_has_open_is_left_alone(desk: Desk, command: list[str]) -> None:
    desk.begin()
    path = back_up(desk)
    make_client(full_name="Now")
    db.session.remove()
    dispose_engines()

    with somebody_connected(desk):
        result = run(desk, *(part.format(backup=path) for part in command))

    assert result.exit_code == 1
    assert REFUSED in result.output
    assert len(result.output.splitlines()) == 1
    assert names() == ["Now"]
    assert_nothing_left(desk)


@on_sqlite
def test_a_file_that_sqlite_cannot_read_is_kept_with_what_lies_beside_it(desk: Desk) -> None:
    desk.begin()
    make_client(full_name="Before")
    path = back_up(desk)
    desk.file.write_bytes(b"damaged" * 1000)
    Path(f"{desk.file}-wal").write_bytes(b"its changes")

    said = restored(desk, path)
    kept = said.strip().rstrip(".").rpartition(" ")[2]

    assert names() == ["Before"]
    assert Path(kept).read_bytes() == b"damaged" * 1000
    assert Path(f"{kept}-wal").read_bytes() == b"its changes"


@on_sqlite
def test_a_database_that_is_gone_is_restored_with_its_mode(desk: Desk) -> None:
    desk.begin()
    make_client(full_name="Before")
    path = back_up(desk)
    dispose_engines()
    desk.file.unlink()

    said = restored(desk, path)

    assert said == f"{path} was restored.\n"
    assert names() == ["Before"]
    assert desk.file.stat().st_mode & 0o777 == 0o600


@on_sqlite
def test_the_database_itself_is_no_backup(desk: Desk) -> None:
    desk.begin()
    again = desk.folder / "again.db"
    again.hardlink_to(desk.file)

    result = run(desk, "restore", str(again), "--yes")

    assert "is the database itself" in result.output


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True, scope="session")
def test_a_server_that_is_away_is_told(desk: Desk, app_with: Any) -> None:
    desk.begin()
    path = back_up(desk)
    away = app_with(DATABASE_URL=f"postgresql://desk@127.0.0.1:{free_port()}/desk")

    result = Context().run(away.test_cli_runner().invoke, args=["restore", str(path), "--yes"])

    assert result.exit_code == 1
    assert "Connection refused" in result.output


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True, scope="session")
def test_a_role_that_may_not_restore_is_told_the_cure(
    desk: Desk, app_with: Any, poor_role: str
) -> None:
    desk.begin()
    path = back_up(desk)
    url = db.engine.url.set(username=poor_role).render_as_string(hide_password=False)
    poor = app_with(DATABASE_URL=url)

    result = Context().run(poor.test_cli_runner().invoke, args=["restore", str(path), "--yes"])

    assert result.exit_code == 1
    assert 'ALTER ROLE "poor" CREATEDB' in result.output
    assert_nothing_left(desk)
