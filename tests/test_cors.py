"""Which pages in a browser may call."""

from typing import Any

import pytest

from tests.conftest import Caller

ALLOWED = ["http://localhost:3000", "null"]
PATHS = ["/api/login", "/api/tickets", "/api/tickets/1", "/api/conversations/1/messages"]


def preflight(caller: Caller, path: str, origin: str) -> Any:
    """Ask as a browser does before it posts."""
    return caller.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        },
    )


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ALLOWED)
def test_an_allowed_page_may_ask_first(anybody: Caller, path: str, origin: str) -> None:
    answer = preflight(anybody, path, origin)

    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    methods = answer.headers["Access-Control-Allow-Methods"]
    assert methods == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ALLOWED)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "/api/tickets", 200),
        ("get", "/api/summary", 401),
        ("get", "/nothing", 404),
        ("put", "/api/tickets", 405),
        ("post", "/api/login", 415),
    ],
)
def test_an_allowed_page_sees_every_answer(
    anybody: Caller, origin: str, method: str, path: str, status: int
) -> None:
    answer = getattr(anybody, method)(path, headers={"Origin": origin})

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"ETag", "Link", "Location", "X-Total-Count", "Retry-After"} <= set(exposed)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost:3000.evil.example",
        "http://evil.example/http://localhost:3000",
        "https://localhost:3000",
        "null.evil",
        "",
    ],
)
def test_any_other_page_is_told_nothing(anybody: Caller, origin: str) -> None:
    answers = [
        preflight(anybody, "/api/tickets", origin),
        anybody.get("/api/tickets", headers={"Origin": origin}),
    ]

    for answer in answers:
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_production_allows_no_page_unless_told(app_with: Any) -> None:
    closed = Caller(app_with(CORS_ORIGINS=[]))

    for origin in ALLOWED:
        answer = closed.get("/api/tickets", headers={"Origin": origin})
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_options_needs_neither_origin_nor_token(anybody: Caller) -> None:
    answer = anybody.options("/api/users")

    assert (answer.status_code, answer.data) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}
