"""What a process loads: the worker no more than it needs, and on SQLite nobody PostgreSQL's driver.

Each package takes memory for as long as the worker runs.
"""

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import KEY
from tests.servers import ROOT, environ

OF_HTTP = (
    "omnidesk.http",
    "omnidesk.application",
    "flask_smorest",
    "apispec",
    "limits",
    "gunicorn",
)
# The packages of others that the worker loads on SQLite, most of them because another one does.
OF_WORKER = {
    *("flask", "blinker", "click", "itsdangerous", "jinja2", "markupsafe", "werkzeug"),
    *("sqlalchemy", "flask_sqlalchemy", "typing_extensions"),
    *("environs", "dotenv", "marshmallow"),  # settings
    *("email_validator", "idna", "orjson"),
}
CACHE_OF_WORKER = """
from sqlalchemy import text
from omnidesk.worker.__main__ import db, make_app
with make_app().app_context():
    for engine in db.engines.values():
        with engine.connect() as connection:
            print(connection.execute(text("PRAGMA cache_size")).scalar())
"""


def output(program: str, database_url: str = "sqlite:////tmp/desk.db") -> list[str]:
    """Return the words that a program prints, which has a database on SQLite."""
    settings = {"DATABASE_URL": database_url, "SECRET_KEY": KEY}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=environ(settings), capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def loaded_by(module: str) -> set[str]:
    """Return the modules that a process has once it has imported one, on SQLite."""
    return {*output(f"import sys, {module}; print(*sys.modules)")}


def test_the_worker_loads_nothing_of_http() -> None:
    assert loaded_by("omnidesk.worker.__main__").isdisjoint(OF_HTTP)


def test_the_worker_loads_only_the_packages_that_it_needs() -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("omnidesk.worker.__main__")}
    of_others = {name for name in loaded & packages_distributions().keys() if name[0] != "_"}
    assert of_others == OF_WORKER


def test_the_worker_keeps_little_of_a_database_of_sqlite_in_memory(tmp_path: Path) -> None:
    database = tmp_path / "desk.db"
    database.touch()
    assert output(CACHE_OF_WORKER, f"sqlite:///{database}") == 3 * ["-256"]  # KiB, for each engine


@pytest.mark.parametrize("module", ["wsgi", "omnidesk.worker.__main__"])
def test_the_driver_of_postgresql_is_not_loaded_on_sqlite(module: str) -> None:
    assert "psycopg" not in loaded_by(module)
