"""The image of deploy/Containerfile, built and run where a container tool can get its base."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import KEY
from tests.postgres import free_port
from tests.servers import ROOT, wait_for

CONTAINERFILE = ROOT / "deploy/Containerfile"
TOOL = shutil.which("podman") or shutil.which("docker") or ""
SETTINGS = {"SECRET_KEY": KEY, "DATABASE_URL": "sqlite:////var/lib/omnidesk/desk.db"}
SERVE = "flask --app wsgi init-db && exec gunicorn --bind 0.0.0.0:8000 wsgi:app"


def tool(*command: Any, check: bool = True) -> Any:
    """Run a command of the container tool."""
    return subprocess.run([TOOL, *command], capture_output=True, text=True, check=check)


@pytest.fixture(scope="module")
def image() -> str:
    """The name of the image, which is built."""
    bases = set(re.findall("^FROM (\\S+)", CONTAINERFILE.read_text(), re.MULTILINE))
    if not TOOL or any(tool("pull", base, check=False).returncode for base in bases):
        pytest.skip("no container tool is here, or it cannot get the base of the image")
    tool("build", "--file", CONTAINERFILE, "--tag", "omnidesk-test", ROOT)
    return "omnidesk-test"


@pytest.fixture
def container(image: str, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A container whose root is read-only, and its address."""
    port, log = free_port(), tmp_path / "log"
    settings = [part for name, value in SETTINGS.items() for part in ("--env", f"{name}={value}")]
    confined = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")  # noqa: S108 - its own
    publish = ("--publish", f"127.0.0.1:{port}:8000")
    started = tool("run", "--detach", *confined, *publish, *settings, image, "sh", "-c", SERVE)
    name = started.stdout.strip()
    try:
        log.write_text(name)
        wait_for(f"http://127.0.0.1:{port}/healthz", log)
        yield name, f"http://127.0.0.1:{port}"
    finally:
        tool("rm", "--force", "--volumes", name)


def test_the_image_serves_with_a_read_only_root_and_without_rights(
    container: tuple[str, str],
) -> None:
    name, address = container

    ready = requests.get(f"{address}/readyz", timeout=10)
    (check,) = re.findall('^    "(import .*)"]$', CONTAINERFILE.read_text(), re.MULTILINE)
    healthy = tool("exec", name, "python", "-c", check)

    assert ready.status_code == 200
    assert healthy.returncode == 0
    assert tool("exec", name, "id", "-u").stdout.strip() == "999"
    assert tool("exec", name, "pg_dump", "--version").returncode == 0
