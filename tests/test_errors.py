"""One envelope for every error, and no input that makes a 500."""

import gzip
import json
from typing import Any

import pytest

from tests.conftest import Caller, make_client, on_sqlite

INVALID = {"detail": "Bad Request", "errors": {"_schema": ["Invalid JSON body."]}}
JSON = "application/json"
POSTS = ["/api/login", "/api/events", "/api/tickets", "/api/users", "/api/clients"]


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/apis",
        "/api//",
        "/api/nothing",
        "/api/tickets/",
        "//api/tickets",
        "/api/tickets/0",
        "/api/tickets/-1",
        "/api/tickets/007",
        "/api/tickets/x",
        "/api/tickets/7.0",
        "/api/tickets/%D9%A7",
        "/api/tickets/2147483648",
        "/api/tickets/99999999999",
        "/api/tickets/7%0A",
        "/api/../etc/passwd",
        "/api/docs/assets/../../../config.py",
    ],
)
def test_what_is_not_there_is_404(anybody: Caller, path: str) -> None:
    answer = anybody.get(path)

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})


def test_a_row_with_too_large_a_number_is_404_for_every_method(agent: Caller) -> None:
    path = "/api/conversations/2147483648/messages"

    assert agent.get(path).status_code == 404
    assert agent.post(path, json={"content": "Hello"}).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "EVIL.example:8000", "[::1]", "a_b", ""])
def test_no_host_changes_an_answer(agent: Caller, host: str) -> None:
    make_client()
    address = agent.post("/api/tickets", json={"client_id": 1, "subject": "Help"}).location

    answer = agent.get(address, environ_overrides={"HTTP_HOST": host})

    assert answer.status_code == 200
    assert host not in str(answer.headers) or not host


@pytest.mark.parametrize("host", ["x" * 300, "b\u00fccher.example", "a b", "a/b", "a:1:2"])
def test_what_is_no_host_is_refused(agent: Caller, host: str) -> None:
    wsgi = {"HTTP_HOST": host.encode().decode("latin1")}

    answer = agent.get("/api/tickets", environ_overrides=wsgi)

    assert (answer.status_code, answer.json) == (400, {"detail": "Bad Request"})


def test_an_address_keeps_what_the_app_is_mounted_on(agent: Caller) -> None:
    make_client()
    body = {"client_id": 1, "subject": "Help"}

    answer = agent.post("/api/tickets", json=body, environ_overrides={"SCRIPT_NAME": "/desk"})

    assert answer.location == "/desk/api/tickets/1"


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [("text/plain", "{}", 415), (JSON, "{", 400), (JSON, "[]", 400)],
)
def test_every_post_wants_a_json_object(
    admin: Caller, path: str, content_type: str, body: str, status: int
) -> None:
    assert admin.post(path, data=body, content_type=content_type).status_code == status


@on_sqlite
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "text/xml",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/vnd.api+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/json, application/json",
    ],
)
def test_a_body_not_declared_as_json_is_415(admin: Caller, content_type: str | None) -> None:
    answer = admin.post("/api/tickets", data="{}", content_type=content_type)

    errors = {"Content-Type": ["Must be application/json, in UTF-8."]}
    assert answer.status_code == 415
    assert answer.json == {"detail": "Unsupported Media Type", "errors": errors}


def test_a_patch_not_declared_as_json_is_told_both_types(admin: Caller) -> None:
    answer = admin.patch("/api/tickets/1", data="{}", content_type="text/plain")

    told = "Must be application/json or application/merge-patch+json, in UTF-8."
    assert (answer.status_code, answer.json["errors"]) == (415, {"Content-Type": [told]})


@on_sqlite
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip", "identity, gzip", "GZIP"])
@pytest.mark.parametrize("content", [b"{}", gzip.compress(b"{}", mtime=0)])
def test_a_body_in_a_content_coding_is_415(admin: Caller, coding: str, content: bytes) -> None:
    headers = {"Content-Encoding": coding}

    answer = admin.post("/api/tickets", data=content, content_type=JSON, headers=headers)

    errors = {"Content-Encoding": ["The body must not be compressed."]}
    assert answer.status_code == 415
    assert answer.json == {"detail": "Unsupported Media Type", "errors": errors}


@on_sqlite
@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
@pytest.mark.parametrize("charset", ["", "; charset=utf-8", '; charset="UTF-8"', ";charset=utf8"])
def test_a_body_in_utf_8_without_a_content_coding_is_read(
    admin: Caller, coding: str, charset: str
) -> None:
    headers = {"Content-Encoding": coding}

    answer = admin.post("/api/login", data="{}", content_type=f"{JSON}{charset}", headers=headers)

    assert answer.status_code == 400


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": "ñ"}'.encode("latin-1"),
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_json_is_400(admin: Caller, body: bytes) -> None:
    answer = admin.post("/api/tickets", data=body, content_type=JSON)

    assert (answer.status_code, answer.json) == (400, INVALID)


def test_a_name_given_twice_is_refused_by_name(agent: Caller) -> None:
    body = b'{"full_name": "Ada", "full_name": "Bob", "email": null}'

    answer = agent.post("/api/clients", data=body, content_type=JSON)

    assert answer.status_code == 400
    assert answer.json["errors"] == {"full_name": ["Given more than once."]}


@on_sqlite
@pytest.mark.parametrize(
    ("path", "body", "errors"),
    [
        (
            "/api/tickets",
            b'{"ticket_ids":[1],"set":{"status":"abierto","status":"cerrado"}}',
            {"set": {"status": ["Given more than once."]}},
        ),
        (
            "/api/tickets",
            b'{"set":{},"ticket_ids":[1,[2],[{"a":1,"a":2}]],"set":{"tags":[],"tags":[]}}',
            {
                "ticket_ids": {"2": {"0": {"a": ["Given more than once."]}}},
                "set": ["Given more than once."],
            },
        ),
        (
            "/api/tickets/1",
            b'[{},{"a":{"a":1,"a":1}}]',
            {"1": {"a": {"a": ["Given more than once."]}}},
        ),
    ],
)
def test_a_name_given_twice_further_down_is_named_where_it_stands(
    agent: Caller, path: str, body: bytes, errors: dict[str, Any]
) -> None:
    answer = agent.patch(path, data=body, content_type=JSON)

    assert (answer.status_code, answer.json["errors"]) == (400, errors)


@pytest.mark.parametrize("body", [b'{"a":1,"a":2} x', b'{"a":{"a":1,"a":2},"b":NaN}'])
def test_a_name_given_twice_does_not_make_json_of_what_is_none(agent: Caller, body: bytes) -> None:
    answer = agent.post("/api/clients", data=body, content_type=JSON)

    assert (answer.status_code, answer.json) == (400, INVALID)


def test_a_field_of_the_servers_own_is_not_taken_for_another(agent: Caller) -> None:
    answer = agent.post("/api/tickets", json={"client_id": 1, "subject": "a", "ticket_id": 1})

    (message,) = answer.json["errors"]["ticket_id"]
    assert message.startswith("Unknown field. Must be one of: client_id, ")


@on_sqlite
@pytest.mark.parametrize("body", [None, [], "x", 1, True, [{}]])
def test_a_body_that_is_no_object_is_400(admin: Caller, body: object) -> None:
    answer = admin.post("/api/tickets", data=json.dumps(body), content_type=JSON)

    assert answer.status_code == 400
    assert answer.json["errors"] == {"_schema": ["Invalid input type."]}


@pytest.mark.parametrize("length", [1024 * 1024 + 1, 20 * 1024 * 1024])
def test_a_body_above_a_mebibyte_is_413(admin: Caller, length: int) -> None:
    answer = admin.post("/api/tickets", data=b" " * length, content_type=JSON)

    assert (answer.status_code, answer.json) == (413, {"detail": "Request Entity Too Large"})


def test_a_body_of_a_mebibyte_is_read(admin: Caller) -> None:
    answer = admin.post("/api/tickets", data=b" " * 1024 * 1024, content_type=JSON)

    assert (answer.status_code, answer.json) == (400, INVALID)


@pytest.mark.parametrize(
    "path", ["/api/summary", "/api/tickets/1", "/api/users/1", "/healthz", "/readyz"]
)
def test_a_parameter_nobody_reads_is_refused(agent: Caller, path: str) -> None:
    answer = agent.get(f"{path}?verbose=1")

    assert answer.status_code == 400
    assert answer.json["errors"] == {"verbose": ["Unknown parameter. None is taken here."]}


@pytest.mark.parametrize("query", ["?", "?&", "?&&"])
def test_a_query_without_parameters_is_none(agent: Caller, query: str) -> None:
    for path in ("/api/summary", "/healthz", "/api/tickets", "/api/me"):
        assert agent.get(path + query).status_code == 200
    assert agent.post("/api/clients" + query, json={"full_name": "Ada"}).status_code == 201


def test_a_write_with_a_parameter_is_refused(agent: Caller) -> None:
    assert agent.post("/api/clients?notify=1", json={"full_name": "Ada"}).status_code == 400


def test_an_unhandled_error_is_500_in_the_json_form(app_with: Any, monkeypatch: Any) -> None:
    app = app_with(TESTING=False, PUBLIC_READS=["tickets"])
    monkeypatch.setattr("omnidesk.http.lists.add_links", lambda *_, **__: 1 / 0)

    answer = Caller(app).get("/api/tickets", headers={"Origin": "http://localhost:3000"})

    assert (answer.status_code, answer.json) == (500, {"detail": "Internal Server Error"})
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


@pytest.mark.parametrize("url", ["sqlite:////nowhere/desk.db", "postgresql://x@127.0.0.1:1/x"])
@pytest.mark.parametrize("path", ["/api/tickets", "/readyz"])
def test_a_database_that_is_away_is_503(app_with: Any, url: str, path: str) -> None:
    app = app_with(DATABASE_URL=url)

    answer = Caller(app).get(path)

    assert (answer.status_code, answer.json) == (503, {"detail": "Service Unavailable"})
    assert int(answer.headers["Retry-After"]) > 0
    assert Caller(app).get("/healthz").json == {"status": "ok"}


def test_a_file_that_is_no_database_is_503(app_with: Any, tmp_path: Any) -> None:
    (tmp_path / "desk.db").write_bytes(b"garbage" * 1000)

    app = app_with(DATABASE_URL=f"sqlite:///{tmp_path}/desk.db")

    assert Caller(app).get("/api/tickets").status_code == 503


def test_a_database_without_a_schema_is_not_ready(app_with: Any, tmp_path: Any) -> None:
    app = app_with(DATABASE_URL=f"sqlite:///{tmp_path}/desk.db")

    answer = Caller(app).get("/readyz")

    assert answer.status_code == 503
    assert "init-db" in answer.json["errors"]["database"][0]


def test_a_database_with_its_schema_is_ready(anybody: Caller) -> None:
    assert anybody.get("/readyz").json == {"status": "ok", "oldest_queued_seconds": None}
