"""The API below a path: of the setting SCRIPT_NAME, and of a proxy that takes the path off."""

import re
import socket
import time
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import requests

from tests.conftest import Caller, make_client, make_ticket, on_sqlite
from tests.servers import BIN, ROOT, STOP, RawConnection, environ, gunicorn, process

NOT_FOUND = {"detail": "Not Found"}
PROXY = [ip_network("127.0.0.1")]


@pytest.fixture(scope="module")
def below(migrated_app: Any, environment: dict[str, str], tmp_path_factory: Any) -> Iterator[str]:
    """The address of a server that serves below /desk2, behind a trusted proxy."""
    settings = environment | {"SCRIPT_NAME": "/desk2", "TRUSTED_PROXIES": "127.0.0.1"}
    with gunicorn(settings, tmp_path_factory.mktemp("below")) as address:
        yield address


def addresses(caller: Caller, path: str, headers: dict[str, str] | None = None) -> list[str]:
    """Return where a list, a new ticket, a new client and the document say that something is."""
    client_id = make_client().client_id
    for _ in range(3):
        make_ticket(client_id)
    page = caller.get(f"{path}/api/tickets?limit=1&offset=1&status=abierto", headers=headers)
    ticket = {"client_id": client_id, "subject": "Help"}
    new = caller.post(f"{path}/api/tickets", json=ticket, headers=headers)
    client = {"full_name": "Grace Hopper"}
    made = caller.post(f"{path}/api/clients", json=client, headers=headers)
    document = caller.get(f"{path}/api/openapi.json", headers=headers).json
    return [
        *re.findall("<([^>]*)>", page.headers["Link"]),
        new.headers["Location"],
        made.headers["Location"],
        *(urlsplit(server["url"]).path or "/" for server in document["servers"]),
    ]


def test_every_address_has_the_prefix_of_the_setting(app_with: Any, agent: Caller) -> None:
    found = addresses(Caller(app_with(SCRIPT_NAME="/desk2"), agent.user), "/desk2")

    assert len(found) >= 5
    assert all(re.match("/desk2(/api/|$)", address) for address in found), found


def test_every_address_has_the_prefix_that_a_trusted_proxy_took_off(
    app_with: Any, agent: Caller
) -> None:
    caller = Caller(app_with(TRUSTED_PROXIES=PROXY), agent.user)

    found = addresses(caller, "", {"X-Forwarded-Prefix": "/desk/"})

    assert all(re.match("/desk(/api/|$)", address) for address in found), found


def test_a_proxy_may_take_a_path_off_before_the_setting(app_with: Any, agent: Caller) -> None:
    app = app_with(SCRIPT_NAME="/desk2", TRUSTED_PROXIES=PROXY)

    found = addresses(Caller(app, agent.user), "/desk2", {"X-Forwarded-Prefix": "/desk"})

    assert all(re.match("/desk/desk2(/api/|$)", address) for address in found), found


MALFORMED = (
    *(
        "desk",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/desk//a",
        "/a b",
        "a/",
    ),
    *('/"', "/'", "/<a>", "/a>;rel=x", "/a,/b", "/a, /b", "/..", "/../a", "/a/./b", "/.", "/%2e"),
    *("/a?b", "/a#b", "/a;b", "/a:b", "/@evil", "/\xf1", "/" + "x" * 5000, "/a" * 101, ",", " "),
)


@on_sqlite
def test_a_prefix_that_is_malformed_or_none_is_ignored(app_with: Any, agent: Caller) -> None:
    caller = Caller(app_with(TRUSTED_PROXIES=PROXY), agent.user)

    for prefix in (*MALFORMED, "/", "//", ""):
        found = addresses(caller, "", {"X-Forwarded-Prefix": prefix})
        assert all(re.match("/(api/|$)", address) for address in found), (prefix, found)


@pytest.mark.parametrize("trusted", [[], [ip_network("10.0.0.0/8")]])
def test_a_prefix_of_anybody_else_is_ignored(app_with: Any, agent: Caller, trusted: Any) -> None:
    caller = Caller(app_with(TRUSTED_PROXIES=trusted), agent.user)

    found = addresses(caller, "", {"X-Forwarded-Prefix": "/desk"})

    assert all(re.match("/(api/|$)", address) for address in found), found


@on_sqlite
def test_swagger_ui_finds_its_assets_and_the_document(below: str) -> None:
    page = requests.get(f"{below}/desk2/api/docs", timeout=5)

    linked = re.findall('(?:href|src)="([^"]+)"', page.text)
    (document,) = re.findall('url: "([^"]+)"', page.text)
    assert len(linked) == 3
    for address in (*linked, document):
        found = urljoin(page.url, address)
        assert found.startswith(f"{below}/desk2/"), found
        assert requests.get(found, timeout=5).status_code == 200


def raw(address: str, request: str) -> bytes:
    """Return the response to a request line and headers, sent as they are."""
    with RawConnection(address) as connection:
        connection.send(f"{request}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        return connection.receive()


@on_sqlite
@pytest.mark.parametrize(
    ("target", "status"),
    [
        *(("/desk2/healthz", 200), ("/%64esk2/healthz", 200), ("/desk2/api/tickets?limit=1", 200)),
        *((path, 404) for path in ("/healthz", "/", "/desk", "/desk2healthz", "/desk2api/tickets")),
        *((path, 404) for path in ("/desk2//healthz", "//desk2/healthz", "/DESK2/healthz")),
        *((path, 404) for path in ("/desk2%2Fhealthz", "/%2Fdesk2/healthz", "/desk2/..")),
        *((path, 404) for path in ("/x/../desk2/healthz", "/desk2/../desk2/healthz")),
        *((path, 400) for path in ("/desk2/../..", "http://evil/", "HTTP://evil/desk2/healthz")),
    ],
)
def test_only_what_is_below_the_prefix_is_served(below: str, target: str, status: int) -> None:
    received = raw(below, f"GET {target} HTTP/1.1")

    assert received.startswith(b"HTTP/1.1 %d " % status), received
    assert b"\r\nContent-Type: application/json\r\n" in received
    assert b"\r\nX-Request-ID: " in received, "the app has answered it"


@on_sqlite
def test_several_forwarding_headers_are_one_list(below: str, app: Any) -> None:
    def fail(name: str, *forwarded: str) -> int:
        head = "".join(f"X-Forwarded-For: {each}\r\n" for each in forwarded)
        body = f'{{"username":"{name}","password":"wrong"}}'
        request = f"POST /desk2/api/login HTTP/1.1\r\n{head}Content-Type: application/json"
        with RawConnection(below) as connection:
            connection.send(f"{request}\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
            connection.send(body.encode())
            return int(connection.receive(b"}")[9:12])

    answers = [fail(f"user{n}", f"1.1.1.{n}", "203.0.113.9:1") for n in range(22)]

    assert (answers[:15], answers[-1]) == ([401] * 15, 429)
    assert fail("another", "203.0.113.9", "203.0.113.10") == 401


@on_sqlite
def test_a_proxy_on_a_unix_socket_is_believed(environment: dict[str, str], tmp_path: Path) -> None:
    place, log = tmp_path / "socket", tmp_path / "log"
    env = environ(environment | {"TRUSTED_PROXIES": "unix"})
    command = [BIN / "gunicorn", *STOP, "--bind", f"unix:{place}", "wsgi:app"]
    with process(command, log, env=env, cwd=ROOT) as running:
        while running.poll() is None and not place.exists():
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as received:
            connection.settimeout(10)
            connection.connect(str(place))
            connection.sendall(
                b"GET /api/openapi.json HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n"
                b"X-Forwarded-Prefix: /desk\r\nConnection: close\r\n\r\n"
            )
            answer = received.read()

    assert answer.startswith(b"HTTP/1.1 200 "), log.read_text()
    assert b'"url": "/desk"' in answer
