"""Bodies that the app does not read: nobody else's request gets lost on the connection."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests

from tests.conftest import Caller, on_sqlite
from tests.servers import RawConnection, run_concurrently

MEGABYTE = 2**20
JSON = {"Content-Type": "application/json"}
REFUSED = {
    "no token": ("POST", "/api/tickets", JSON, 401),
    "no route": ("POST", "/nothing", JSON, 404),
    "no such method": ("PUT", "/api/tickets", JSON, 405),
    "no JSON": ("POST", "/api/login", {"Content-Type": "text/plain"}, 415),
    "a body where none is read": ("GET", "/healthz", {}, 200),
}


def chunks(size: int) -> Iterator[bytes]:
    """Yield a body in pieces, which requests sends as chunks."""
    for _ in range(size // 65_536):
        yield b" " * 65_536


@on_sqlite
@pytest.mark.parametrize("behind", ["gunicorn", "nginx"])
def test_others_get_their_responses_meanwhile(
    server: str, proxied_server: str, agent: Caller, behind: str
) -> None:
    address = proxied_server if behind == "nginx" else server
    kinds = [(kind, is_chunked) for kind in REFUSED.values() for is_chunked in (False, True)]
    ends_at = time.monotonic() + 1

    def act(number: int) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        with requests.Session() as session:
            while not seen or time.monotonic() < ends_at:
                if number >= len(kinds):
                    body = {"full_name": "Ada"}
                    url, headers = f"{address}/api/clients", agent.headers
                    answer = session.post(url, json=body, headers=headers, timeout=20)
                    seen.append((201, answer.status_code))
                    continue
                (method, path, given, expected), is_chunked = kinds[number]
                data: Any = chunks(MEGABYTE) if is_chunked else b" " * MEGABYTE
                answer = session.request(
                    method, address + path, data=data, headers=given, timeout=20
                )
                seen.append((expected, answer.status_code))
        return seen

    seen = Counter(pair for pairs in run_concurrently(len(kinds) + 4, act) for pair in pairs)

    assert len(seen) == 6
    assert all(expected == status for expected, status in seen), seen


def posted(address: str, head: str, body: bytes) -> bytes:
    """Return all that is received for a body, and for a request after it on the connection."""
    with RawConnection(address) as connection:
        connection.send(f"{head}\r\nHost: a\r\n".encode() + body)
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return connection.receive()


LENGTH = b"Content-Length: %d\r\n\r\n%s"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"


@on_sqlite
@pytest.mark.parametrize("size", [1, 70_000, MEGABYTE, 4 * MEGABYTE])
@pytest.mark.parametrize("form", [LENGTH, CHUNKED])
@pytest.mark.parametrize(("method", "path", "headers", "status"), REFUSED.values(), ids=REFUSED)
def test_the_next_request_on_a_connection_is_answered(
    server: str,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    form: bytes,
    size: int,
) -> None:
    given = "".join(f"\r\n{name}: {value}" for name, value in headers.items())

    received = posted(server, f"{method} {path} HTTP/1.1{given}", form % (size, b" " * size))

    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.endswith(b'{"status":"ok"}')


POST = "POST /api/tickets HTTP/1.1\r\nContent-Type: application/json"


@on_sqlite
@pytest.mark.parametrize(
    ("body", "more"),
    [
        (b"Content-Length: 1000\r\n\r\n", b""),
        (b"Content-Length: 1000\r\n\r\n" + b"x" * 999, b""),
        (b"Content-Length: 1000000\r\n\r\n", b"x"),
        (b"Content-Length: 99000000\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n", b""),
        (b"Transfer-Encoding: chunked\r\n\r\n3e8\r\nx", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_a_body_that_does_not_come_ends_its_connection(
    server: str, body: bytes, more: bytes
) -> None:
    begun = time.monotonic()
    with RawConnection(server) as connection:
        connection.send(f"{POST}\r\nHost: a\r\n".encode() + body)
        connection.socket.settimeout(0.2)
        while b"}" not in connection.received and time.monotonic() < begun + 10:
            with suppress(TimeoutError):
                connection.receive(b"}")
            connection.send(more)
        received = connection.received

    assert received.startswith(b"HTTP/1.1 401 "), received
    assert b"\r\nConnection: close\r\n" in received
    assert time.monotonic() - begun < 5, "nobody may hold a thread for long"


@on_sqlite
@pytest.mark.parametrize("body", [b"zz\r\n", b"2\r\nxyz", b"-1\r\n\r\n"])
def test_a_malformed_body_ends_its_connection(server: str, body: bytes) -> None:
    received = posted(server, POST, b"Transfer-Encoding: chunked\r\n\r\n" + body)

    assert received.startswith(b"HTTP/1.1 401 "), received
    assert b"\r\nConnection: close\r\n" in received
    assert b'"ok"' not in received
