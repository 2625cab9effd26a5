"""The way of one conversation, as docs/walk.md tells it, with real processes and stand-ins."""

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import free_port
from tests.servers import BIN, ROOT, environ, flask, gunicorn, process, wait_for
from tests.test_cli import new_url

PAGE = (ROOT / "docs/walk.md").read_text()
BLOCKS = re.findall(r"^```(sh|json)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
STAND_IN = r"^\.venv/bin/python (-m tests\..*)$"
PATIENCE = 15  # seconds until something that takes a moment must have happened


@pytest.fixture
def ports(
    environment: dict[str, str], database_url: str, tmp_path: Path
) -> Iterator[dict[str, int]]:
    """The ports of a desk with the demo data and a worker, and of the stand-ins."""
    secrets = dict(re.findall(r"^export (\w+)=(.*)$", PAGE, re.MULTILINE))
    settings = environment | secrets | {"DATABASE_URL": new_url(database_url, tmp_path)}
    assert flask(settings, "init-db", "--demo").returncode == 0
    ports = {"9100": free_port(), "9200": free_port()}
    with ExitStack() as running:
        address = running.enter_context(gunicorn(settings, tmp_path))
        ports["8000"] = int(address.rpartition(":")[2])
        log, env = tmp_path / "worker.log", environ(settings)
        worker = [BIN / "flask", "--app", "wsgi", "worker"]
        running.enter_context(process(worker, log, env=env, cwd=ROOT))
        for number, command in enumerate(re.findall(STAND_IN, PAGE, re.MULTILINE)):
            words, log = shlex.split(with_ports(command, ports)), tmp_path / f"{number}.log"
            running.enter_context(process([BIN / "python", *words], log, env=env, cwd=ROOT))
        for name in ("9100", "9200"):
            wait_for(f"http://127.0.0.1:{ports[name]}/stand-in/messages", log)
        yield ports


def with_ports(text: str, ports: dict[str, int]) -> str:
    """Return a text with the ports of this test instead of the page's."""
    for name, port in ports.items():
        text = re.sub(rf"\b{name}\b", str(port), text)
    return text


def filled(line: str, tokens: dict[str, str]) -> str:
    """Return a line with tokens in their places."""
    for name, token in tokens.items():
        line = line.replace(f"<{name}>", token)
    return line


def run(line: str) -> Any:
    """Run a curl line; return the JSON of the response."""
    command = [*shlex.split(line), "--silent", "--show-error", "--fail-with-body"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return json.loads(done.stdout)


def is_like(found: Any, printed: Any) -> bool:
    """Return whether a value has all that is printed; `…` stands for anything."""
    if isinstance(printed, dict):
        return isinstance(found, dict) and all(
            name in found and is_like(found[name], value) for name, value in printed.items()
        )
    if isinstance(printed, list):
        pairs = zip(found, printed, strict=False)
        return len(found) == len(printed) and all(is_like(*pair) for pair in pairs)
    if isinstance(printed, str) and "…" in printed:
        pattern = ".+".join(map(re.escape, printed.split("…")))
        return isinstance(found, str) and re.fullmatch(pattern, found) is not None
    return bool(found == printed)


def becomes(line: str, found: Any, printed: Any) -> Any:
    """Return a response as soon as it is as printed, asking again; or as it is in the end."""
    give_up_at = time.monotonic() + PATIENCE
    while not is_like(found, printed) and "-X POST" not in line and time.monotonic() < give_up_at:
        time.sleep(0.1)
        found = run(line)
    return found


def test_the_walk_goes_as_it_is_told(ports: dict[str, int]) -> None:
    tokens: dict[str, str] = {}
    line, found = "", None
    for language, text in BLOCKS:
        if language == "json":
            printed = json.loads(text)
            found = becomes(line, found, printed)
            assert is_like(found, printed), (line, found)
            continue
        for printed_line in with_ports(text, ports).splitlines():
            line = filled(printed_line, tokens)
            found = run(line)
            if "/api/login" in line:
                admins = run(line.replace("user1", "admin"))["access_token"]
                tokens = {"token": found["access_token"], "admin's token": admins}
