"""Invalid and unusual HTTP: methods, types, caching, and raw requests."""

import re

import pytest
import requests

from tests.conftest import Caller, on_sqlite
from tests.security.conftest import TICKET, Desk, ascii_json
from tests.security.test_matrix import MATRIX
from tests.servers import RawConnection

TICKETS = "/api/tickets"
PATHS = sorted({row.route.partition(" ")[2].replace("*", "1") for row in MATRIX})
API = [path for path in PATHS if re.match("/api/(?!docs)[a-z]", path)]


def methods(path: str) -> set[str]:
    """Return the methods that a path has."""
    pattern = re.compile(path.replace("1", r"(\*|1)"))
    named = (row.route.partition(" ") for row in MATRIX)
    found = {method for method, _, route in named if pattern.fullmatch(route)} | {"OPTIONS"}
    return found | ({"HEAD"} if "GET" in found else set())


@on_sqlite
@pytest.mark.parametrize("path", PATHS)
def test_a_wrong_method_is_told_the_right_ones(desk: Desk, path: str) -> None:
    for method in {"PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "FOO"} - methods(path):
        answer = desk.ask(method, path, "admin")
        assert (answer.status_code, answer.json()) == (405, {"detail": "Method Not Allowed"})
        assert set(answer.headers["Allow"].split(", ")) == methods(path)


@on_sqlite
@pytest.mark.parametrize("path", [path for path in API if "GET" in methods(path)])
def test_head_is_get_without_a_body(desk: Desk, path: str) -> None:
    named = {"X-Request-ID": "one"}
    head, get = (desk.ask(method, path, "admin", headers=named) for method in ("HEAD", "GET"))

    assert head.content == b""
    for answer in (head, get):
        del answer.headers["Date"]
    assert (head.status_code, head.headers) == (get.status_code, get.headers)


@on_sqlite
@pytest.mark.parametrize(
    "kind",
    [
        *("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"),
        *("text/xml", "application/jsonx", "", None),
    ],
)
def test_a_body_of_another_kind(desk: Desk, kind: str | None) -> None:
    answer = desk.ask("POST", TICKETS, data=ascii_json(TICKET), headers={"Content-Type": kind})

    assert (answer.status_code, [*answer.json()["errors"]]) == (415, ["Content-Type"])


@on_sqlite
@pytest.mark.parametrize("accept", ["text/xml", "*/*", "application/json;q=0", ""])
def test_the_response_is_json_for_any_accept_header(desk: Desk, accept: str) -> None:
    assert desk.ask("GET", TICKETS, headers={"Accept": accept}).status_code == 200


@on_sqlite
@pytest.mark.parametrize("path", PATHS)
def test_options_needs_neither_origin_nor_token(desk: Desk, path: str) -> None:
    answer = desk.ask("OPTIONS", path, "")

    assert (answer.status_code, answer.content) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == methods(path)


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/nothing", "/etc/passwd", "/api/tickets/x", "/docs/x"]
)
def test_what_is_not_there(desk: Desk, path: str) -> None:
    answer = desk.ask("GET", path)

    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


def test_a_changed_row_is_never_304(desk: Desk) -> None:
    first, later = "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
    for path in ("/api/tickets/1", TICKETS):
        tag = desk.ask("GET", path).headers["ETag"]
        had = {"If-None-Match": tag, "Range": "bytes=0-1"}
        assert desk.ask("GET", path, headers=had).status_code == 304
        desk.ask("PATCH", "/api/tickets/1", json={"subject": f"New {path}"})

        for more in ({}, {"If-Modified-Since": later}, {"Range": "bytes=0-1"}):
            answer = desk.ask("GET", path, headers={"If-None-Match": tag} | more)
            assert (answer.status_code, f"New {path}" in answer.text) == (200, True)
        for time in (first, later):
            answer = desk.ask("GET", path, headers={"If-Modified-Since": time})
            assert answer.status_code == 200


GET = b"GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: [::1]x\r\n\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a:8000:1\r\n\r\n", b"400"),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (GET % (b"/" + b"x" * 9000, b""), b"414"),
        (GET % (b"/healthz", b"X: " + b"x" * 9000 + b"\r\n"), b"431"),
        (GET % (b"/healthz", b"X: y\r\n" * 101), b"431"),
        (GET % (b"/healthz", b"Authorization: Bearer " + b"x" * 20_000 + b"\r\n"), b"431"),
        (b"garbage\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_an_invalid_request_is_400(desk: Desk, request_: bytes, status: bytes) -> None:
    with RawConnection(desk.address) as connection:
        connection.send(request_)
        received = connection.receive(b'"}')

    assert received.startswith(b"HTTP/1.1 " + status), received
    assert b'{"detail":"' in received


@pytest.mark.parametrize("host", ["[::1]:8000", "127.0.0.1:8000", "DESK.example.", "a_b:"])
def test_a_host_may_have_any_form_of_a_host(anybody: Caller, host: str) -> None:
    assert anybody.get("/api/tickets", headers={"Host": host}).status_code == 200


def test_a_body_in_a_transfer_coding_is_415(desk: Desk) -> None:
    head = b"POST /api/tickets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    bearer = f"Authorization: {desk.agent.headers['Authorization']}\r\n".encode()
    coded = b"Transfer-Encoding: gzip, chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

    with RawConnection(desk.address) as connection:
        connection.send(head + bearer + coded)
        received = connection.receive()

    assert received.startswith(b"HTTP/1.1 415 "), received
    assert b'"errors":{"Transfer-Encoding":' in received


def test_two_requests_in_one_go_are_answered_in_order(desk: Desk) -> None:
    post = b"POST /api/tickets HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    body = ascii_json(TICKET)
    with RawConnection(desk.address) as connection:
        connection.send(
            post
            + b"Authorization: %s\r\n" % desk.agent.headers["Authorization"].encode()
            + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            + GET % (b"/nothing", b"")
            + GET % (b"/healthz", b"Connection: close\r\n")
        )
        received = connection.receive(b'{"status":"ok"}')

    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"201", b"404", b"200"]


def test_expect_100_continue_is_answered_with_100(desk: Desk) -> None:
    body = ascii_json({"username": "nobody", "password": "nothing"})
    with RawConnection(desk.address) as connection:
        connection.send(
            b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        assert connection.receive(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(body + GET % (b"/healthz", b"Connection: close\r\n"))
        received = connection.receive(b'{"status":"ok"}')

    assert re.findall(rb"HTTP/1\.1 (\d+)", received) == [b"100", b"401", b"200"]


def test_a_refused_request_gets_no_100(desk: Desk) -> None:
    with RawConnection(desk.address) as connection:
        connection.send(
            b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Expect: 100-continue\r\nContent-Length: 20000000\r\n\r\n"
        )
        received = connection.receive(b"}")

    assert b"HTTP/1.1 413" in received


def test_idle_connections_keep_nobody_waiting(desk: Desk) -> None:
    connections = [RawConnection(desk.address) for _ in range(200)]
    try:
        answers = [requests.get(f"{desk.address}/healthz", timeout=5) for _ in range(20)]
    finally:
        for connection in connections:
            connection.socket.close()

    assert {answer.status_code for answer in answers} == {200}
