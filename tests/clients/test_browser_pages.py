"""Pages of other origins in a real browser: what they can do, and what they can read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser

from omnidesk.http.cors import RESPONSE_HEADERS
from omnidesk.sample_data import demo
from tests.clients.chromium import (
    FRONT_END,
    PATIENCE,
    PLACES,
    FrontEnd,
    address_of,
    is_free,
)
from tests.conftest import on_sqlite
from tests.servers import gunicorn

AWAY = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}


@pytest.fixture
def front_end(
    request: pytest.FixtureRequest, app: Any, server: str, browser: Browser, tmp_path: Path
) -> Iterator[FrontEnd]:
    """A front end of another origin, and a desk with the demo data."""
    demo.add()
    place = getattr(request, "param", "http://localhost")
    if place.endswith(":3000") and not is_free(3000):
        pytest.skip("somebody else listens on port 3000")
    (tmp_path / "front_end.html").write_text(FRONT_END)
    with (
        address_of(tmp_path / "front_end.html", place) as address,
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        yield FrontEnd(page, server)


@on_sqlite
@pytest.mark.parametrize("front_end", PLACES, indirect=True)
def test_a_page_works_with_the_desk(front_end: FrontEnd) -> None:
    assert front_end.log_in("user1", "secret").body["user"]["username"] == "user1"

    path, seen = "/api/tickets?limit=2", []
    while path:
        page = front_end.send("GET", path, Prefer="count=exact")
        assert page.headers["x-total-count"] == "6"
        seen += [row["ticket_id"] for row in page.body]
        found = re.search(r'<([^>]*)>; rel="next"', page.headers.get("link", ""))
        path = found[1] if found else ""
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 6

    made = front_end.send("POST", "/api/tickets", {"client_id": 55, "subject": "From a page"})
    address = made.headers["location"]
    shown = front_end.send("GET", address)
    assert (made.status, shown.body) == (201, made.body)
    changed = front_end.send("PATCH", address, {"priority": "alta"}, If_Match=shown.headers["etag"])
    assert (changed.status, changed.body["priority"]) == (200, "alta")
    again = front_end.send("PATCH", address, {"priority": "baja"}, If_Match=shown.headers["etag"])
    assert (again.status, again.body["current"]["priority"]) == (412, "alta")
    assert front_end.send("GET", address).body["priority"] == "alta"
    assert changed.headers["x-request-id"] != again.headers["x-request-id"]


@on_sqlite
@pytest.mark.parametrize("front_end", ["http://127.0.0.1", "file"], indirect=True)
def test_a_page_reads_every_error_as_json(front_end: FrontEnd, server: str) -> None:
    user = {"full_name": "Again", "username": "USER1", "password": "correct horse 7"}
    tag = {"If_Match": '"0"'}

    def expect(status: int, detail: str, *request: Any, **headers: str) -> dict[str, str]:
        answer = front_end.send(*request, **headers)
        assert (answer.status, answer.body["detail"]) == (status, detail), request
        return answer.headers

    assert "Bearer" in expect(401, "Unauthorized", "GET", "/api/summary")["www-authenticate"]
    front_end.log_in("user1", "secret")
    expect(403, "Forbidden", "POST", "/api/users", user)
    expect(404, "Not Found", "GET", "/api/tickets/424242")
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        expect(404, "Not Found", method, "/api/no/such/path")
    assert "GET" in expect(405, "Method Not Allowed", "DELETE", "/api/tickets")["allow"]
    expect(412, "Precondition Failed", "PATCH", "/api/tickets/100", {"subject": "New"}, **tag)
    expect(415, "Unsupported Media Type", "POST", "/api/tickets", {}, Content_Type="text/plain")
    expect(400, "Bad Request", "POST", "/api/tickets", {"subject": ""})
    front_end.log_in("admin", "secret")
    expect(409, "Conflict", "POST", "/api/users", user)
    json = {"Content-Type": "application/json"}
    large = front_end.call("/api/tickets", {"method": "POST", "headers": json, "size": 2**21})
    assert (large.status, large.body) == (413, {"detail": "Request Entity Too Large"})


@on_sqlite
def test_a_page_reads_429_and_503(
    front_end: FrontEnd, environment: dict[str, str], tmp_path: Path
) -> None:
    limited = environment | {"RATE_LIMIT_ANONYMOUS": "1 per minute"}
    for number, (settings, status, detail) in enumerate(
        [(limited, 429, "Too Many Requests"), (environment | AWAY, 503, "Service Unavailable")]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with gunicorn(settings, folder, workers=1) as front_end.server:
            for _ in range(3):
                answer = front_end.send("GET", "/api/tickets", X_Requested_With="a page")
        assert (answer.status, answer.body) == (status, {"detail": detail})
        assert int(answer.headers["retry-after"]) >= 0


@on_sqlite
def test_a_page_reads_every_header(front_end: FrontEnd) -> None:
    front_end.log_in("user1", "secret")
    once = {"Idempotency_Key": "once"}
    body = {"client_id": 55, "subject": "Once"}
    answers = [
        front_end.send("GET", "/api/tickets?limit=1", Prefer="count=exact"),
        front_end.send("POST", "/api/tickets", body, **once),
        front_end.send("POST", "/api/tickets", body, **once),
        front_end.send("PUT", "/api/tickets"),
    ]
    front_end.token = ""
    answers.append(front_end.send("GET", "/api/summary"))

    sent = {"etag", "idempotent-replayed", "link", "location", "x-total-count", "allow"}
    sent |= {"preference-applied", "www-authenticate", "x-request-id", "date"}
    assert sent <= {name.lower() for name in RESPONSE_HEADERS}
    assert sent <= {name for answer in answers for name in answer.headers}


@on_sqlite
def test_a_page_asks_permission_once(front_end: FrontEnd) -> None:
    asked: list[str] = []
    network = front_end.page.context.new_cdp_session(front_end.page)
    network.send("Network.enable")
    network.on("Network.requestWillBeSent", lambda sent: asked.append(sent["request"]["method"]))

    front_end.log_in("user1", "secret")
    for _ in range(2):
        assert front_end.send("GET", "/api/summary", traceparent="00-1-2-01").status == 200
        front_end.page.wait_for_timeout(6000)  # Chromium remembers any preflight for 5 seconds

    assert asked.count("GET") == 2
    assert asked.count("OPTIONS") == 2, "one for the login, and one for the summary"


CALLERS_OWN = (
    *("/api/me", "/api/me/sessions", "/api/tokens", "/api/tickets?assigned_to=me"),
    *("/api/tickets", "/api/summary", "/api/changes", "/api/users", "/api/users/2"),
)


@pytest.mark.parametrize("path", CALLERS_OWN)
def test_nobody_sees_what_the_browser_kept_of_somebody_else(
    front_end: FrontEnd, server: str, path: str
) -> None:
    """The browser sends If-None-Match by itself, with the tag of whoever asked before."""
    for username in ("user1", "agent2", "admin", "user1", "agent2"):
        front_end.log_in(username, "secret")
        kept = front_end.send("GET", path)

        token = {"Authorization": f"Bearer {front_end.token}"}
        right = requests.get(f"{server}{path}", headers=token, timeout=30)
        assert (kept.status, kept.body) == (right.status_code, right.json())
        if path == "/api/me":
            assert kept.body["username"] == username


def test_a_page_without_a_token_sees_nothing_that_the_browser_kept(front_end: FrontEnd) -> None:
    front_end.log_in("user1", "secret")
    assert front_end.send("GET", "/api/me").status == 200

    front_end.token = ""

    assert front_end.send("GET", "/api/me").status == 401
