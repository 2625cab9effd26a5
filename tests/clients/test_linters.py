"""The OpenAPI document passes the linters' recommended rules without an error or a warning."""

import json
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, run
from tests.conftest import on_sqlite
from tests.servers import flask

SERVERS = [{"OMNIDESK_ENV": "development"}, {"OMNIDESK_ENV": "production", "SCRIPT_NAME": "/desk"}]
RULES = ("--ruleset", HERE / "spectral.yaml", "--fail-severity", "hint")


@pytest.fixture(params=SERVERS, ids=["development", "production"])
def document(request: pytest.FixtureRequest, settings: dict[str, str], tmp_path: Path) -> Path:
    """The document of each kind of server."""
    written = tmp_path / "openapi.json"
    ended = flask(settings | request.param, "openapi", "write", str(written))
    assert ended.returncode == 0, ended.stderr
    return written


@on_sqlite
def test_redocly_finds_nothing(document: Path, tmp_path: Path) -> None:
    options = ("--extends", "recommended", "--format", "json")

    ended = run("redocly", "lint", document, *options, cwd=tmp_path)

    found = json.loads(ended.stdout)
    assert found["problems"] == []
    assert found["totals"] == {"errors": 0, "warnings": 0, "ignored": 0}


@on_sqlite
def test_spectral_finds_nothing(document: Path, tmp_path: Path) -> None:
    ended = run("spectral", "lint", document, *RULES, cwd=tmp_path)

    assert ended.returncode == 0, ended.stdout + ended.stderr
