"""A desk moved to another database: the same rows, and the work goes on."""

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from omnidesk import migrations
from omnidesk.conversations.deliveries import Outbox
from omnidesk.conversations.messages import Message
from omnidesk.db import Base, db
from omnidesk.db.change_log import Change
from omnidesk.operations.restored_messages import RESTORED
from omnidesk.operations.transfer import export_desk
from omnidesk.operations.transfer.desk_files import LEFT_OUT, tables
from omnidesk.sample_data import demo
from omnidesk.users.models import User
from tests.conftest import Caller, make_channel, make_conversation, make_user, on_sqlite
from tests.postgres import new_database
from tests.routes import contents
from tests.test_cli import run

ALONE = {entity.__tablename__ for entity in LEFT_OUT}


@pytest.fixture
def desk(app: Flask) -> Flask:
    """A desk with rows of every kind, whose last ticket was deleted."""
    demo.add()
    admin = Caller(app, make_user("admin1", role="admin"))
    admin.post("/api/clients/58/merge", json={"into": 57})
    admin.delete(f"/api/events/{admin.post('/api/events', json=EVENT).json['event_id']}")
    rows = [{"external_id": "é\u2028", "full_name": "Zoë", "created_at": "2019-03-04T09:12:00Z"}]
    admin.post("/api/imports/clients", json={"source": "old", "rows": rows})
    return app


EVENT = {
    "title": "Call",
    "start_time": "2025-11-01T15:00:00Z",
    "end_time": "2025-11-01T15:30:00Z",
}


@pytest.fixture
def new_desk(
    app_with: Callable[..., Flask], tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[str], Flask]:
    """Make a desk without rows on a database of its own."""

    def make(kind: str) -> Flask:
        url = f"sqlite:///{tmp_path}/new.db"
        if kind == "postgresql":
            url = new_database(request.getfixturevalue("postgres_url"))
        made = app_with(DATABASE_URL=url)
        with made.app_context():
            migrations.upgrade()
        return made

    return make


def rows_of(app: Flask) -> dict[str, Any]:
    """Return all rows of a desk that are moved."""
    with app.app_context():
        found = {name: rows for name, rows in contents().items() if name not in ALONE}
        names = [column.name for column in Change.__table__.columns]
        place = names.index("transaction_id")
        found["change"] = [row[:place] + row[place + 1 :] for row in found["change"]]
        found["counter"] = sums(found["counter"])
    return found


def sums(counters: Any) -> dict[str, int]:
    """Return counts by name, however they are spread."""
    total: dict[str, int] = {}
    for name, _, count in counters:
        total[name] = total.get(name, 0) + count
    return {name: count for name, count in total.items() if count}


def move(old: Flask, new: Flask, folder: Path) -> None:
    """Export a desk and import it."""
    for app, command in ((old, "export"), (new, "import")):
        result = run(app, command, str(folder))
        assert result.exit_code == 0, result.output


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_desk_is_moved_and_goes_on(
    desk: Flask, new_desk: Callable[[str], Flask], tmp_path: Path, kind: str
) -> None:
    other = new_desk(kind)
    login = {"username": "admin", "password": demo.PASSWORD}
    old_etag = Caller(desk).get("/api/tickets/100").headers["ETag"]
    summary = Caller(desk, as_admin(desk)).get("/api/summary").json

    move(desk, other, tmp_path / "export")

    assert rows_of(other) == rows_of(desk)
    token = Caller(other).post("/api/login", json=login).json["access_token"]
    caller = Caller(other)
    caller.headers["Authorization"] = f"Bearer {token}"
    assert caller.get("/api/summary").json == summary
    assert caller.get("/api/tickets/100").headers["ETag"] != old_etag
    event = caller.post("/api/events", json=EVENT).json
    ticket = caller.post("/api/tickets", json={"client_id": 55, "subject": "Anew"}).json
    caller.put(f"/api/tickets/{ticket['ticket_id']}/tags/vip")
    assert (event["event_id"], ticket["ticket_id"]) == (47, 103)
    assert [found["subject"] for found in caller.get("/api/tickets?q=anew").json] == ["Anew"]
    assert len(caller.get("/api/tickets?q=login").json) == 1
    seqs = [change["seq"] for change in caller.get("/api/changes?limit=200").json]
    assert seqs == sorted(seqs)
    assert caller.get("/api/tickets/103/history").json[-1]["op"] == "created"
    tags = {tag["tag"]: tag["tickets"] for tag in caller.get("/api/tags").json}
    assert tags["vip"] == 2


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_a_desk_has_to_send_is_not_sent_by_another_by_itself(
    desk: Flask, new_desk: Callable[[str], Flask], tmp_path: Path, kind: str
) -> None:
    other = new_desk(kind)
    make_channel(channel="sales")
    chat = make_conversation(channel="sales", external_chat_id="1")
    address = f"/api/conversations/{chat.conversation_id}/messages"
    admin = Caller(desk, as_admin(desk))
    message_id = admin.post(address, json={"content": "Hello"}).json["message_id"]

    move(desk, other, tmp_path / "export")

    with other.app_context():
        message = db.session.get_one(Message, message_id)
        assert (message.delivery_state, message.delivery_error) == ("unknown", RESTORED)
        assert db.session.scalars(select(Outbox)).all() == []
        newest = db.session.scalars(select(Change).order_by(Change.seq.desc()).limit(1)).one()
        assert (newest.entity_id, json.loads(str(newest.after))["delivery_state"]) == (
            *(message_id, "unknown"),
        )
        db.session.remove()


def as_admin(app: Flask) -> Any:
    """Return an admin of a desk."""
    with app.app_context():
        return db.session.get(User, 1)


def test_every_table_is_moved_or_left_out_on_purpose() -> None:
    assert {table.name for table in tables()} | ALONE == {*Base.metadata.tables}


def test_an_export_is_secret(desk: Flask, tmp_path: Path) -> None:
    run(desk, "export", str(tmp_path / "export"))

    assert (tmp_path / "export").stat().st_mode & 0o777 == 0o700
    modes = {file.stat().st_mode & 0o777 for file in (tmp_path / "export").iterdir()}
    assert modes == {0o600}


def test_an_export_that_fails_says_why_and_leaves_nothing(
    desk: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_desk, "dumps", fail)

    result = run(desk, "export", str(tmp_path / "out"))

    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: No space left on device"
    assert [*tmp_path.glob("*out*")] == []


def test_some_entities_can_be_exported_and_not_imported(
    desk: Flask, new_desk: Callable[[str], Flask], tmp_path: Path
) -> None:
    folder = tmp_path / "export"

    result = run(desk, "export", str(folder), "--entities", "clients,comments", "--json")

    assert json.loads(result.stdout) == {"client": 6, "identity": 3, "comment": 2}
    assert {file.stem for file in folder.iterdir()} == {"client", "identity", "comment", "manifest"}
    assert "has some entities only" in run(new_desk("sqlite"), "import", str(folder)).output


def test_a_desk_that_has_rows_is_not_written_over(desk: Flask, tmp_path: Path) -> None:
    before = contents()
    run(desk, "export", str(tmp_path / "export"))

    result = run(desk, "import", str(tmp_path / "export"))

    assert result.exit_code == 1
    assert "The desk is not empty: app_user has rows." in result.output
    assert contents() == before


def test_a_folder_that_is_there_is_not_written_over(desk: Flask, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    result = run(desk, "export", str(tmp_path))

    assert result.exit_code == 1
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_second_export_to_the_folder_of_one_that_runs_is_refused(
    desk: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export_meanwhile(connection: Any, table: Any, folder: Path) -> int:
        if not seconds:
            seconds.append(None)
            seconds[0] = run(desk, "export", str(tmp_path / "export"))
        return write(connection, table, folder)

    write, seconds = export_desk.write, list[Any]()
    monkeypatch.setattr(export_desk, "write", export_meanwhile)

    first = run(desk, "export", str(tmp_path / "export"), "--json")

    assert seconds[0].exit_code == 1
    assert "Another process is writing" in seconds[0].output
    written = {
        path.stem: path.read_text().count("\n") for path in (tmp_path / "export").glob("*.ndjson")
    }
    assert written == json.loads(first.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


EARLIEST = "0001-01-01T00:00:00+14:00"
DAMAGE: dict[str, tuple[str, Callable[[str], str]]] = {
    "a row that is missing": ("comment.ndjson", lambda text: text.partition("\n")[2]),
    "a file cut off": ("comment.ndjson", lambda text: text[:-20]),
    "another column": ("comment.ndjson", lambda text: text.replace("body", "text")),
    "a reference to nothing": ("comment.ndjson", lambda text: text.replace(":100,", ":999,")),
    "a broken rule": ("ticket.ndjson", lambda text: text.replace("abierto", "cerrado")),
    "another version": (
        "manifest.json",
        lambda text: text.replace(': "0', ': "9'),
    ),
    "an id beyond all numbers": (
        "client.ndjson",
        lambda text: text.replace('"client_id":5', f'"client_id":{10**20}'),
    ),
    "a last number beyond all numbers": (
        "manifest.json",
        lambda text: re.sub(r'(?s)(last_numbers.*"client": )\d+', rf"\g<1>{10**20}", text),
    ),
    "a time before all times": (
        "client.ndjson",
        lambda text: re.sub('"created_at":"[^"]+"', f'"created_at":"{EARLIEST}"', text),
    ),
    "half of a character": ("client.ndjson", lambda text: text.replace("Zoë", r"\ud800")),
    "a line too deep": ("client.ndjson", lambda text: f"{text}{'[' * 200_000}\n"),
    "a manifest too deep": ("manifest.json", lambda _: "[" * 200_000),
    "no manifest": ("manifest.json", lambda _: ""),
    "a manifest that is a list": ("manifest.json", lambda text: f"[{text}]"),
    "a manifest without counts": ("manifest.json", lambda text: text.replace('"rows"', '"rose"')),
    "counts that are none": (
        "manifest.json",
        lambda text: text.replace('"rows": {', '"rows": 5, "a": {'),
    ),
    "a count in words": (
        "manifest.json",
        lambda text: text.replace('"last_numbers": {', '"last_numbers": {"a": "two", '),
    ),
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@on_sqlite
def test_a_damaged_export_changes_nothing(
    desk: Flask, new_desk: Callable[[str], Flask], tmp_path: Path, kind: str
) -> None:
    folder, other = tmp_path / "export", new_desk(kind)
    run(desk, "export", str(folder))
    empty = rows_of(other)

    for why, (name, change) in DAMAGE.items():
        whole = (folder / name).read_text()
        (folder / name).write_text(change(whole))

        result = run(other, "import", str(folder))

        assert result.exit_code == 1, why
        assert result.output.splitlines()[-1].startswith("Error: "), (why, result.exception)
        assert rows_of(other) == empty, why
        (folder / name).write_text(whole)
    assert run(other, "import", str(folder)).exit_code == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@on_sqlite
def test_the_order_of_the_keys_in_a_line_plays_no_role(
    desk: Flask, new_desk: Callable[[str], Flask], tmp_path: Path, kind: str
) -> None:
    folder, other = tmp_path / "export", new_desk(kind)
    run(desk, "export", str(folder))
    *lines, last = (folder / "app_user.ndjson").read_text().splitlines()
    turned = json.dumps(dict(reversed(json.loads(last).items())))
    (folder / "app_user.ndjson").write_text("\n".join([*lines, turned, ""]))

    assert run(other, "import", str(folder)).exit_code == 0

    assert rows_of(other) == rows_of(desk)


def test_rows_that_come_meanwhile_are_not_exported(
    desk: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_meanwhile(connection: Any, table: Any, folder: Path) -> int:
        count = write(connection, table, folder)
        Caller(desk, as_admin(desk)).post("/api/clients", json={"full_name": table.name})
        return count

    write = export_desk.write
    monkeypatch.setattr(export_desk, "write", write_meanwhile)

    result = run(desk, "export", str(tmp_path / "export"), "--json")

    assert json.loads(result.stdout)["client"] == 6
    changes = (tmp_path / "export" / "change.ndjson").read_text().splitlines()
    assert "app_user" not in changes[-1]


@pytest.mark.parametrize(
    "command",
    [
        ("export", "x", "--entities", "clients,ticket"),
        ("import", ".", "--from", "csv"),
        ("import", __file__),
    ],
)
@on_sqlite
def test_commands_that_make_no_sense(app: Flask, command: tuple[str, ...]) -> None:
    assert run(app, *command).exit_code == 2
