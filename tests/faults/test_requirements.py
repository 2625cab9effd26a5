"""PostgreSQL databases as they are found: which ones work, and which are refused in one line."""

import subprocess
from collections.abc import Callable, Iterator
from contextvars import Context
from pathlib import Path

import psycopg
import pytest
import requests
from flask import Flask
from sqlalchemy import text

from omnidesk import migrations
from omnidesk.db import db, requirements
from omnidesk.db.connection import BoundedConnection
from omnidesk.db.session import READ
from tests.conftest import (
    PASSWORD,
    Caller,
    dispose_engines,
    make_client,
    make_event,
    make_ticket,
    make_user,
    on_postgresql,
)
from tests.faults.workers import wait_until
from tests.postgres import free_port
from tests.servers import BIN, ROOT, environ, gunicorn

pytestmark = on_postgresql
Make = Callable[[str], str]
ODD_SETTINGS = {
    "datestyle": "German, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "20",
}


@pytest.fixture
def make_database(app: Flask, database_url: str) -> Iterator[Make]:
    """Make a database with some options; return its URL."""
    with app.app_context(), db.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")

        def make(options: str) -> str:
            alone.execute(text("DROP DATABASE IF EXISTS odd WITH (FORCE)"))
            alone.execute(text(f"CREATE DATABASE odd TEMPLATE template0 {options}"))
            return database_url.replace("/postgres", "/odd")

        yield make
        alone.execute(text("DROP DATABASE IF EXISTS odd WITH (FORCE)"))


@pytest.fixture
def odd_app(app_with: Callable[..., Flask], make_database: Make) -> Iterator[Callable[..., Flask]]:
    """Make a database with some options and settings; return the app on it."""
    opened = []

    def make(options: str = "", settings: dict[str, str] | None = None) -> Flask:
        url = make_database(options)
        for name, value in (settings or {}).items():
            with db.engine.connect() as connection:
                alone = connection.execution_options(isolation_level="AUTOCOMMIT")
                alone.execute(text(f"ALTER DATABASE odd SET {name} = {value!r}"))
        opened.append(app_with(DATABASE_URL=url))
        return opened[-1]

    yield make
    for app in opened:
        with app.app_context():
            db.session.remove()
            dispose_engines()


def test_settings_of_the_database_or_role_change_nothing(odd_app: Callable[..., Flask]) -> None:
    with odd_app(settings=ODD_SETTINGS).app_context() as context:
        migrations.upgrade()
        agent = Caller(context.app, make_user())
        ticket = make_ticket(subject="Niño \\ ' 日本", client_id=make_client().client_id)
        make_event()
        path = f"/api/tickets/{ticket.ticket_id}"
        made = agent.post("/api/tickets", json={"client_id": 1, "subject": "日本"})
        changed = agent.patch(path, json={"due_at": "2025-11-01T02:00:00+02:00"})
        db.session.remove()

    assert made.status_code == 201
    assert changed.json["due_at"] == "2025-11-01T00:00:00Z"
    assert agent.get(path).json["subject"] == "Niño \\ ' 日本"
    assert agent.get("/api/tickets").json[0]["subject"] == "日本"
    for read in ("/api/events", "/api/me/sessions", "/api/changes", "/api/summary", "/readyz"):
        assert agent.get(read).status_code == 200, read
    login = {"username": "emp1", "password": PASSWORD}
    assert agent.post("/api/login", json=login).status_code == 200


# In Turkish the small letter of I has no dot.
@pytest.mark.parametrize(
    "locale",
    ["LOCALE 'C'", "LOCALE 'C.utf8'", "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr'"],
)
def test_user_names_are_the_same_in_every_locale(
    odd_app: Callable[..., Flask], locale: str
) -> None:
    with odd_app(f"ENCODING 'UTF8' {locale}").app_context() as context:
        migrations.upgrade()
        admin = Caller(context.app, make_user("ADMIN.IRIS", role="admin", email="I@example.com"))
        db.session.remove()

    taken = {"username": "admin.iris", "email": "i@example.com", "password": PASSWORD}
    refused = admin.post("/api/users", json=taken | {"full_name": "Another"})
    login = admin.post("/api/login", json={"username": "Admin.Iris", "password": PASSWORD})

    assert refused.status_code == 409
    assert login.status_code == 200
    tags = ["vip", "VIP".lower(), "a_b", "a.b", "z", "10", "9"]
    with context.app.app_context():
        path = f"/api/tickets/{make_ticket().ticket_id}/tags"
        db.session.remove()
    for tag in tags:
        assert admin.put(f"{path}/{tag}").status_code == 200
    assert [row["tag"] for row in admin.get("/api/tags").json] == sorted(set(tags))
    assert admin.get("/api/summary").json["upcoming_events"] == 0


UNSUITABLE = [
    ("ENCODING 'LATIN1' LOCALE 'C'", {}, "has the encoding LATIN1"),
    ("ENCODING 'SQL_ASCII' LOCALE 'C'", {}, "has the encoding SQL_ASCII"),
    ("", {"search_path": "nowhere"}, "No schema of the search_path exists"),
]


@pytest.mark.parametrize(("options", "settings", "why"), UNSUITABLE)
def test_what_cannot_be_worked_with_is_refused_in_one_line(
    odd_app: Callable[..., Flask], options: str, settings: dict[str, str], why: str
) -> None:
    app = odd_app(options, settings)

    ready = Caller(app).get("/readyz")
    made = Context().run(app.test_cli_runner().invoke, args=["init-db"])

    assert ready.status_code == 503
    assert why in ready.json["errors"]["database"][0]
    assert made.exit_code == 1
    assert made.output.startswith("omnidesk cannot start: ")
    assert why in made.output
    assert made.output.count("\n") == 1


def test_an_sqlite_that_cannot_search_texts_is_refused_in_one_line(
    app_with: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "has_fts5", lambda: False)
    app = app_with(DATABASE_URL=f"sqlite:///{tmp_path}/new.db")

    made = Context().run(app.test_cli_runner().invoke, args=["init-db"])

    assert made.exit_code == 1
    assert made.output == (
        "omnidesk cannot start: Python's SQLite was built without FTS5, which is needed.\n"
    )
    assert not [*tmp_path.iterdir()]


def test_the_server_does_not_start_on_what_it_cannot_work_with(
    make_database: Make, environment: dict[str, str]
) -> None:
    url = make_database("ENCODING 'LATIN1' LOCALE 'C'")

    started = subprocess.run(
        [BIN / "gunicorn", "wsgi:app"],
        env=environ(environment | {"DATABASE_URL": url, "PORT": str(free_port())}),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert started.returncode == 1
    *_, line = started.stderr.splitlines()
    assert line.startswith("omnidesk cannot start: The database has the encoding LATIN1")
    assert "Traceback" not in started.stderr


def test_the_server_starts_where_the_database_is_away(
    environment: dict[str, str], tmp_path: Path
) -> None:
    away = "postgresql://desk@127.0.0.1:1/postgres"

    with gunicorn(environment | {"DATABASE_URL": away}, tmp_path) as address:
        answer = requests.get(f"{address}/readyz", timeout=5)

    assert (answer.status_code, answer.json()) == (503, {"detail": "Service Unavailable"})
    log = (tmp_path / "gunicorn.log").read_text()
    assert "The database does not answer: " in log
    assert "Traceback" not in log


def test_a_connection_whose_session_cannot_be_set_is_closed(app: Flask) -> None:
    _, parameters = db.engine.dialect.create_connect_args(db.engine.url)
    named = {**parameters, "application_name": "unset", "settings": {"no.such setting": 1}}

    with pytest.raises(psycopg.Error) as error:
        BoundedConnection.open(named)

    assert error.value.sqlstate is not None, (
        "the server has refused the setting, not the connection"
    )
    left = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'unset'")
    with db.engines[READ].connect() as connection:
        wait_until(lambda: connection.scalar(left) == 0, 5)
