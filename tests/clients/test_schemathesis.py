"""The server does what its OpenAPI document says, whatever it is sent."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests

from omnidesk.sample_data import demo
from tests.conftest import Caller, make_user
from tests.servers import BIN, environ

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
OPTIONS = ("--checks", "all", "--no-color", "--seed", "7", "--generation-database", "none")


def without_large_bound(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without a bound that no random text comes near.

    schemathesis would write it into the pattern, as in `^.{0,65536}$`, and compile that many times,
    for most of a second each.
    """
    if isinstance(length := schema.get("maxLength"), int) and length > 1000:
        del schema["maxLength"]
    return schema


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
    server: str, app: Any, tmp_path: Path, role: str, phases: str, examples: str
) -> None:
    demo.add()
    tester = Caller(app, make_user("tester", role="admin"))
    text = requests.get(f"{server}/api/openapi.json", timeout=5).text
    change = without_large_bound if phases == "fuzzing" else None
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(json.loads(text, object_hook=change)))
    headers = ["--header", f"Authorization: Bearer {tester.token}"] if role else []
    run = subprocess.run(
        [
            *(BIN / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run"),
            *(str(document), "--url", server, *OPTIONS, *headers),
            *("--phases", phases, "--max-examples", examples),
        ],
        env=environ({"HOME": str(tmp_path)}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert tester.get("/api/me").status_code == 200, "its token was good to the end"
    operations = text.count('"operationId"')
    assert f"Tested: {operations}" in run.stdout
