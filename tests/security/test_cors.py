"""Pages of other origins: which may call, what they may send, and what they may read."""

import re
from typing import Any

import pytest
import requests
from environs import Env

import config
from tests.conftest import KEY, PASSWORD, Caller, make_ticket, on_sqlite
from tests.security.conftest import TICKET, Desk
from tests.security.test_http import API, methods

TICKETS = "/api/tickets"
ALLOWED = "http://localhost:3000"
SITE = "https://desk.example.com"
# What a page may read of every response (Fetch standard, CORS-safelisted response-header names).
SAFELISTED = {
    *("Cache-Control", "Content-Language", "Content-Length", "Content-Type"),
    *("Expires", "Last-Modified", "Pragma"),
}
# What browsers act upon, and no page needs.
FOR_BROWSERS = {
    *("Connection", "Content-Security-Policy", "Referrer-Policy", "Server", "Transfer-Encoding"),
    *("Vary", "X-Content-Type-Options"),
}


def preflight(page: Any, path: str, origin: str, method: str = "POST", **headers: str) -> Any:
    """Ask as a browser does before a request; `page` sends it."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return page(path, headers=asked | {name.replace("_", "-"): headers[name] for name in headers})


def cors_headers(answer: Any) -> dict[str, str]:
    """Return the headers of a response that tell a browser what a page may do."""
    return {
        name: value for name, value in answer.headers.items() if name.startswith("Access-Control")
    }


@on_sqlite
@pytest.mark.parametrize("path", [*API, "/", "/nothing", "/api/tickets/x", "//api", "/%ff"])
def test_a_preflight_for_any_path_is_allowed(anybody: Caller, path: str) -> None:
    answer = preflight(
        anybody.options,
        path,
        ALLOWED,
        Access_Control_Request_Headers="authorization, content-type",
    )

    assert (answer.status_code, answer.text) == (204, "")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert answer.headers["Access-Control-Allow-Headers"] == "authorization, content-type"
    assert answer.headers["Access-Control-Max-Age"] == "7200"
    allowed = set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    assert methods(path) | {"PUT", "DELETE"} <= allowed
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@on_sqlite
@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match"),
        *("Prefer", "X-Request-ID", "X-Requested-With", "traceparent", "tracestate", "baggage"),
        *("sentry-trace", "Cache-Control", "Pragma", "Expires", "If-Modified-Since", "Range"),
        *("Accept-Language", "X-CSRF-Token", "x-datadog-trace-id", "ngrok-skip-browser-warning"),
    ],
)
def test_a_page_may_send_the_headers_that_libraries_add(anybody: Caller, name: str) -> None:
    answer = preflight(
        anybody.options, TICKETS, ALLOWED, Access_Control_Request_Headers=name.lower()
    )

    assert answer.headers["Access-Control-Allow-Headers"] == name.lower()


def test_a_preflight_is_not_counted(app_with: Any) -> None:
    limited = Caller(app_with(RATE_LIMIT_ANONYMOUS="1 per minute"))

    answers = [preflight(limited.options, TICKETS, ALLOWED) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {204}
    assert limited.get(TICKETS).status_code == 200


LOCAL = [
    *("null", "file://", "http://localhost", "https://localhost", "http://localhost:1"),
    *(f"http://localhost:{port}" for port in (3000, 4200, 5173, 8080, 65535)),
    *("https://localhost:5173", "http://127.0.0.1:3000", "http://127.0.0.1", "http://[::1]:3000"),
]


@on_sqlite
@pytest.mark.parametrize("origin", LOCAL)
def test_development_lets_pages_of_this_machine_call(
    anybody: Caller, app_with: Any, origin: str
) -> None:
    production = Caller(app_with(LOCAL_ORIGINS=""))

    for answer in (
        preflight(anybody.options, TICKETS, origin),
        anybody.get(TICKETS, headers={"Origin": origin}),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == origin
    for answer in (
        preflight(production.options, TICKETS, origin),
        production.get(TICKETS, headers={"Origin": origin}),
    ):
        assert cors_headers(answer) == {}


OTHERS = [
    *("https://evil.example", f"{ALLOWED}.evil.example", f"http://evil.example/{ALLOWED}"),
    *("null.evil", "", "NULL", "nullx", "http://localhost.evil.example:3000", "http://localhost:"),
    *("http://evil.localhost:3000", "http://localhost:3000/", "http://localhost:3000\t"),
    *("http://localhost:3000, http://evil.example", "http://127.0.0.1.evil.example"),
    *("http://127x0x0x1:3000", "http://1:3000", "http://localhost:300000", "ftp://localhost"),
    *("http://localhost@evil.example", "http://user@localhost:3000", "file://evil.example"),
    *("http://::1:3000", "http://[::1].evil.example", "http://[::2]:3000", "*"),
]


@on_sqlite
@pytest.mark.parametrize("origin", OTHERS)
def test_any_other_origin_gets_no_cors_headers(anybody: Caller, origin: str) -> None:
    answers = [
        preflight(anybody.options, TICKETS, origin),
        anybody.options(TICKETS, headers={"Origin": origin}),
        anybody.get(TICKETS, headers={"Origin": origin}),
        anybody.get("/nothing", headers={"Origin": origin}),
    ]

    for answer in answers:
        assert cors_headers(answer) == {}
    assert [answer.headers["Vary"] for answer in answers] == [
        *("Origin", "Origin", "Accept, Prefer, Authorization, Origin", "Authorization, Origin")
    ]


def configured(app_with: Any, monkeypatch: Any, origins: str) -> Caller:
    """Return somebody who calls a production server with this setting."""
    monkeypatch.setenv("CORS_ORIGINS", origins)
    monkeypatch.setenv("SECRET_KEY", KEY)
    chosen = config.Production(Env(eager=False)).CORS_ORIGINS
    return Caller(app_with(CORS_ORIGINS=chosen, LOCAL_ORIGINS=""))


@on_sqlite
@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        (SITE, SITE),
        (f"{SITE}:443", SITE),
        ("HTTPS://Desk.Example.COM", SITE),
        ("http://desk.example.com:80", "http://desk.example.com"),
        ("http://desk.example.com:443", "http://desk.example.com:443"),
        ("https://desk.example.com:08443", "https://desk.example.com:8443"),
        ("https://[::1]:3000", "https://[::1]:3000"),
        ("https://[2001:DB8:0:0:0:0:0:1]", "https://[2001:db8::1]"),
        ("https://192.0.2.7", "https://192.0.2.7"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example"),
        ("https://Straße.example", "https://xn--strae-oqa.example"),
        ("https://my_host:3000", "https://my_host:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("tauri://localhost", "tauri://localhost"),
        ("ionic://localhost", "ionic://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        ("safari-web-extension://1D2E-4F", "safari-web-extension://1D2E-4F"),
        (f"https://other.example, {SITE}", SITE),
    ],
)
def test_an_origin_in_the_settings_is_allowed_as_browsers_send_it(
    app_with: Any, monkeypatch: Any, setting: str, sent: str
) -> None:
    page = configured(app_with, monkeypatch, setting)

    answer = page.get("/healthz", headers={"Origin": sent})

    assert answer.headers["Access-Control-Allow-Origin"] == sent


@on_sqlite
@pytest.mark.parametrize(
    ("setting", "sent"),
    [
        ("https://[::1]:3000", "https://1:3000"),
        ("https://[::1]:3000", "https://1:3000.evil.example"),
        (SITE, "https://deskxexample.com"),
        (SITE, "https://desk-example.com"),
        (SITE, f"{SITE}.evil.example"),
        (SITE, f"{SITE}:8443"),
        (SITE, "http://desk.example.com"),
        (SITE, "https://DESK.example.com"),
        (SITE, "https://desK.example.com"),
        (SITE, ALLOWED),
        (SITE, "null"),
        ("capacitor://localhost", "capacitor://localhost:80"),
        ("app+x://a", "app://a"),
        ("app+x://a", "apppx://a"),
    ],
)
def test_origins_are_compared_as_texts(
    app_with: Any, monkeypatch: Any, setting: str, sent: str
) -> None:
    page = configured(app_with, monkeypatch, setting)

    answer = page.get("/healthz", headers={"Origin": sent.encode().decode("latin-1")})

    assert cors_headers(answer) == {}


def test_production_allows_no_origin_by_default(app_with: Any, monkeypatch: Any) -> None:
    closed = configured(app_with, monkeypatch, "")

    for origin in (*LOCAL, SITE):
        assert cors_headers(closed.get(TICKETS, headers={"Origin": origin})) == {}
        assert preflight(closed.options, "/nothing", origin).status_code == 404


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/summary", 401, b""),
        ("POST", "/api/users", 401, b""),
        ("GET", "/nothing", 404, b""),
        ("PUT", TICKETS, 405, b""),
        ("POST", "/api/login", 400, b"{"),
        ("POST", "/api/login", 413, b" " * 2**21),
    ],
)
def test_an_allowed_origin_may_read_errors_too(
    desk: Desk, method: str, path: str, status: int, body: bytes
) -> None:
    headers = {"Origin": ALLOWED, "Content-Type": "application/json"}

    answer = desk.ask(method, path, "", headers=headers, data=body)

    assert answer.status_code == status
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED


@pytest.mark.parametrize("size", [2**20 + 1, 2**21])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_413(desk: Desk, size: int, chunked: bool) -> None:
    headers = {"Origin": ALLOWED, "Content-Type": "application/json"}
    body = b" " * size

    answer = desk.ask("POST", TICKETS, headers=headers, data=iter([body]) if chunked else body)

    assert (answer.status_code, answer.json()) == (413, {"detail": "Request Entity Too Large"})
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED


@on_sqlite
@pytest.mark.parametrize("path", [TICKETS, "/api/summary", "/nothing"])
@pytest.mark.parametrize("origin", [None, "https://evil.example", ALLOWED])
def test_vary_names_the_origin(anybody: Caller, path: str, origin: str | None) -> None:
    answer = anybody.get(path, headers={"Origin": origin} if origin else {})

    assert "Origin" in re.split(", *", answer.headers["Vary"])


def test_a_page_may_read_every_header_that_is_sent(
    server: str, app_with: Any, agent: Caller, anybody: Caller
) -> None:
    make_ticket(subject="One")
    make_ticket(subject="Two")
    page = {"Origin": ALLOWED}
    credentials = {"username": agent.user.username, "password": PASSWORD}
    document = anybody.get("/api/openapi.json").json
    limited = Caller(app_with(RATE_LIMIT_ANONYMOUS="1 per minute"))
    once = agent.headers | page | {"Idempotency-Key": "once"}
    answers = [
        requests.get(
            f"{server}{TICKETS}?limit=1", headers=page | {"Prefer": "count=exact"}, timeout=5
        ),
        *(agent.post(TICKETS, json=TICKET, headers=once) for _ in range(2)),
        anybody.post("/api/login", json=credentials, headers=page),
        anybody.get("/api/summary", headers=page),
        anybody.put(TICKETS, headers=page),
        *(limited.get(TICKETS, headers=page) for _ in range(2)),
    ]
    documented = {
        name
        for item in [*document["components"]["responses"].values(), *responses_in(document)]
        for name in item.get("headers", {})
    }

    exposed = set(answers[0].headers["Access-Control-Expose-Headers"].split(", "))
    sent = {name for answer in answers for name, _ in answer.headers.items()}

    assert {"WWW-Authenticate", "Allow", "Content-Disposition", "RateLimit"} <= exposed
    assert {"Idempotent-Replayed", "Retry-After", "X-Total-Count", "Link", "ETag"} <= sent
    unseen = (sent | documented) - exposed - SAFELISTED - FOR_BROWSERS
    assert {name for name in unseen if not name.startswith("Access-Control")} == set()


def responses_in(document: Any) -> list[Any]:
    """Return the responses of all operations of an OpenAPI document."""
    return [
        response
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for response in operation.get("responses", {}).values()
    ]


def test_a_page_may_read_an_error_of_a_request_that_cannot_be_parsed(server: str) -> None:
    page = {"Origin": ALLOWED, "X-Long": "x" * 9000}

    answer = requests.get(f"{server}{TICKETS}", headers=page, timeout=5)

    assert (answer.status_code, cors_headers(answer)) == (431, {"Access-Control-Allow-Origin": "*"})
