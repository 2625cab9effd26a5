"""What a process loads: the worker nothing of HTTP, and on SQLite nobody PostgreSQL's driver."""

import subprocess
import sys

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


def loaded_by(module: str) -> set[str]:
    """Return the modules that a process has once it has imported one, on SQLite."""
    program = f"import sys, {module}; print(*sys.modules)"
    settings = {"DATABASE_URL": "sqlite:////tmp/desk.db", "SECRET_KEY": KEY}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=environ(settings), capture_output=True, text=True, check=True
    )
    return {*done.stdout.split()}


def test_the_worker_loads_nothing_of_http() -> None:
    assert loaded_by("omnidesk.worker.__main__").isdisjoint(OF_HTTP)


@pytest.mark.parametrize("module", ["wsgi", "omnidesk.worker.__main__"])
def test_the_driver_of_postgresql_is_not_loaded_on_sqlite(module: str) -> None:
    assert "psycopg" not in loaded_by(module)
