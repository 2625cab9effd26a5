"""A front end in TypeScript, with types made from the OpenAPI document, compiles and runs."""

import shutil
from pathlib import Path

import pytest

from tests.clients.conftest import HERE, Desk, run, succeed
from tests.conftest import on_sqlite


@pytest.fixture
def project(desk: Desk, tmp_path: Path) -> Path:
    """A folder with the program, its types and the tools."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "node_modules").symlink_to(HERE / "node_modules")
    (folder / "package.json").write_text('{"type": "module"}')
    for name in ("client.ts", "tsconfig.json"):
        shutil.copy(HERE / "programs" / name, folder)
    succeed("openapi-typescript", desk.document, "-o", "schema.d.ts", cwd=folder)
    return folder


@on_sqlite
def test_a_front_end_compiles_strictly_and_runs(desk: Desk, project: Path) -> None:
    succeed("tsc", "--strict", "--project", ".", cwd=project)
    succeed("node", "client.js", desk.address, cwd=project)

    schema = project / "schema.d.ts"
    schema.write_text(schema.read_text().replace('"abierto" |', ""))
    broken = run("tsc", "--strict", "--project", ".", cwd=project)
    assert broken.returncode != 0, "the program holds the types to what they are"
