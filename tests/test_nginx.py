"""The contract through real nginx and real gunicorn, in production mode on PostgreSQL."""

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
import requests

from tests.conftest import KEY, Caller, make_conversation, on_postgresql
from tests.postgres import free_port
from tests.servers import ROOT, RawConnection, flask, gunicorn, start_nginx, wait_for

pytestmark = on_postgresql


ORIGIN = "https://app.example.com"
METRICS = {"Authorization": "Bearer a-token-of-prometheus"}
PROTOCOLS = ("--http1.1", "--http2")


class Site(NamedTuple):
    """Where nginx listens."""

    tls: int
    plain: int
    certificate: Path

    @property
    def url(self) -> str:
        """The address of the API."""
        return f"https://localhost:{self.tls}"


def certify(folder: Path) -> None:
    """Make a certificate for localhost."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
        ],
        check=True,
        capture_output=True,
    )


def shipped_site(folder: Path, gunicorn_port: str, tls: int, plain: int) -> str:
    """Return deploy/nginx.conf with ports, paths and an origin of our own, and nothing else."""
    site = (ROOT / "deploy/nginx.conf").read_text()
    site = re.sub(r"\n *listen \[::\].*", "", site)
    for shipped, ours in (
        ("127.0.0.1:8000", f"127.0.0.1:{gunicorn_port}"),
        ("listen 443", f"listen 127.0.0.1:{tls}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("/etc/letsencrypt/live/desk.example.com", str(folder)),
        ("desk.example.com", "localhost"),
        ('# "https://app.example.com" $http_origin;', f'"{ORIGIN}" $http_origin;'),
    ):
        assert shipped in site
        site = site.replace(shipped, ours)
    return site


@pytest.fixture(scope="module")
def folder(database_url: str) -> Iterator[Path]:
    """A folder that nginx's own user may enter; pytest closes its own to others."""
    with TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        certify(path)
        yield path


def nginx(folder: Path, upstream: str) -> Any:
    """Start nginx in front of an address and give where it listens."""
    site = Site(free_port(), free_port(), folder / "fullchain.pem")
    shipped = shipped_site(folder, upstream, site.tls, site.plain)
    return site, start_nginx(shipped, folder / str(site.tls))


@pytest.fixture(scope="module")
def production(environment: dict[str, str]) -> dict[str, str]:
    """What an operator would set."""
    limits = {"RATE_LIMIT_ANONYMOUS": "", "RATE_LIMIT_TOKEN": ""}
    limits |= {"METRICS_TOKEN": METRICS["Authorization"].removeprefix("Bearer ")}
    return {"DATABASE_URL": environment["DATABASE_URL"], "SECRET_KEY": KEY, **limits}


@pytest.fixture(scope="module")
def site(migrated_app: Any, production: dict[str, str], folder: Path) -> Iterator[Site]:
    """The whole thing, as an operator would run it."""
    with gunicorn(production, folder) as address:
        site, running = nginx(folder, address.rpartition(":")[2])
        with running:
            wait_for(
                f"{site.url}/healthz", folder / f"{site.tls}/error.log", verify=site.certificate
            )
            yield site


@pytest.fixture
def session(site: Site) -> Iterator[requests.Session]:
    """A client that trusts the certificate."""
    with requests.Session() as session:
        session.trust_env = False  # no other certificates
        session.verify = str(site.certificate)
        yield session


def create_admin(production: dict[str, str]) -> None:
    """Create the first user, as an operator does."""
    made = flask(
        production, "create-user", "boss", "--role", "admin", "--password", "correct horse"
    )
    assert made.returncode == 0, made.stderr


def test_the_contract_is_served(
    app: Any, site: Site, session: requests.Session, production: dict[str, str]
) -> None:
    create_admin(production)
    assert session.get(f"{site.url}/api/tickets").status_code == 401

    credentials = {"username": "boss", "password": "correct horse"}
    login = session.post(f"{site.url}/api/login", json=credentials)
    session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"

    def create(path: str, **body: Any) -> Any:
        answer = session.post(f"{site.url}{path}", json=body)
        assert answer.status_code == 201, answer.text
        assert session.get(f"{site.url}{answer.headers['Location']}").json() == answer.json()
        assert answer.json() in session.get(f"{site.url}{path}").json()
        return answer.json()

    client = create("/api/clients", full_name="Ada Lovelace")
    ticket = create("/api/tickets", client_id=client["client_id"], subject="Cannot login")
    times = {"start_time": "2025-11-01T15:00:00Z", "end_time": "2025-11-01T15:30:00Z"}
    create("/api/events", title="Demo", ticket_id=ticket["ticket_id"], **times)
    create("/api/users", full_name="New Agent", username="agent2", password="ClearTextPassword!")
    conversation = make_conversation(client_id=client["client_id"])
    number = conversation.conversation_id
    create(f"/api/conversations/{number}/messages", sender="client", content="Hello")
    shown = session.get(f"{site.url}/api/conversations").json()
    assert shown == [session.get(f"{site.url}/api/conversations/{number}").json()]
    summary = session.get(f"{site.url}/api/summary").json()
    assert summary["tickets"] == summary["tickets"] | {"open": 1, "in_progress": 0, "closed": 0}
    assert summary == summary | {
        "users_count": 2,
        "upcoming_events": 0,
        "unread_messages": 1,
    }


def test_nothing_is_open_in_production(app: Any, site: Site, session: requests.Session) -> None:
    document = session.get(f"{site.url}/api/openapi.json").json()

    open_operations = [
        operation["operationId"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in ("get", "post") and operation["security"] == []
    ]
    signed = ["answer_challenge", "receive_updates"]  # by the providers of channels
    assert sorted(open_operations) == sorted([*signed, "live", "login", "ready"])


def test_the_document_is_served_and_no_page_for_it(site: Site, session: requests.Session) -> None:
    document, page = (session.get(f"{site.url}/api/{name}") for name in ("openapi.json", "docs"))

    assert document.json()["info"]["title"] == "OmniDesk"
    assert (page.status_code, page.json()) == (404, {"detail": "Not Found"})


def test_every_answer_asks_for_tls_and_hides_versions(
    site: Site, session: requests.Session
) -> None:
    answer = session.get(f"{site.url}/healthz")

    assert "max-age" in answer.headers["Strict-Transport-Security"]
    assert answer.headers["Server"] == "nginx"


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        ({"path": "/nothing"}, 404, "Not Found"),
        ({"path": "/" + "x" * 5000}, 414, "Request URI Too Long"),
        ({"headers": {"X-Long": "x" * 9000}}, 431, "Request Header Fields Too Large"),
        ({"headers": {"Authorization": "x" * 20_000}}, 431, "Request Header Fields Too Large"),
        ({"headers": {f"X-{n}": "" for n in range(150)}}, 431, "Request Header Fields Too Large"),
        ({"path": "/api/login", "data": b" " * 2**21}, 413, "Request Entity Too Large"),
        ({"path": "/api/hooks/x/1", "data": b" " * 3 * 2**20}, 404, "Not Found"),  # the app's own
        ({"path": "/api/hooks/x/1", "data": b" " * 2**22}, 413, "Request Entity Too Large"),
        ({"path": "/api/hooks/x/1?" + "x" * 5000}, 414, "Request URI Too Long"),
        ({"path": "/omnidesk_error"}, 404, "Not Found"),
        ({"path": "/metrics", "headers": METRICS}, 404, "Not Found"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_of_nginx_have_the_apps_json_form(
    site: Site, session: requests.Session, request_: dict[str, Any], status: int, detail: str
) -> None:
    path = request_.pop("path", "/healthz")
    method = "POST" if "data" in request_ else "GET"

    answer = session.request(method, f"{site.url}{path}", **request_)

    assert (answer.status_code, answer.json()) == (status, {"detail": detail})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; frame-")


def raw(site: Site, port: int, request_: bytes, *, tls: bool) -> bytes:
    """Send bytes as they are and give the answer."""
    scheme = "https" if tls else "http"
    with RawConnection(f"{scheme}://localhost:{port}", site.certificate) as connection:
        connection.send(request_)
        return connection.receive()


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(
    "request_",
    [
        b"garbage\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_an_invalid_request_is_400(site: Site, request_: bytes, tls: bool) -> None:
    answer = raw(site, site.tls if tls else site.plain, request_, tls=tls)

    assert b'{"detail":"Bad Request"}' in answer
    assert answer.startswith(b"HTTP/1.1 400") or not answer.startswith(b"HTTP")


def test_a_request_in_the_clear_is_refused_and_not_sent_on(site: Site) -> None:
    to_tls_port = raw(
        site, site.tls, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", tls=False
    )
    answer = requests.get(f"http://localhost:{site.plain}/api/tickets", timeout=5)

    assert to_tls_port.startswith(b"HTTP/1.1 400")
    assert b'{"detail":"Bad Request"}' in to_tls_port
    assert (answer.status_code, answer.json()) == (400, {"detail": "Bad Request"})


def test_forwarding_headers_of_a_client_are_ignored(
    app: Any, site: Site, session: requests.Session
) -> None:
    spoofed = {
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example",
        "SCRIPT_NAME": "/evil",
        "Script-Name": "/evil",
    }

    answer = session.get(f"{site.url}/api/openapi.json", headers=spoofed)

    assert answer.status_code == 200
    assert "evil" not in answer.text + str(answer.headers)


HEAD = b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = {
    "nothing at all": b"",
    "half a request line": b"GET /heal",
    "a header, and no end": HEAD + b"X-Slow: a",
    "a length, and no body": HEAD + b"Content-Length: 1000\r\n\r\n",
    "half a body": HEAD + b'Content-Length: 1000\r\n\r\n{"username":',
    "a chunk of many": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
}


@pytest.fixture
def slow(site: Site, request: pytest.FixtureRequest) -> Iterator[list[RawConnection]]:
    """Many clients, each of which has said as little, and then no more."""
    connections = [RawConnection(site.url, site.certificate) for _ in range(200)]
    for connection in connections:
        connection.send(SLOW[request.param])
    yield connections
    for connection in connections:
        connection.socket.close()


@pytest.mark.parametrize("slow", SLOW, indirect=True)
def test_slow_clients_keep_nobody_waiting(
    slow: list[RawConnection], site: Site, session: requests.Session
) -> None:
    answers = [session.get(f"{site.url}/healthz", timeout=5) for _ in range(20)]

    assert [answer.status_code for answer in answers] == [200] * 20


def test_clients_that_read_slowly_keep_nobody_waiting(
    site: Site, session: requests.Session
) -> None:
    connections = [RawConnection(site.url, site.certificate) for _ in range(200)]
    for connection in connections:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.send(b"GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)

    answers = [session.get(f"{site.url}/healthz", timeout=5) for _ in range(20)]

    for connection in connections:
        connection.socket.close()
    assert [answer.status_code for answer in answers] == [200] * 20


def test_one_connection_serves_many_requests(
    site: Site, session: requests.Session, folder: Path
) -> None:
    for _ in range(50):
        assert session.get(f"{site.url}/healthz").status_code == 200


class Answer(NamedTuple):
    """What curl got; the names of its headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def curl(site: Site, protocol: str, path: str, *options: str, origin: str = ORIGIN) -> Answer:
    """Send a request with curl, over HTTP/1.1 or HTTP/2, as a page of an origin does."""
    command = [
        *("curl", "--silent", "--show-error", "--include", "--noproxy", "*", protocol),
        *("--max-time", "30", "--cacert", str(site.certificate)),
        *("--header", "Expect:", "--header", f"Origin: {origin}", *options),
        f"{site.url}{path}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    head, _, body = done.stdout.partition("\n\n")
    first, *lines = head.splitlines()
    assert first.startswith("HTTP/2 " if protocol == "--http2" else "HTTP/1.1 ")
    pairs = [line.partition(": ") for line in lines]
    names = [name.lower() for name, _, _ in pairs]
    assert len(names) == len(set(names)), names
    return Answer(
        int(first.split()[1]), {name.lower(): value for name, _, value in pairs}, body.strip()
    )


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with what is too much for a command line."""
    (tmp_path / "body").write_bytes(b" " * 2**21)
    (tmp_path / "header").write_text("X-Long: " + "x" * 9000)
    (tmp_path / "token").write_text("Authorization: Bearer " + "x" * 20_000)
    (tmp_path / "headers").write_text("".join(f"X-{number}: x\n" for number in range(150)))
    return tmp_path


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("path", "options", "status", "detail"),
    [
        ("/nothing", [], 404, "Not Found"),
        ("/healthz", ["--request", "TRACE"], 405, "Method Not Allowed"),
        ("/" + "x" * 5000, [], 414, "Request URI Too Long"),
        ("/" + "x" * 60_000, [], 414, "Request URI Too Long"),
        ("/healthz", ["--header", "@{}/header"], 431, "Request Header Fields Too Large"),
        ("/healthz", ["--header", "@{}/token"], 431, "Request Header Fields Too Large"),
        ("/healthz", ["--header", "@{}/headers"], 431, "Request Header Fields Too Large"),
        ("/nothing", ["--data-binary", "@{}/body"], 413, "Request Entity Too Large"),
        (
            "/nothing",
            ["--data-binary", "@{}/body", "--header", "Transfer-Encoding: chunked"],
            413,
            "Request Entity Too Large",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_page_may_read_what_never_reached_the_app(
    site: Site, files: Path, protocol: str, path: str, options: list[str], status: int, detail: str
) -> None:
    options = [option.format(files) for option in options]

    answer = curl(site, protocol, path, *options)
    strange = curl(site, protocol, path, *options, origin="https://evil.example")

    assert (answer.status, answer.body) == (status, f'{{"detail":"{detail}"}}')
    assert answer.headers["content-type"] == "application/json"
    if path != "/nothing" or status != 404:  # which the app answers; it knows no origin here
        assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert (strange.status, strange.body) == (answer.status, answer.body)
    assert not [name for name in strange.headers if name.startswith("access-control")]


ASKED = (
    *("--request", "OPTIONS", "--header", "Access-Control-Request-Method: DELETE"),
    *("--header", "Access-Control-Request-Headers: authorization, traceparent"),
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("path", ["/api/tickets", "/nothing", "/" + "x" * 5000])
def test_nginx_answers_preflights_as_the_app_does(
    site: Site, app_with: Any, protocol: str, path: str
) -> None:
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "DELETE"}
    asked["Access-Control-Request-Headers"] = "authorization, traceparent"
    by_the_app = Caller(app_with(CORS_ORIGINS=[ORIGIN])).options(path, headers=asked)

    answer = curl(site, protocol, path, *ASKED)
    strange = curl(site, protocol, path, *ASKED, origin="https://evil.example")

    assert (answer.status, answer.body) == (by_the_app.status_code, by_the_app.text) == (204, "")
    for name in ("allow-origin", "allow-methods", "allow-headers", "max-age"):
        named = f"access-control-{name}"
        assert answer.headers[named] == by_the_app.headers[named]
    assert answer.headers["vary"] == by_the_app.headers["Vary"]
    assert not [name for name in strange.headers if name.startswith("access-control")]


def test_a_server_that_is_away_is_503(folder: Path) -> None:
    site, running = nginx(folder, str(free_port()))
    with running:
        wait_for(f"{site.url}/healthz", folder / f"{site.tls}/error.log", verify=site.certificate)
        answers = [curl(site, protocol, "/api/tickets") for protocol in PROTOCOLS]
        preflights = [curl(site, protocol, "/api/tickets", *ASKED) for protocol in PROTOCOLS]

    for answer in answers:
        assert (answer.status, answer.body) == (503, '{"detail":"Service Unavailable"}')
        assert answer.headers["retry-after"] == "5"
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
    assert [answer.status for answer in preflights] == [204, 204]


def test_a_database_without_a_schema_is_told_to_the_operator(
    production: dict[str, str], tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    with gunicorn(production | {"DATABASE_URL": url}, tmp_path) as address:
        answer = requests.get(f"{address}/readyz", timeout=5)

    assert answer.status_code == 503
    assert "run init-db" in (tmp_path / "gunicorn.log").read_text()
