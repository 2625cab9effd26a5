"""What the doctor finds, and what it leaves alone."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, text

from omnidesk import migrations
from omnidesk.auth.models import UserSession
from omnidesk.channels.models import Channel
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.operations import counts, upgrade_plan
from omnidesk.operations.backup import backups
from omnidesk.operations.backup.backing_up import back_up
from omnidesk.operations.doctor import database_checks
from omnidesk.operations.doctor.diagnosis import diagnose
from omnidesk.operations.doctor.findings import FAULT, WARNING
from omnidesk.setting_values import network
from omnidesk.users import passwords
from omnidesk.worker.heartbeat import Worker
from tests.conftest import (
    check_running_totals,
    make_conversation,
    make_event,
    make_message,
    make_messages,
    make_ticket,
    make_user,
    on_postgresql,
    on_sqlite,
    save,
)
from tests.faults.test_backup_folder import poor_role, without_programs
from tests.postgres import free_port
from tests.test_cli import run
from tests.webhooks import make_webhook

__all__ = ["poor_role", "without_programs"]  # fixtures


@pytest.fixture
def healthy(tmp_path: Path) -> dict[str, Any]:
    """Settings with which nothing is wrong."""
    return {
        "ENV": "production",
        "PUBLIC_READS": [],
        "TRUSTED_PROXIES": [network("127.0.0.1")],
        "BACKUP_DIR": str(tmp_path),
    }


@pytest.fixture
def desk(app_with: Any, healthy: dict[str, Any]) -> Iterator[Flask]:
    """A desk with a backup, on which nothing is wrong."""
    app: Flask = app_with(**healthy)
    with app.app_context():
        back_up(Path(healthy["BACKUP_DIR"]), None)
        yield app
        db.session.remove()


def found(app: Flask) -> list[tuple[str, str]]:
    """Return the name and the level of each finding."""
    with app.app_context():
        return [(finding.check, finding.level) for finding in diagnose().findings]


def write(*statements: str) -> None:
    """Run statements, without triggers on PostgreSQL."""
    with db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            connection.execute(text(statement))


def test_nothing_is_found_where_nothing_is_wrong(desk: Flask) -> None:
    make_ticket(due_at=utcnow())
    make_event()
    make_message(make_conversation())

    result = run(desk, "doctor")

    assert (result.exit_code, result.output) == (0, "All is well.\n")


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        ({"ENV": "development"}, ("mode", WARNING)),
        ({"PUBLIC_READS": ["tickets"]}, ("mode", WARNING)),
        ({"JWT_SECRET_KEY": "change me " * 4}, ("secret", FAULT)),
        ({"SECRET_KEY_PREVIOUS": "k" * 40}, ("secret", WARNING)),
        ({"CORS_ORIGINS": ["http://desk.example.com"]}, ("cors", WARNING)),
        ({"TRUSTED_PROXIES": []}, ("trusted proxies", WARNING)),
        ({"TRUSTED_PROXIES": [network("0.0.0.0/0")]}, ("trusted proxies", FAULT)),
        ({"TRUSTED_PROXIES": [network("::/0")]}, ("trusted proxies", FAULT)),
        ({"BACKUP_DIR": ""}, ("backup", WARNING)),
        ({"BACKUP_DIR": "/nonexistent"}, ("backup", FAULT)),
    ],
    ids=str,
)
@on_sqlite
def test_settings_that_are_no_good_are_found(
    app_with: Any, desk: Flask, healthy: dict[str, Any], settings: Any, finding: Any
) -> None:
    assert found(app_with(**(healthy | settings))) == [finding]


@pytest.mark.parametrize(
    "settings",
    [
        {"CORS_ORIGINS": ["https://desk.example.com", "http://localhost:3000", "capacitor://a"]},
        {"TRUSTED_PROXIES": [network("10.0.0.0/8"), network("2a00:1450:4001::/64"), "unix"]},
        {"JWT_SECRET_KEY": "0123456789abcdef" * 4},
    ],
    ids=str,
)
@on_sqlite
def test_settings_that_are_good_are_not(
    app_with: Any, desk: Flask, healthy: dict[str, Any], settings: Any
) -> None:
    assert found(app_with(**(healthy | settings))) == []


def old_session() -> None:
    """Store a session that has expired a week ago."""
    then = utcnow() - timedelta(days=7)
    user_id = make_user().user_id
    save(UserSession(user_id=user_id, created_at=then, expires_at=then + timedelta(hours=1)))


def demo_user() -> None:
    """Store a user with the demo's password."""
    user = make_user()
    user.password_hash = passwords.hash_password("secret")
    db.session.commit()


def future_change() -> None:
    """Let the newest change be one of tomorrow."""
    make_ticket()
    tomorrow = (utcnow() + timedelta(days=1)).strftime("%Y-%m-%d %H:%M:%S")
    newest = "(SELECT max(seq) FROM change)"
    write(f"UPDATE change SET at = '{tomorrow}' WHERE seq = {newest}")  # noqa: S608 - ours


def wrong_words() -> None:
    """Let a ticket have other words than those of its texts."""
    make_ticket()
    write("UPDATE ticket SET words = ' other '")


def make_channel(**fields: Any) -> None:
    """Store a channel with a secret that the environment has."""
    defaults = {"channel": "app", "type": "webhook", "active": True, "bot_first": False}
    secrets = '{"signing_secret":"CHANNEL_SET"}'
    save(Channel(**(defaults | {"settings": "{}", "secrets": secrets} | fields)))


NOT_SET = '{"signing_secret":"CHANNEL_NOT_SET"}'


def queue_message(seconds: int) -> None:
    """Store a message that has been waiting to be sent for so many seconds."""
    at = utcnow() - timedelta(seconds=seconds)
    message = make_message(make_conversation(), sender="user")
    message.delivery_state, message.delivery_at = "queued", at
    db.session.commit()


HOUR_AGO = utcnow() - timedelta(hours=1)


def run_worker(seconds: int) -> None:
    """Store that a worker ran so many seconds ago."""
    save(Worker(worker_id="1", host="here", pid=1, seen_at=utcnow() - timedelta(seconds=seconds)))


@pytest.mark.parametrize(
    ("channels", "waiting", "seen", "findings"),
    [
        ([], None, None, []),
        ([{"type": "none"}], None, None, []),
        ([{"active": False, "secrets": "{}"}], None, None, []),
        ([{}], None, None, [("worker", WARNING)]),
        ([{}], None, 5, []),
        ([{}], 5, 120, [("worker", FAULT)]),
        ([{}], 5, 5, []),
        ([{}], 700, 5, [("worker", WARNING)]),
        ([{"secrets": "{}"}], None, 5, [("channel secrets", WARNING)]),
        ([{"secrets": NOT_SET}], None, 5, [("channel secrets", FAULT)]),
    ],
)
def test_what_keeps_messages_from_being_sent_is_found(
    desk: Flask,
    monkeypatch: pytest.MonkeyPatch,
    channels: Any,
    waiting: int | None,
    seen: int | None,
    findings: Any,
) -> None:
    monkeypatch.setenv("CHANNEL_SET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    for fields in channels:
        make_channel(**fields)
    if waiting is not None:
        queue_message(waiting)
    if seen is not None:
        run_worker(seen)

    assert found(desk) == findings


@pytest.mark.parametrize("seen", [[], [5]])
def test_it_says_how_long_the_oldest_waits(desk: Flask, seen: list[int]) -> None:
    queue_message(700)
    for seconds in seen:
        run_worker(seconds)

    (finding,) = diagnose().findings

    assert "waiting for 11 minutes." in finding.problem


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, None),
        ({"active": False}, None),
        ({"failing_since": HOUR_AGO}, "The webhook 1 has failed for 1 hour."),
        (
            {"active": False, "inactive_reason": "It answered 410."},
            "The webhook 1 was stopped. It answered 410.",
        ),
    ],
)
def test_webhooks_that_fail_or_were_stopped_are_named(
    desk: Flask, fields: Any, problem: str | None
) -> None:
    run_worker(5)
    make_webhook(**fields)

    assert [each.problem for each in diagnose().findings] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (old_session, ("retention", WARNING)),
        (demo_user, ("default passwords", FAULT)),
        (future_change, ("clock", WARNING)),
        (wrong_words, ("search", FAULT)),
        (
            lambda: write("UPDATE counter SET count = count + 1 WHERE name = 'users'"),
            ("counters", FAULT),
        ),
    ],
)
def test_rows_that_are_wrong_are_found(
    desk: Flask, spoil: Callable[[], None], finding: Any
) -> None:
    make_user("somebody")
    spoil()

    assert found(desk) == [finding]


def test_a_newer_schema_is_found_with_its_cure(
    desk: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "revision", lambda: "9999_later")

    with desk.app_context():
        (finding,) = [each for each in diagnose().findings if each.check == "schema"]

    assert finding.problem.endswith(f"is newer than this code ({migrations.NEWEST}).")
    assert finding.cure.startswith("Install the newer code, or ")


def test_changes_that_should_be_pruned_are_found(
    app_with: Any, desk: Flask, healthy: dict[str, Any]
) -> None:
    make_user()
    write("UPDATE change SET at = '2020-01-01 00:00:00'")

    assert found(desk) == []
    assert found(app_with(**healthy, CHANGE_LOG_DAYS=365)) == [("retention", WARNING)]


def test_counts_are_made_right_by_recount(desk: Flask) -> None:
    make_ticket(due_at=utcnow())
    make_event()
    make_conversation()
    write("UPDATE counter SET count = count + 7", "DELETE FROM counter WHERE name LIKE 'due %'")

    result = run(desk, "recount")

    assert result.exit_code == 0
    assert "abierto: " in result.output
    assert "due 2" in result.output
    assert found(desk) == []
    assert counts.recount() == []


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("UPDATE conversation SET unread_count = 7", "unread (conversation 1) 7, not 2"),
        (
            "UPDATE conversation SET client_message_count = 7",
            "client messages (conversation 1) 7, not 130",
        ),
        (
            "UPDATE running_total SET client_message_count = 7",
            "client messages up to message 128 7, not 128",
        ),
    ],
)
def test_counts_of_conversations_are_made_right_by_recount(
    desk: Flask, statement: str, name: str
) -> None:
    conversation = make_conversation()
    make_messages(conversation.conversation_id, *["client"] * 130)
    db.session.refresh(conversation)
    conversation.read(128)
    db.session.commit()
    assert found(desk) == []
    write(statement)
    with desk.app_context():
        (finding,) = diagnose().findings
    before = shown_conversation()

    result = run(desk, "recount")

    assert name in finding.problem
    assert result.exit_code == 0
    (unread, version), (unread_before, version_before) = shown_conversation(), before
    assert (version == version_before) == (unread == unread_before), "logged, as a version is"
    assert found(desk) == []
    check_running_totals(1)
    assert unread == 2


def shown_conversation() -> tuple[int, int]:
    """Return how many messages of the conversation are unread, and its version."""
    found = db.session.execute(select(Conversation.unread_count, Conversation.version)).one()
    db.session.rollback()
    return found.unread_count, found.version


@pytest.mark.parametrize(("days", "level"), [(3, WARNING), (30, FAULT), (-3, WARNING)])
@on_sqlite
def test_an_old_backup_is_found(
    desk: Flask, healthy: dict[str, Any], days: int, level: str
) -> None:
    (path,) = Path(healthy["BACKUP_DIR"]).iterdir()
    then = utcnow() - timedelta(days=days)
    path.rename(path.with_name(f"{backups.prefix()}-{then:{backups.TIME}}.db"))

    assert found(desk) == [("backup", level)]


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek((size := path.stat().st_size) // 4)  # SQLite leaves some pages unused
        file.write(b"\xff" * (size // 2))


@pytest.mark.parametrize("damage", [emptied, cut, overwritten])
def test_a_damaged_backup_is_found(
    desk: Flask, healthy: dict[str, Any], damage: Callable[[Path], None]
) -> None:
    path = next(Path(healthy["BACKUP_DIR"]).glob(f"*{backups.suffix()}"))
    damage(path)

    (finding,) = diagnose().findings

    assert (finding.check, finding.level) == ("backup", FAULT)
    assert finding.problem.startswith(f"The newest backup, {path}, cannot be read: ")


@on_sqlite
def test_a_folder_for_backups_that_cannot_be_read_is_not_taken_for_an_empty_one(
    desk: Flask, healthy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)

    (finding,) = diagnose().findings

    folder = healthy["BACKUP_DIR"]
    assert finding.problem == f"BACKUP_DIR, {folder}, cannot be read: Permission denied."


@on_sqlite
def test_a_folder_for_backups_that_is_not_there_is_named(
    app_with: Any, desk: Flask, healthy: dict[str, Any], tmp_path: Path
) -> None:
    absent = tmp_path / "absent"

    result = run(app_with(**(healthy | {"BACKUP_DIR": str(absent)})), "doctor")

    assert result.exit_code == 2
    assert result.output.startswith(f"fault   backup: BACKUP_DIR is {absent}, which is no folder. ")
    assert len(result.output.splitlines()) == 1


@on_postgresql
def test_a_role_that_may_not_create_databases_is_found_before_a_backup_fails(
    app_with: Any, desk: Flask, healthy: dict[str, Any], database_url: str, poor_role: str
) -> None:
    url = database_url.replace("desk@", f"{poor_role}@")

    with app_with(**healthy, DATABASE_URL=url).app_context():
        (finding,) = diagnose().findings
        db.session.remove()

    assert (finding.check, finding.level) == ("dumps", FAULT)
    assert finding.cure == 'Run ALTER ROLE "poor" CREATEDB as an administrator.'


@on_postgresql
def test_missing_programs_are_found_before_a_backup_fails(
    desk: Flask, without_programs: None
) -> None:
    problems = [finding.problem for finding in diagnose().findings]

    assert problems == ["pg_dump was not found.", "pg_restore was not found."]


@on_sqlite
def test_a_row_that_the_index_lacks_is_found_and_mended(desk: Flask) -> None:
    make_ticket()
    write("DROP TRIGGER ticket_search_insert")
    make_ticket()

    assert found(desk) == [("search", FAULT)]
    assert run(desk, "reindex").exit_code == 0
    assert found(desk) == []


@on_postgresql
def test_an_index_that_is_gone_is_found_and_its_cure_mends_it(desk: Flask) -> None:
    write("DROP INDEX ix_ticket_words")

    (finding,) = diagnose().findings

    assert finding.check == "search"
    write(finding.cure.removeprefix("Run: "))
    assert found(desk) == []


@on_postgresql
def test_too_few_connections_are_found(app_with: Any, desk: Flask, healthy: dict[str, Any]) -> None:
    assert found(app_with(**healthy, WEB_CONCURRENCY=20)) == [("connections", FAULT)]
    assert found(app_with(**healthy, WEB_CONCURRENCY=6)) == []
    run_worker(5)
    assert found(app_with(**healthy, WEB_CONCURRENCY=6)) == [("connections", FAULT)]


@on_postgresql
def test_a_clock_that_differs_is_found(desk: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_checks, "utcnow", lambda: utcnow() + timedelta(seconds=5))

    assert found(desk) == [("clock", WARNING)]


@on_sqlite
@pytest.mark.parametrize(
    ("spoil", "finding"),
    [
        (lambda file: file.chmod(0o644), ("files", FAULT)),
        (lambda file: os.chown(file, 12345, -1), ("files", FAULT)),
    ],
)
def test_files_that_others_may_read_or_own_are_found(
    desk: Flask, tmp_path: Path, spoil: Callable[[Path], None], finding: Any
) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    file = Path(str(db.engine.url.database))
    before = file.stat()
    make_ticket()
    try:
        spoil(file)
        assert finding in found(desk)
    finally:
        file.chmod(before.st_mode & 0o777)
        os.chown(file, before.st_uid, before.st_gid)


@on_sqlite
def test_a_full_disk_is_found(desk: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade_plan, "disk_free", lambda: 1000)

    assert found(desk) == [("disk", WARNING)]


@on_sqlite
def test_checks_that_cannot_be_made_are_named_and_the_others_are_made(
    app_with: Any, healthy: dict[str, Any], tmp_path: Path
) -> None:
    broken = {"DATABASE_URL": f"sqlite:///{tmp_path}/broken.db", "PUBLIC_READS": ["tickets"]}
    with app_with(**(healthy | broken)).app_context():
        migrations.upgrade()
        back_up(tmp_path, None)
        write("DROP TABLE counter")
        findings = {finding.check: finding for finding in diagnose().findings}

    assert set(findings) == {"unknown", "mode"}
    assert findings["unknown"].problem == "Not checked: counters."
    assert "no such table" in findings["unknown"].cure


@on_sqlite
def test_a_database_that_is_not_there_is_found_and_the_settings_nonetheless(
    app_with: Any, healthy: dict[str, Any], tmp_path: Path
) -> None:
    absent = f"sqlite:///{tmp_path}/absent.db"
    app = app_with(**(healthy | {"DATABASE_URL": absent, "PUBLIC_READS": ["tickets"]}))

    result = run(app, "doctor", "--json")

    assert result.exit_code == 2
    findings = json.loads(result.output)["findings"]
    assert {"mode", "database", "backup", "unknown"} == {each["check"] for each in findings}
    assert not (tmp_path / "absent.db").exists()


@on_sqlite
def test_a_server_that_is_away_is_found_and_the_settings_nonetheless(
    app_with: Any, healthy: dict[str, Any]
) -> None:
    away = f"postgresql+psycopg://desk@127.0.0.1:{free_port()}/desk"
    app = app_with(**(healthy | {"DATABASE_URL": away, "PUBLIC_READS": ["tickets"]}))

    result = run(app, "doctor")

    assert result.exit_code == 2
    mode, backup, unknown = result.output.splitlines()
    assert (mode[:13], backup[:15]) == ("warning mode:", "fault   backup:")
    assert "Not checked: database, schema," in unknown
    assert "onnection" in unknown


def test_findings_are_lines_with_their_cure(desk: Flask) -> None:
    demo_user()

    result = run(desk, "doctor")

    assert result.exit_code == 2
    assert result.output == (
        "fault   default passwords: The password of emp1 is the demo's, which everybody knows."
        " Give them others, or deactivate them.\n"
    )
    assert json.loads(run(desk, "doctor", "--json").output)["status"] == "faults"
