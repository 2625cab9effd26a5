"""An answer that a client has stored is never taken for another reader's, or another time's."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from contextvars import Context
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import NullPool, create_engine, insert, text
from sqlalchemy.exc import IntegrityError

from omnidesk.db import db
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.sqlite import files_of
from omnidesk.db.sqlite_files import files_at
from omnidesk.db.statements import read_pool
from omnidesk.http import fields
from tests.conftest import (
    Caller,
    dispose_engines,
    make_client,
    make_ticket,
    make_user,
    version,
)
from tests.routes import make_rows, reads
from tests.servers import RawConnection


@pytest.fixture
def tagged(app: Flask, admin: Caller) -> list[str]:
    """The addresses of all answers with an ETag, beside a row of each kind."""
    make_rows(admin.user)
    return [path for path in reads(app) if "ETag" in admin.get(path).headers]


def had(answer: Any) -> dict[str, str]:
    """Return the header of a client that has stored an answer."""
    return {"If-None-Match": answer.headers["ETag"]}


def test_every_list_and_every_row_has_an_etag(app: Flask, tagged: list[str]) -> None:
    others = {"/api/summary", "/api/search?q=hello", "/api/clients/1/export"}
    assert set(reads(app)) - set(tagged) == others


def test_nobody_is_shown_what_somebody_else_has_seen(
    app: Flask, admin: Caller, agent: Caller, anybody: Caller, tagged: list[str]
) -> None:
    callers = [admin, agent, Caller(app, make_user("emp2")), anybody]

    for path in tagged:
        for first, second in permutations(callers, 2):
            seen, own = first.get(path), second.get(path)
            if seen.status_code == own.status_code == 200:
                again = second.get(path, headers=had(seen))
                same = own.data == seen.data
                if "/messages" in path and not path.endswith(
                    "/1"
                ):  # of which notes are not for everybody
                    same = same and (first is anybody) == (second is anybody)
                assert (again.status_code == 304) == same, path


def test_two_users_with_one_version_have_two_etags(admin: Caller, agent: Caller) -> None:
    assert admin.user.version == agent.user.version
    seen = admin.get("/api/me")

    answer = agent.get("/api/me", headers=had(seen))

    assert (answer.status_code, answer.json["user_id"]) == (200, agent.user.user_id)
    assert "Authorization" in answer.headers["Vary"].split(", ")
    assert seen.headers["ETag"] == admin.get(f"/api/users/{admin.user.user_id}").headers["ETag"]


def test_another_role_makes_other_etags(admin: Caller) -> None:
    make_user("admin2", role="admin")
    seen = admin.get("/api/changes")
    admin.patch(f"/api/users/{admin.user.user_id}", json={"role": "empleado"})
    make_client()

    answer = admin.get("/api/changes", headers=had(seen))

    assert answer.status_code == 200
    assert {change["entity"] for change in answer.json} == {"client"}


def test_a_new_version_of_the_api_makes_all_etags_new(
    admin: Caller, tagged: list[str], monkeypatch: Any
) -> None:
    answers = {path: admin.get(path) for path in tagged}
    monkeypatch.setattr(fields, "VERSION", "0.2.0")

    for path, seen in answers.items():
        assert admin.get(path, headers=had(seen)).status_code == 200, path


def test_a_304_has_the_headers_that_a_cache_needs(admin: Caller, tagged: list[str]) -> None:
    origin = {"Origin": "http://localhost:3000"}

    for path in tagged:
        whole = admin.get(path, headers=origin)
        short = admin.get(path, headers=origin | had(whole))
        assert (short.status_code, short.data) == (304, b"")
        for name in ("ETag", "Vary", "Cache-Control", "Access-Control-Allow-Origin"):
            assert short.headers[name] == whole.headers[name], (path, name)
        assert not {"Content-Type", "Content-Length"} & set(short.headers.keys())


class Desk:
    """An app on a database of its own, which can be deleted, copied and restored."""

    def __init__(self, app: Flask, folder: Path) -> None:
        self.app, self.folder = app, folder

    @property
    def file(self) -> Path:
        """The file of a SQLite database."""
        return Path(db.engine.url.database or "")

    def make(self, *, like: str = "template1") -> None:
        """Make the database of PostgreSQL anew, as a copy of another one."""
        dispose_engines()
        with self.elsewhere() as run:
            run("DROP DATABASE IF EXISTS desk WITH (FORCE)")
            run(f"CREATE DATABASE desk TEMPLATE {like}")

    @contextmanager
    def elsewhere(self) -> Iterator[Callable[[str], Any]]:
        """Run statements in another database of the same server, in autocommit."""
        engine = create_engine(db.engine.url.set(database="postgres"), poolclass=NullPool)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield lambda sql: connection.execute(text(sql))

    def begin(self) -> Caller:
        """Delete the database if there is one, make a new one, and return its admin."""
        dispose_engines()
        if db.engine.name == "sqlite":
            self.file.unlink(missing_ok=True)
        else:
            self.make()
        self.init_db()
        return Caller(self.app, make_user("admin1", role="admin"))

    def init_db(self) -> None:
        """Run the command that an operator runs before each start, as a process of its own."""
        db.session.remove()
        dispose_engines()
        files_at.cache_clear()
        for engine in db.engines.values():
            read_pool(engine).files = files_of(engine)
        result = Context().run(self.app.test_cli_runner().invoke, args=["init-db"])
        assert result.exit_code == 0, result.output

    def back_up(self) -> None:
        """Make a copy of the database."""
        db.session.remove()
        dispose_engines()
        if db.engine.name == "sqlite":
            files = self.file, self.folder / "backup.db"
            live, copy = (sqlite3.connect(file) for file in files)
            with closing(live), closing(copy):
                live.backup(copy)
        else:
            with self.elsewhere() as run:
                run("DROP DATABASE IF EXISTS backup")
                run("CREATE DATABASE backup TEMPLATE desk")

    def restore(self, *, in_place: bool) -> None:
        """Put the copy in the place of the database."""
        db.session.remove()
        dispose_engines()
        if db.engine.name != "sqlite":
            self.make(like="backup")
        elif in_place:
            shutil.copyfile(self.folder / "backup.db", self.file)
        else:
            (self.folder / "backup.db").replace(self.file)
        self.init_db()


@pytest.fixture
def desk(app_with: Callable[..., Flask], database_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A desk of our own."""
    url = f"sqlite:///{tmp_path}/desk.db"
    if not database_url.startswith("sqlite"):
        url = database_url.replace("/postgres", "/desk")
    app = app_with(DATABASE_URL=url)
    with app.app_context():
        yield Desk(app, tmp_path)
        db.session.remove()
        dispose_engines()


TICKET = "/api/tickets/1"


def assert_strangers(admin: Caller, row: Any, page: Any) -> None:
    """Check that the ETags of a row and of a list are none of those that they have now."""
    assert admin.get(TICKET).headers["ETag"] != row.headers["ETag"]
    assert admin.get(TICKET, headers=had(row)).status_code == 200
    assert admin.get("/api/tickets", headers=had(page)).status_code == 200
    stale = {"If-Match": row.headers["ETag"]}
    assert admin.patch(TICKET, json={"subject": "Stale"}, headers=stale).status_code == 412


def test_a_database_that_is_made_anew_has_other_etags(desk: Desk) -> None:
    admin = desk.begin()
    make_ticket()
    row, page = admin.get(TICKET), admin.get("/api/tickets")

    admin = desk.begin()
    make_ticket(subject="Another")

    assert version(admin.get(TICKET)) == version(row)
    assert_strangers(admin, row, page)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_restored_database_has_other_etags(desk: Desk, in_place: bool) -> None:
    admin = desk.begin()
    make_ticket()
    desk.back_up()
    row = admin.patch(TICKET, json={"subject": "Lost"})
    page = admin.get("/api/tickets")

    desk.restore(in_place=in_place)
    admin.patch(TICKET, json={"subject": "Another"})

    assert version(admin.get(TICKET)) == version(row)
    assert_strangers(admin, row, page)


def test_a_database_that_was_not_restored_keeps_its_etags(desk: Desk) -> None:
    admin = desk.begin()
    make_ticket()
    row, page = admin.get(TICKET), admin.get("/api/tickets")

    dispose_engines()
    desk.init_db()

    assert admin.get(TICKET, headers=had(row)).status_code == 304
    assert admin.get("/api/tickets", headers=had(page)).status_code == 304


def test_a_database_has_one_id(desk: Desk) -> None:
    desk.begin()

    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(insert(DatabaseId).values(number=2, id="other", copy=""))
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(insert(DatabaseId).values(number=1, id="other", copy=""))


# What a client prefers.
PREFERENCES = [
    "count=exact",
    "Count=exact",
    "COUNT = exact",
    'count="exact"',
    "count=exact; since=today",
    "respond-async, count=exact",
    'x="a, count=planned", count=exact;y',
    "count=exact, count=planned",
]


@pytest.mark.parametrize("prefer", PREFERENCES)
def test_the_total_is_counted_however_the_preference_is_written(agent: Caller, prefer: str) -> None:
    make_ticket()
    without = agent.get("/api/tickets")

    answer = agent.get("/api/tickets", headers=had(without) | {"Prefer": prefer})

    assert (answer.status_code, answer.headers["X-Total-Count"]) == (200, "1")
    assert answer.headers["Preference-Applied"] == "count=exact"
    assert "Prefer" in answer.headers["Vary"].split(", ")
    again = agent.get("/api/tickets", headers=had(answer) | {"Prefer": "count=exact"})
    assert again.status_code == 304
    assert "Prefer" in again.headers["Vary"].split(", ")
    assert agent.get("/api/tickets", headers=had(answer)).status_code == 200


@pytest.mark.parametrize(
    "prefer", ["count=planned, count=exact", "x; count=exact", 'x="count=exact"', "discount=exact"]
)
def test_no_total_is_counted_for_other_preferences(agent: Caller, prefer: str) -> None:
    answer = agent.get("/api/tickets", headers={"Prefer": prefer})

    assert "X-Total-Count" not in answer.headers
    assert answer.headers["ETag"] == agent.get("/api/tickets").headers["ETag"]


def test_several_prefer_headers_are_one_list(server: str) -> None:
    with RawConnection(server) as line:
        line.send(
            b"GET /api/tickets HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b"Prefer: respond-async\r\nPrefer: count=exact\r\n\r\n"
        )
        received = line.receive(b"\r\n\r\n")

    assert b"X-Total-Count: 0" in received
