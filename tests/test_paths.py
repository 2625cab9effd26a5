"""The target of a request: whatever its form, the answer is the same with nginx and without."""

import pytest

from tests.conftest import on_sqlite
from tests.servers import RawConnection

FOUND = (
    *("/healthz", "/%68ealthz", "/api/tickets?limit=1", "/%61pi/tickets?limit=%31", "/healthz?"),
    *("/api/docs/assets/swagger-ui.css?x=%2F", "/api/docs/assets/swagger%2Dui.css"),
)
OTHER_PATHS = (
    *("//api/tickets", "///api/tickets", "/api//tickets", "/api/tickets/", "/api/tickets//"),
    *(
        "/api%2Ftickets",
        "/api%2ftickets",
        "/%2Fapi/tickets",
        "/api%2Ftickets%2f1",
        "/api%252Ftickets",
    ),
    *("/api%5Ctickets", "/api\\tickets", "//evil.example/api/tickets", "/API/tickets", "/api."),
    *("/./api/tickets", "/api/./tickets", "/api/../api/tickets", "/x/../api/tickets", "/api/.."),
    *("/api/%2e/tickets", "/api/%2E%2e/api/tickets", "/x%2F..%2Fapi/tickets", "/..;/api/tickets"),
    *("/api/tickets;a=b", "/api/tickets;", "/api/tickets%3Flimit=1", "/api/tickets%23", "/..."),
    *("/api/tickets%20", "/api/tickets%0A", "/api/tickets%0d%0aX:y", "/%c0%af", "/%ff", "/api/%7F"),
    *("/api/docs/assets/..%2fswagger-ui.css", "/api/docs/assets/%2e%2e/%2e%2e/openapi.json"),
)
MALFORMED = (
    *("http://evil/", "HTTP://evil/", "hTTp://evil/healthz", "https://evil/healthz", "a+b://evil/"),
    *("http://127.0.0.1/healthz", "ftp://evil", "http:/healthz", "evil", "evil:80", "?healthz"),
    *("/%00", "/healthz%00", "/api/%00/tickets", "/%", "/%4", "/%zz", "/healthz%2", "/%u002f"),
    *("/..", "/../healthz", "/%2e%2e/healthz", "/.%2E/healthz", "//..", "/./..", "/a/../../b"),
    *("/api%2F..%2F..%2Fhealthz", "/healthz#x", "/api/tickets?limit=1#x", "/\xff", "/a b", "/\x01"),
)


def status(address: str, target: str) -> int:
    """Return the status of the response to a target that is sent as it is."""
    with RawConnection(address) as connection:
        connection.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
        received = connection.receive(b"\r\n\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in received or b" 200 " in received
    return int(received[9:12])


@on_sqlite
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        *((target, 200) for target in FOUND),
        *((target, 404) for target in OTHER_PATHS),
        *((target, 400) for target in MALFORMED),
    ],
)
def test_a_target_is_answered_alike_with_nginx_and_without(
    server: str, proxied_server: str, target: str, expected: int
) -> None:
    assert (status(server, target), status(proxied_server, target)) == (expected, expected)
