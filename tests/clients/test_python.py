"""A client in Python that is generated from the OpenAPI document has types that hold, and runs."""

import json
import shutil
from pathlib import Path

from tests.clients.conftest import HERE, Desk, succeed
from tests.conftest import on_sqlite
from tests.servers import BIN


@on_sqlite
def test_a_generated_client_runs(desk: Desk, tmp_path: Path) -> None:
    generate = ("generate", "--path", desk.document, "--output-path", "desk", "--meta", "none")
    kinds = {"content_type_overrides": {"application/x-ndjson": "application/octet-stream"}}
    (tmp_path / "config.json").write_text(json.dumps(kinds))
    program = HERE / "programs" / "use_generated.py"
    shutil.copy(program, tmp_path)

    succeed(
        "openapi-python-client",
        *generate,
        "--config",
        "config.json",
        "--fail-on-warning",
        cwd=tmp_path,
    )

    succeed(BIN / "mypy", "--strict", "--follow-imports=silent", program.name, cwd=tmp_path)
    succeed(BIN / "python", program.name, desk.address, cwd=tmp_path)
