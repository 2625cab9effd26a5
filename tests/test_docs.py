"""The documents say what the server does: every curl line in them works as printed."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import config
from omnidesk import demo
from tests.servers import ROOT, gunicorn

PAGES = ("README.md", "docs/api.md")
# As the contract prints them, beside those that our own documents have.
CONTRACT = r"""
curl -X POST "http://localhost:8000/api/login" -H "Content-Type: application/json" -d '{"username":"user1","password":"secret"}'
curl -H "Authorization: Bearer <token>" "http://localhost:8000/api/summary"
curl "http://localhost:8000/api/events?start=2025-11-01T00:00:00Z&end=2025-11-30T23:59:59Z"
curl -X POST "http://localhost:8000/api/events" -H "Authorization: Bearer <token>" -H "Content-Type: application/json" -d '{"title":"Demo","start_time":"2025-11-01T15:00:00Z","end_time":"2025-11-01T15:30:00Z"}'
curl "http://localhost:8000/api/tickets?status=abierto&limit=20"
curl -H "Authorization: Bearer <token>" "http://localhost:8000/api/users?role=empleado"
curl -H "Authorization: Bearer <token>" "http://localhost:8000/api/events?start=2025-11-01T00:00:00Z&end=2025-11-30T23:59:59Z"
curl -X POST "http://localhost:8000/api/tickets" -H "Authorization: Bearer <token>" -H "Content-Type: application/json" -d '{"client_id":55,"subject":"Cannot login","priority":"alta"}'
"""  # noqa: E501 - printed lines are not broken


def curl_lines() -> list[str]:
    """Give every curl line of the documents."""
    text = "\n".join([CONTRACT, *((ROOT / page).read_text() for page in PAGES)])
    return list(dict.fromkeys(re.findall("^curl .*", text, re.MULTILINE)))


@pytest.fixture
def server(app: Any, environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """A development server with the demo data, as `make run` starts it."""
    demo.add()
    with gunicorn(environment, tmp_path) as address:
        yield address


def send(line: str, address: str) -> requests.Response:
    """Do what curl would, for the options that the documents use."""
    method, headers, data, url = "GET", {}, None, ""
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(words)
        elif word != "-i":
            url = word.replace("http://localhost:8000", address)
    assert url.startswith(address), line
    return requests.request(method, url, headers=headers, data=data, timeout=10)


def test_every_curl_line_works_as_printed(server: str) -> None:
    lines = curl_lines()
    assert len(lines) >= 20
    token = send(lines[0], server).json()["access_token"]
    admins = send(lines[0].replace("user1", "admin"), server).json()["access_token"]

    for line in lines:
        filled = line.replace("<token>", token).replace("<admin's token>", admins)
        answer = send(filled, server)
        method = "".join(re.findall("-X ([A-Z]+)", line)) if "/api/login" not in line else ""
        expected = 200 if "/tags/" in line else {"POST": 201, "DELETE": 204}.get(method, 200)
        assert answer.status_code == expected, line


def test_the_readmes_first_answer_is_what_the_server_says(server: str) -> None:
    readme = (ROOT / "README.md").read_text()
    line, printed = re.findall("```sh\n(.*)\n```\n\n```json\n(.*)\n```", readme)[0]

    assert send(line, server).text.strip() == printed


def test_every_setting_is_in_the_readme() -> None:
    source = (ROOT / "config.py").read_text()
    read = set(re.findall(r"""env\.\w+\(\s*"([A-Z_]+)\"""", source))

    described = set(re.findall(r"^\| `([A-Z_]+)`", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert read == described
    assert config.READABLE == ("events", "tickets", "conversations", "clients")
