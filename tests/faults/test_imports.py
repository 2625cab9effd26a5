"""Imports and exports that are killed: whole batches, or nothing, and a repeat completes."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from omnidesk import migrations
from omnidesk.clients.models import Client
from omnidesk.db import Base, db
from omnidesk.db.change_log import Change
from omnidesk.imports.models import SourceRow
from omnidesk.operations.transfer.import_file import BATCH
from omnidesk.users.models import User
from tests.conftest import make_user
from tests.faults.killed import run_until_killed
from tests.postgres import new_database
from tests.servers import flask

ROWS = 4_000
TRANSFER = "omnidesk.operations.transfer"


def count(entity: type[Base]) -> int:
    """Return how many rows there are."""
    found = db.session.scalar(select(func.count()).select_from(entity)) or 0
    db.session.rollback()
    return found


def test_an_import_that_is_killed_goes_on(
    app: Flask, environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "clients.csv"
    lines = (f"{number},Client {number}" for number in range(ROWS))
    file.write_text("\n".join(["external_id,full_name", *lines]))
    command = [
        "import",
        str(file),
        *["--from", "csv", "--entity", "clients", "--source", "old", "--json"],
    ]

    for step, batches, stored in (("store_batch", 2, 2), ("store_rows", 8, 7)):
        run_until_killed(environment, f"{TRANSFER}.import_file:{step}", batches, *command)
        assert count(Client) == count(SourceRow) == count(Change) == stored * BATCH
    finished = json.loads(flask(environment, *command).stdout)

    assert (finished["created"], finished["unchanged"]) == (ROWS - 7 * BATCH, 7 * BATCH)
    assert count(Client) == count(SourceRow) == ROWS


@pytest.fixture
def filled(app: Flask, environment: dict[str, str]) -> dict[str, str]:
    """The settings of a desk with rows."""
    make_user("admin1", role="admin")
    seeded = flask(environment, "seed", "--tickets", "4000", "--comments", "4000")
    assert seeded.returncode == 0, seeded.stderr
    return environment


def test_an_export_that_is_killed_leaves_no_folder(filled: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "export"

    for step in ("write", "write_all"):
        run_until_killed(filled, f"{TRANSFER}.export_desk:{step}", 1, "export", str(folder))
        assert not folder.exists()

    assert flask(filled, "export", str(folder)).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_an_export_that_is_killed_while_it_is_read_in_leaves_an_empty_desk(
    filled: dict[str, str], app_with: Any, postgres_url: str, tmp_path: Path
) -> None:
    folder, url = tmp_path / "export", f"sqlite:///{tmp_path}/new.db"
    if "postgresql" in filled["DATABASE_URL"]:
        url = new_database(postgres_url)
    assert flask(filled, "export", str(folder)).returncode == 0
    other, settings = app_with(DATABASE_URL=url), filled | {"DATABASE_URL": url}
    with other.app_context():
        migrations.upgrade()

        for step in ("store", "finish"):
            run_until_killed(settings, f"{TRANSFER}.import_desk:{step}", 1, "import", str(folder))
            assert count(User) == count(Change) == 0

        assert flask(settings, "import", str(folder)).returncode == 0
        assert count(User) == 21
