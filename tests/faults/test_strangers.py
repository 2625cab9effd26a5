"""What somebody without a token may send: everything is counted, and nothing of it is expensive."""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from omnidesk import migrations
from tests.conftest import Caller, on_sqlite
from tests.hooks import make_channel
from tests.servers import gunicorn

PREFLIGHT = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
COUNTED = [
    ("GET", "/api/openapi.json"),
    ("HEAD", "/api/openapi.json"),
    ("GET", "/api/docs"),
    ("GET", "/api/docs/assets/swagger-ui.css"),
    ("GET", "/api/docs/assets/nothing"),
    ("GET", "/nothing"),
    ("GET", "/api/nothing"),
    ("GET", "//api/tickets"),
    ("POST", "/nothing"),
    ("PUT", "/api/tickets"),
    ("DELETE", "/healthz"),
    ("FOO", "/api/tickets"),
    ("OPTIONS", "/api/tickets"),
    ("OPTIONS", "/nothing"),
    ("GET", "/healthz?a=1"),
    ("GET", "/api/tickets"),
    ("GET", "/api/summary"),
    ("POST", "/api/tickets"),
    ("POST", "/api/login"),
    ("POST", "/api/hooks/whatsapp/1"),
    ("GET", "/api/hooks/whatsapp/1"),
    ("HEAD", "/api/hooks/whatsapp/1"),
    ("PUT", "/api/hooks/whatsapp/1"),
    ("OPTIONS", "/api/hooks/whatsapp/1"),
]


@pytest.mark.parametrize(("method", "path"), COUNTED)
def test_every_request_of_a_stranger_is_counted_once(app_with: Any, method: str, path: str) -> None:
    anybody = Caller(app_with(RATE_LIMIT_ANONYMOUS="3 per minute"))

    answers = [getattr(anybody, method.lower())(path) for _ in range(5)]

    statuses = [answer.status_code for answer in answers]
    assert statuses[3:] == [429, 429]
    assert 429 not in statuses[:3]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers[:3]] == [
        "r=2",
        "r=1",
        "r=0",
    ]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_are_never_refused(app_with: Any, path: str) -> None:
    anybody = Caller(app_with(RATE_LIMIT_ANONYMOUS="3 per minute"))

    assert [anybody.get(path).status_code for _ in range(8)] == [200] * 8


def test_the_database_is_asked_once_a_second_whether_it_is_ready(
    app_with: Any, monkeypatch: Any
) -> None:
    anybody, asked = Caller(app_with()), []

    def revision() -> str:
        asked.append(1)
        return migrations.NEWEST

    monkeypatch.setattr("omnidesk.health.monotonic", lambda: 7.0)
    monkeypatch.setattr(migrations, "revision", revision)

    answers = [anybody.get("/readyz").status_code for _ in range(20)]
    monkeypatch.setattr("omnidesk.health.monotonic", lambda: 8.0)
    anybody.get("/readyz")

    assert answers == [200] * 20
    assert len(asked) == 2


def test_preflights_are_counted_apart(app_with: Any, agent: Caller) -> None:
    limits = {"RATE_LIMIT_ANONYMOUS": "3 per minute", "RATE_LIMIT_TOKEN": "6 per minute"}
    anybody = Caller(app_with(**limits))

    answers = [anybody.options("/api/me", headers=PREFLIGHT) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [204] * 6 + [429] * 2
    assert answers[-1].headers["RateLimit-Policy"] == '"preflight";q=6;w=60'
    assert anybody.get("/api/tickets").status_code == 200
    assert Caller(anybody.app, agent.user).get("/api/me").status_code == 200


def test_a_path_that_is_unknown_counts_for_the_token_that_asks(
    app_with: Any, agent: Caller
) -> None:
    limits = {"RATE_LIMIT_ANONYMOUS": "3 per minute", "RATE_LIMIT_TOKEN": "6 per minute"}
    mine = Caller(app_with(**limits), agent.user)

    answers = [mine.get("/nothing").status_code for _ in range(8)]

    assert answers == [404] * 6 + [429] * 2
    assert Caller(mine.app).get("/nothing").status_code == 404


def test_the_document_is_written_once(anybody: Caller, monkeypatch: Any) -> None:
    first = anybody.get("/api/openapi.json")
    monkeypatch.setattr("apispec.APISpec.to_dict", lambda _: 1 / 0)

    assert anybody.get("/api/openapi.json").data == first.data


PER_MINUTE = 120  # requests without a token, by default
SENT = 40  # of them, which show what all would cost
MAX_SECONDS = 5  # of processor time a minute, for one address
MEBIBYTE = 1024 * 1024
JSON = {"Content-Type": "application/json"}


NAME = "a user name"  # another one in each request


def login(body: object, size: int = 16 * 1024) -> tuple[str, str, dict[str, Any]]:
    """Return a login with a body, JSON or text, which is cut to so many bytes."""
    text = body if isinstance(body, str) else json.dumps(body)
    return "POST", "/api/login", {"data": text[:size], "headers": JSON}


def get(path: str, **headers: str) -> tuple[str, str, dict[str, Any]]:
    """Return a GET."""
    return "GET", path, {"headers": headers}


def update(hook: str, **headers: str) -> tuple[str, str, dict[str, Any]]:
    """Return the longest body that a hook reads, which its provider has not signed."""
    return "POST", f"/api/hooks/{hook}", {"data": "0" * 3 * MEBIBYTE, "headers": headers}


DEAR: dict[str, tuple[str, str, dict[str, Any]]] = {
    "passwords": login({"username": NAME, "password": "x" * 1000}),
    "one password": login({"username": "user", "password": "x" * 1000}),
    "zeros": login(f'{{"a":[{"0," * MEBIBYTE}'),
    "unknown fields": login(dict.fromkeys(map(str, range(1500)), 0)),
    "deep JSON": login("[" * MEBIBYTE),
    "a long number": login("9" * MEBIBYTE),
    "a large body": ("POST", "/api/tickets", {"data": "0" * MEBIBYTE, "headers": JSON}),
    "a large body to nowhere": ("POST", "/nothing", {"data": "0" * MEBIBYTE}),
    "a large query": get(f"/api/tickets?{'a&' * 3900}"),
    "a long path": get(f"/{'a/' * 3900}"),
    "large headers": get("/api/tickets", **{f"X-{n}": "x" * 8000 for n in range(43)}),
    "a large token": get("/api/me", Authorization=f"Bearer odk_{'x' * 8000}"),
    "a large JWT": get("/api/me", Authorization=f"Bearer {'W' * 3000}.{'W' * 3000}.x"),
    "the document": get("/api/openapi.json"),
    "a large file": get("/api/docs/assets/swagger-ui-bundle.js"),
    "preflights": ("OPTIONS", "/api/tickets", {"headers": PREFLIGHT}),
    "updates of WhatsApp": update("whatsapp/1", **{"X-Hub-Signature-256": "sha256=wrong"}),
    "updates of Telegram": update("telegram/2", **{"X-Telegram-Bot-Api-Secret-Token": "x" * 8000}),
    "updates of a program": update(
        "webhook/3",
        **{
            "webhook-id": "1",
            "webhook-timestamp": str(int(time.time())),
            "webhook-signature": " ".join([f"v1,{'A' * 43}="] * 160),
        },
    ),
    "updates of nobody": update("whatsapp/9"),
    "questions of WhatsApp": get(f"/api/hooks/whatsapp/1?hub.verify_token={'x' * 7000}"),
}


def processor_seconds(folder: Path) -> float:
    """Return the processor time that a server's processes have used so far."""
    parent = (folder / "pid").read_text().strip()
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    fields = [Path(f"/proc/{pid}/stat").read_text().split(") ")[1].split() for pid in children]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


@on_sqlite
@pytest.mark.slow
def test_no_stranger_costs_much_processor_time(
    environment: dict[str, str], tmp_path: Path, app: Any
) -> None:
    production = environment | {
        "OMNIDESK_ENV": "production",
        "TRUSTED_PROXIES": "127.0.0.1",
        "GUNICORN_CMD_ARGS": f"--pid {tmp_path}/pid",
    }
    seconds = {}
    for channel_type in ("whatsapp", "telegram", "webhook"):
        make_channel(channel_type)
    with gunicorn(production, tmp_path) as address:
        for number, (name, (method, path, asked)) in enumerate(DEAR.items()):
            headers = {"X-Forwarded-For": f"203.0.113.{number}"} | asked.get("headers", {})
            before = processor_seconds(tmp_path)
            for n in range(SENT):
                data = asked.get("data", "").replace(NAME, f"user{n}")
                with suppress(requests.ConnectionError):  # a body that the server does not read
                    requests.request(method, address + path, headers=headers, data=data, timeout=30)
            used = processor_seconds(tmp_path) - before
            seconds[name] = used * PER_MINUTE / SENT

    assert not {name: used for name, used in seconds.items() if used > MAX_SECONDS}
