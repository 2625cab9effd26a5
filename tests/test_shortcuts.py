"""The shortcuts of CONTRIBUTING's list answer what the library that they shorten would answer."""

import ctypes
import io
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import flask
import pytest
from flask import Flask, Response, url_for
from sqlalchemy import event, select, text
from werkzeug.exceptions import HTTPException

from omnidesk.clients.models import Client
from omnidesk.db import Base, db, inserts
from omnidesk.db.change_log import Change
from omnidesk.events.models import Event
from omnidesk.http import parsing
from omnidesk.http.shortcuts import App, WholeResponse
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.schemas import TicketCreate, TicketQuery
from tests.conftest import KEY, Caller, make_client, on_sqlite
from tests.servers import ROOT, environ

REQUEST: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/things/7",
    "QUERY_STRING": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "desk.example.com",
    "wsgi.url_scheme": "http",
}
ROOTS = ("/desk", "/desk/", "/a/b", "/\xc3\xb1")
PATHS = ("", "/", "/a//b", "/a b", "/\xc3\xb1", "/\xff")
QUERIES = ("a=b%20c&d", "a=\xc3\xb1", "a=\xff")
HOSTS = (
    *("desk:8080", "desk:80", "desk:443", "desk:0", "desk:99999", "desk:x", "DESK", "1.2.3.4"),
    *("a..b", "-a.b", "a-.b", "xn--a", "a.b.", "x" * 64, "x" * 300, "a_b", "a b", "", "a/b"),
    *("[::1]", "[::1]:8000", "b\xc3\xbccher.example", ".".join("abcdefghijklmn"), "user@desk"),
)
REQUESTS: list[dict[str, Any]] = [
    {},
    {"REQUEST_METHOD": "POST"},
    {"wsgi.url_scheme": "https"},
    {"HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"},
    *({"SCRIPT_NAME": name} for name in ROOTS),
    *({"PATH_INFO": path} for path in PATHS),
    *({"QUERY_STRING": query} for query in QUERIES),
    *({"HTTP_HOST": host} for host in HOSTS),
]


def adapter(app: Flask, request: dict[str, Any]) -> Any:
    """Return what an app takes from a request for its routes, or the status it refuses it with."""
    environ = REQUEST | request | {"wsgi.input": io.BytesIO()}
    try:
        found = app.create_url_adapter(app.request_class(environ))
    except HTTPException as error:
        return error.code
    return {name: value for name, value in vars(found).items() if name != "map"}


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_request_is_routed_as_flask_routes_it(request_: dict[str, Any]) -> None:
    assert adapter(App("ours"), request_) == adapter(Flask("flask's"), request_)


@pytest.mark.parametrize("path", ["//things/7", "things/7"])
def test_a_path_that_werkzeug_would_alter_has_no_route(path: str) -> None:
    assert adapter(App("ours"), {"PATH_INFO": path}) == 404


@pytest.mark.parametrize(
    "setting",
    [
        {"SERVER_NAME": "desk.example.com"},
        {"TRUSTED_HOSTS": []},
        {"TRUSTED_HOSTS": ["other.example.com"]},
        {"TRUSTED_HOSTS": ["desk.example.com"]},
    ],
    ids=repr,
)
def test_settings_of_flask_about_hosts_are_followed(setting: dict[str, Any]) -> None:
    ours, flasks = App("ours"), Flask("flask's")
    for app in (ours, flasks):
        app.config |= setting

    assert adapter(ours, {}) == adapter(flasks, {})


def test_what_a_request_class_and_a_map_say_of_hosts_is_followed() -> None:
    class Trusting(flask.Request):
        trusted_hosts = ["other.example.com"]

    ours, flasks = App("ours"), Flask("flask's")
    for app in (ours, flasks):
        app.url_map.default_subdomain = "www"
    assert adapter(ours, {}) == adapter(flasks, {})

    for app in (ours, flasks):
        app.request_class = Trusting
    assert adapter(ours, {}) == adapter(flasks, {}) == 400


def test_routes_may_depend_on_hosts_and_addresses_may_have_one() -> None:
    app = App("ours", host_matching=True, static_host="static.example.com")
    app.add_url_rule("/", "one", lambda: "one", host="one.example.com")
    app.add_url_rule("/", "two", lambda: "two", host="two.example.com")
    plain = App("plain")
    plain.add_url_rule("/here", "here", lambda: url_for("here", _external=True))

    answers = [
        app.test_client().get("/", base_url=f"http://{name}.example.com").text
        for name in ("one", "two")
    ]

    assert answers == ["one", "two"]
    address = plain.test_client().get("/here", base_url="https://desk.example.com:8443").text
    assert address == "https://desk.example.com:8443/here"


def sent(response: Response, method: str = "GET") -> tuple[Any, ...]:
    """Return the status, the headers and the body that a server would send."""
    seen: list[Any] = []
    environ = REQUEST | {"REQUEST_METHOD": method}
    body = response(environ, lambda status, headers, *_: seen.extend((status, headers)))  # type: ignore[arg-type]
    whole = b"".join(body)
    if close := getattr(body, "close", None):
        close()
    return *seen, whole


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"response": "ñ", "mimetype": "application/json"},
        {"response": b"", "status": 200},
        *(
            {"response": "x", "status": 201, "headers": {"Location": location}}
            for location in ("/api/tickets/5", "/ñ", "/a b", "//other", "/a%20b?c", "tickets", "")
        ),
        {"response": "x", "headers": {"Location": "/ñ", "ETag": '"1"'}},
        {"status": 204},
        {"status": 304, "headers": {"ETag": '"1"'}},
        {"response": ["a", "b"]},
        {"response": ("a", "b")},  # a tuple stands for a generator, made for each response
    ],
    ids=repr,
)
def test_a_response_is_sent_as_flask_sends_it(arguments: dict[str, Any], method: str) -> None:
    both = []
    for response_class in (WholeResponse, Response):
        given = dict(arguments)
        if isinstance(given.get("response"), tuple):
            given["response"] = iter(given["response"])
        both.append(sent(response_class(**given), method))

    assert both[0] == both[1]


class Marked(WholeResponse):
    """A response of somebody else's, which adds a header when it is sent."""

    def get_wsgi_headers(self, environ: Any) -> Any:
        """Return the headers to send."""
        headers = super().get_wsgi_headers(environ)
        headers["X-Marked"] = "yes"
        return headers


def test_a_response_whose_body_or_class_is_changed_is_sent_as_flask_sends_it() -> None:
    changed = [response_class("x") for response_class in (WholeResponse, Response)]
    for response in changed:
        response.response, response.content_length = ["ñ"], 2

    assert sent(changed[0]) == sent(changed[1])
    assert ("X-Marked", "yes") in sent(Marked("x"))[1]


def test_what_is_to_be_called_when_a_response_is_closed_is_called() -> None:
    response, closed = WholeResponse("x"), []
    response.call_on_close(lambda: closed.append(True))

    sent(response)

    assert closed == [True]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"status": "abierto", "limit": "20"},
        {"status": "x", "limit": "0", "stauts": "abierto"},
        {"cursor": "a00000064", "client_id": "7", "tag": "vip"},
        {"client_id": "2147483648"},
        {"status": ""},
    ],
)
def test_a_query_is_loaded_as_marshmallow_loads_it(values: dict[str, str]) -> None:
    schema = TicketQuery()

    def load(function: Any) -> Any:
        try:
            return function(schema, values)
        except HTTPException as error:
            return error.errors  # type: ignore[attr-defined]

    assert load(parsing.load_parameters) == load(parsing.load)


def test_a_schema_that_does_more_than_load_fields_is_left_to_marshmallow() -> None:
    assert parsing.is_plain(TicketQuery())
    assert not parsing.is_plain(TicketCreate()), "it has required fields"


NEW_YEAR = "2026-01-01T00:00:00+01:00"
NEW_ROWS: list[tuple[type[Base], str, dict[str, Any]]] = [
    (
        Ticket,
        "/api/tickets",
        {"client_id": 1, "subject": "Ayuda", "due_at": "2026-01-01T00:00:00Z"},
    ),
    (Client, "/api/clients", {"full_name": "Ana", "email": "Ana@Example.com", "phone": "555 0155"}),
    (Event, "/api/events", {"title": "Call", "start_time": NEW_YEAR, "end_time": NEW_YEAR}),
]


@pytest.mark.parametrize(("entity", "path", "body"), NEW_ROWS, ids=lambda value: str(value)[:30])
def test_the_driver_inserts_a_row_as_the_session_does(
    entity: type[Base], path: str, body: dict[str, Any], agent: Caller
) -> None:
    make_client()

    # With a key, the insert is a part of the session's transaction.
    for headers in ({}, {"Idempotency-Key": "a-key"}):
        assert agent.post(path, json=body, headers=headers).status_code == 201

    key = entity.primary_key()
    differing = {key.name, "created_at", "updated_at"}
    columns = [column for column in entity.__table__.columns if column.name not in differing]
    by_driver, by_session = db.session.execute(select(*columns).order_by(key.desc()).limit(2))
    assert by_driver == by_session
    log = select(Change.actor, Change.op).order_by(Change.seq.desc()).limit(2)
    assert db.session.execute(log).all() == [(agent.user.user_id, "created")] * 2


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "a-key"}], ids=["alone", "with a key"])
def test_listeners_for_new_rows_are_called(agent: Caller, headers: dict[str, str]) -> None:
    def shout(_mapper: Any, _connection: Any, client: Client) -> None:
        client.full_name = client.full_name.upper()

    event.listen(Client, "before_insert", shout)
    try:
        created = agent.post("/api/clients", json={"full_name": "Ana"}, headers=headers)
    finally:
        event.remove(Client, "before_insert", shout)

    assert created.json["full_name"] == "ANA"
    assert agent.get(created.headers["Location"]).json == created.json


def test_a_row_is_committed_whatever_its_connection_was_used_for(agent: Caller) -> None:
    with db.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("SELECT 1"))

    created = agent.post("/api/clients", json={"full_name": "Ana"})

    assert agent.get(created.headers["Location"]).json == created.json


@on_sqlite
def test_a_row_is_stored_once_where_a_connection_did_not_know_its_table(
    agent: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [sqlite3.OperationalError("no such table: client")]
    execute = inserts.execute

    def forgetting(*args: Any) -> Any:
        if errors:
            raise errors.pop()
        return execute(*args)

    monkeypatch.setattr(inserts, "execute", forgetting)

    created = agent.post("/api/clients", json={"full_name": "Ana"})

    assert created.status_code == 201
    assert agent.get("/api/clients").json == [created.json]


BYTES_COUNTED = """
import _sqlite3, ctypes, sqlite3
sqlite3.connect(":memory:").execute("CREATE TABLE thing (number INTEGER)")
print(ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used())
"""
GUNICORN = "import runpy; runpy.run_path('gunicorn.conf.py')"


def exports_sqlite() -> bool:
    """Return whether Python's module for SQLite is a file that lets us call SQLite."""
    driver = find_spec("_sqlite3")
    try:
        return hasattr(ctypes.CDLL(driver.origin if driver else None), "sqlite3_config")
    except OSError:
        return False


@pytest.mark.skipif(not exports_sqlite(), reason="this Python hides SQLite's own functions")
def test_sqlite_counts_no_bytes_under_gunicorn() -> None:
    counted = []
    for program in (BYTES_COUNTED, GUNICORN + BYTES_COUNTED):
        settings = {"SECRET_KEY": KEY, "DATABASE_URL": "sqlite:////tmp/desk.db"}
        command, env = [sys.executable, "-c", program], environ(settings)
        counted.append(int(subprocess.check_output(command, cwd=ROOT, env=env)))
    assert counted[0] > 0
    assert counted[1] == 0
