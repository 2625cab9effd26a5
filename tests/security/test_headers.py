"""Response headers: security, caching and request ids."""

import re
from typing import Any

import pytest
import requests

from omnidesk.log_format import JsonFormatter
from tests.conftest import PASSWORD, Caller
from tests.servers import RawConnection

CLOSED = "default-src 'none'; frame-ancestors 'none'"
ANSWERS = [
    ("get", "/api/tickets", 200),
    ("get", "/api/summary", 401),
    ("post", "/api/login", 415),
    ("get", "/api/tickets/424242", 404),
    ("get", "/nothing", 404),
    ("delete", "/api/tickets", 405),
    ("options", "/api/tickets", 200),
    ("get", "/api/openapi.json", 200),
    ("get", "/healthz", 200),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_response_has_the_security_headers(
    anybody: Caller, method: str, path: str, status: int
) -> None:
    answer = getattr(anybody, method)(path)

    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"] == CLOSED
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])
    for name in set(answer.headers.keys()):
        assert len(answer.headers.getlist(name)) == 1, name


def test_a_500_has_the_security_headers_and_its_request_id_in_the_log(
    app_with: Any, monkeypatch: Any, caplog: Any
) -> None:
    app = app_with(PROPAGATE_EXCEPTIONS=False, TESTING=False)
    monkeypatch.setattr("omnidesk.http.lists.add_links", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormatter())

    answer = Caller(app).get("/api/tickets", headers={"X-Request-ID": "find-me"})

    assert (answer.status_code, answer.json) == (500, {"detail": "Internal Server Error"})
    assert answer.headers["Content-Security-Policy"] == CLOSED
    assert answer.headers["X-Request-ID"] == "find-me"
    assert "find-me" in caplog.text


@pytest.mark.parametrize(
    "given", ["a", "0d5c64d2-6b67-4cb7-9b3e-0f2a3f4f1f6e", "A.b_c-9", "x" * 64]
)
def test_a_valid_request_id_is_kept(anybody: Caller, given: str) -> None:
    assert anybody.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize(
    "given", ["", "x" * 65, "a b", "a\tb", "ñ", "<script>", 'a"b', "a,b", "a;b"]
)
def test_any_other_request_id_is_replaced(anybody: Caller, given: str) -> None:
    answer = anybody.get("/healthz", headers={"X-Request-ID": given})

    assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])


def test_responses_about_logins_are_not_cached(agent: Caller) -> None:
    body = {"username": agent.user.username, "password": PASSWORD}
    answers = [
        agent.post("/api/login", json=body),
        agent.post("/api/login", json=body | {"password": "wrong"}),
        agent.post("/api/login", json={}),
        agent.post("/api/token/refresh"),
        agent.get("/api/tokens"),
        agent.post("/api/logout"),
        agent.get("/api/tokens"),
    ]

    assert [answer.status_code for answer in answers] == [200, 401, 400, 200, 200, 204, 401]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


def test_any_other_response_is_cached_privately_and_asked_for_again(agent: Caller) -> None:
    for path in ("/api/tickets", "/api/me", "/api/summary", "/api/tickets/424242", "/nothing"):
        assert agent.get(path).headers["Cache-Control"] == "private, no-cache"
    tag = {"If-None-Match": agent.get("/api/tickets").headers["ETag"]}
    same = agent.get("/api/tickets", headers=tag)
    assert same.headers["Cache-Control"] == "private, no-cache"


def test_swagger_ui_runs_its_own_scripts_alone(anybody: Caller, app_with: Any) -> None:
    policy = anybody.get("/api/docs").headers["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; ")
    assert "http" not in policy
    production = Caller(app_with(ENV="production"))
    page = production.get("/api/docs")
    assert (page.status_code, page.headers["Content-Security-Policy"]) == (404, CLOSED)
    assert production.get("/api/openapi.json").status_code == 200


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/api/tickets", {"Accept", "Prefer", "Authorization", "Origin"}),
        ("/api/summary", {"Authorization", "Origin"}),
        ("/nothing", {"Authorization", "Origin"}),
    ],
)
@pytest.mark.parametrize("origin", [None, "https://evil.example", "http://localhost:3000"])
def test_vary_names_what_an_answer_depends_on(
    anybody: Caller, path: str, names: set[str], origin: str | None
) -> None:
    answer = anybody.get(path, headers={"Origin": origin} if origin else {})

    assert len(answer.headers.getlist("Vary")) == 1
    assert set(answer.headers["Vary"].split(", ")) == names


def test_real_responses_name_no_versions(server: str) -> None:
    answer = requests.get(f"{server}/api/tickets", timeout=5)

    assert answer.headers["Server"] == "gunicorn"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_responses_that_never_reach_the_app_have_them_too(server: str) -> None:
    with RawConnection(server) as line:
        line.send(b"GET / HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n")
        said = line.socket.recv(4096).decode()

    assert said.startswith("HTTP/1.1 400 ")
    assert "nosniff" in said
    assert CLOSED in said
