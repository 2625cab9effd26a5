"""A server with the demo data, and prism in front of it, which checks all that passes."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from playwright.sync_api import Browser
from sqlalchemy import create_engine, text

from omnidesk.sample_data import demo
from tests.clients.chromium import chromium
from tests.postgres import free_port
from tests.servers import BIN, environ, flask, gunicorn, process, wait_for

HERE = Path(__file__).parent
TOOLS = HERE / "node_modules" / ".bin"
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}


def run(*command: Any, cwd: Path, timeout: int = 180, **settings: str) -> Any:
    """Run a tool to its end."""
    env = environ({"HOME": str(cwd), **QUIET, **settings})
    env["PATH"] = f"{BIN}:{TOOLS}:{env['PATH']}"
    return subprocess.run(
        command, env=env, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )


def succeed(*command: Any, **kwargs: Any) -> str:
    """Run a tool to its end; return what it printed."""
    ended = run(*command, **kwargs)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return str(ended.stdout)


class Desk(NamedTuple):
    """A server, as its users reach it through prism, and its OpenAPI document."""

    address: str
    document: Path
    violations: Path  # prism's log

    def token(self, username: str) -> str:
        """Return an access token of a user of the demo."""
        credentials = {"username": username, "password": demo.PASSWORD}
        answer = requests.post(f"{self.address}/api/login", json=credentials, timeout=30)
        return str(answer.json()["access_token"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each test has a profile of its own in it."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def settings(database_url: str, environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The settings of a development server with an empty database of its own."""
    if database_url.startswith("sqlite"):
        return environment | {"DATABASE_URL": f"sqlite:///{tmp_path}/clients.db"}
    server, _, _ = database_url.rpartition("/")
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE IF EXISTS clients"))
        connection.execute(text("CREATE DATABASE clients"))
    engine.dispose()
    return environment | {"DATABASE_URL": f"{server}/clients"}


@pytest.fixture
def desk(settings: dict[str, str], tmp_path: Path) -> Iterator[Desk]:
    """A server with the demo data behind prism, which finds no violation until it ends."""
    document, log, port = tmp_path / "openapi.json", tmp_path / "prism.log", free_port()
    for command in (("init-db", "--demo"), ("openapi", "write", str(document))):
        ended = flask(settings, *command)
        assert ended.returncode == 0, ended.stderr
    address = f"http://127.0.0.1:{port}"
    with gunicorn(settings, tmp_path) as server:
        proxy = [TOOLS / "prism", "proxy", "--errors", "--port", str(port), document, server]
        with process(proxy, log, env=environ({"HOME": str(tmp_path)}), cwd=tmp_path):
            wait_for(f"{address}/healthz", log)
            yield Desk(address, document, log)
    assert "prism/errors#" not in log.read_text(), log.read_text()
