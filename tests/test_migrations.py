"""The migrations make the very schema that the models describe."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect, select, text

from omnidesk import migrations
from omnidesk.db import Base, db
from omnidesk.tally import Tally
from tests.conftest import (
    make_client,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    make_user,
)


@pytest.fixture
def empty(app_with: Any, database_url: str, tmp_path: Any) -> Iterator[Flask]:
    """The app on a database of its own without tables."""
    if database_url.startswith("sqlite"):
        app = app_with(DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
        with app.app_context():
            yield app
        return
    with app_with().app_context(), db.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.execute(text("DROP DATABASE IF EXISTS empty"))
        alone.execute(text("CREATE DATABASE empty"))
    app = app_with(DATABASE_URL=database_url.replace("/postgres", "/empty"))
    with app.app_context():
        yield app


def schema() -> dict[str, Any]:
    """Give all that the database itself knows about its tables."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.execute(
                text("SELECT name, sql FROM sqlite_master WHERE type != 'trigger' AND sql != ''")
            )
            clauses = {name: sorted(re.split(r",?\s*\n\s*", sql)) for name, sql in rows}
            return {name: sql for name, sql in clauses.items() if name != "alembic_version"}
        seen = inspect(connection)
        names = [name for name in seen.get_table_names() if name != "alembic_version"]
        return {
            name: [
                [{**column, "type": str(column["type"])} for column in seen.get_columns(name)],
                seen.get_pk_constraint(name),
                sorted(seen.get_foreign_keys(name), key=str),
                sorted(seen.get_unique_constraints(name), key=str),
                sorted(seen.get_check_constraints(name), key=str),
                sorted(
                    connection.scalars(
                        text("SELECT indexdef FROM pg_indexes WHERE tablename = :name"),
                        {"name": name},
                    )
                ),
            ]
            for name in names
        }


def test_the_migrated_schema_is_the_models(empty: Flask) -> None:
    migrations.upgrade()
    migrated = schema()
    Base.metadata.drop_all(db.engine)
    Base.metadata.create_all(db.engine)

    assert migrated == schema()
    assert set(Base.metadata.tables) <= set(migrated)


def test_an_upgrade_of_a_current_database_changes_nothing(empty: Flask) -> None:
    assert migrations.revision() is None
    migrations.upgrade()
    before = schema()

    migrations.upgrade()

    assert migrations.revision() == migrations.NEWEST
    assert schema() == before


def test_an_upgrade_counts_the_rows_that_are_there(empty: Flask) -> None:
    migrations.upgrade("0001_contract")
    client = make_client()
    for status in ("abierto", "cerrado", "cerrado"):
        make_ticket(client.client_id, status=status)
    make_message(make_conversation(client_id=client.client_id))
    make_user()
    noon = datetime(2025, 10, 29, 12, tzinfo=UTC)
    for days in (0, 1, 1):
        make_event(start_time=noon + timedelta(days), end_time=noon + timedelta(days))

    migrations.upgrade()

    counts = {tally.name: tally.count for tally in db.session.scalars(select(Tally))}
    assert counts == {
        "abierto": 1,
        "en_progreso": 0,
        "cerrado": 2,
        "unread": 1,
        "users": 1,
        "2025-10-29": 1,
        "2025-10-30": 2,
    }
