"""The server does what its OpenAPI document says, whatever it is sent."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from omnidesk.sample_data import demo
from tests.conftest import Caller, make_user
from tests.servers import BIN, environ, gunicorn

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
OPTIONS = ("--checks", "all", "--no-color", "--seed", "7", "--generation-database", "none")


# An admin is let in everywhere. What every field might hold, up to its bounds, is tried by an
# admin on the database that refuses more; what comes at random is sent to each database. Who
# else is let in where is in security/test_matrix.py.
@pytest.mark.parametrize(
    ("database_url", "role", "phases", "examples"),
    [
        ("postgresql", "admin", "examples,coverage", "1"),
        ("sqlite", "admin", "fuzzing", "3"),
        ("postgresql", "", "fuzzing", "2"),
    ],
    indirect=["database_url"],
    scope="session",
)
def test_schemathesis_finds_nothing(
    app: Any, environment: dict[str, str], tmp_path: Path, role: str, phases: str, examples: str
) -> None:
    demo.add()
    tester = Caller(app, make_user("tester", role="admin"))
    with gunicorn(environment, tmp_path) as address:
        headers = ["--header", f"Authorization: Bearer {tester.token}"] if role else []
        run = subprocess.run(
            [
                *(BIN / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run"),
                *(f"{address}/api/openapi.json", *OPTIONS, *headers),
                *("--phases", phases, "--max-examples", examples),
            ],
            env=environ({"HOME": str(tmp_path)}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        operations = len(
            re.findall('"operationId"', requests.get(f"{address}/api/openapi.json", timeout=5).text)
        )

    assert run.returncode == 0, run.stdout + run.stderr
    assert tester.get("/api/me").status_code == 200, "its token was good to the end"
    assert f"Tested: {operations}" in run.stdout
