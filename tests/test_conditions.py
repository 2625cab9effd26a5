"""Conditions of a request (RFC 9110, section 13): honoured, or refused, and never ignored."""

import re
from typing import Any

import pytest
from flask import Flask

from tests.conftest import PASSWORD, Caller, make_client, make_conversation, on_sqlite
from tests.routes import contents, make_rows, reads

MISSING = [
    "/api/tickets/424242",
    "/api/tickets/424242/comments",
    "/api/tickets/424242/history",
    "/api/conversations/424242",
    "/api/conversations/424242/messages",
    "/api/conversations/424242/history",
    "/api/conversations/1/messages/424242",
    "/api/events/424242",
    "/api/events/424242/history",
    "/api/clients/424242",
    "/api/clients/424242/history",
    "/api/clients/424242/timeline",
    "/api/users/424242",
    "/api/users/424242/history",
    "/api/comments/424242",
    "/api/tokens/424242",
    "/api/channels/424242",
    "/api/tickets/2147483648/comments",
]
VALUES = ["*", '"other"', 'W/"other"', "malformed", "of a list"]


@pytest.fixture
def rows(admin: Caller) -> None:
    """A row of each kind, with the id 1."""
    make_rows(admin.user)


def value(caller: Caller, kind: str) -> str:
    """Return the value of a condition; that of a list is the ETag of another list."""
    if kind != "of a list":
        return kind
    return str(caller.get("/api/tickets/1/comments").headers["ETag"])


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
@pytest.mark.parametrize("kind", VALUES)
def test_what_is_not_there_is_404_whatever_the_condition(
    admin: Caller, header: str, kind: str
) -> None:
    condition = {header: value(admin, kind)}

    for path in MISSING:
        for method in ("get", "head"):
            answer = getattr(admin, method)(path, headers=condition)
            assert (answer.status_code, "ETag" in answer.headers) == (404, False), path


@on_sqlite
@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("header", ["If-None-Match", "If-Match", "If-Unmodified-Since"])
@pytest.mark.parametrize("kind", VALUES)
def test_a_change_of_what_is_not_there_is_404_whatever_the_condition(
    admin: Caller, header: str, kind: str
) -> None:
    condition = {header: value(admin, kind)}

    answers = [
        admin.patch("/api/tickets/424242", json={}, headers=condition),
        admin.put("/api/tickets/424242/tags/vip", headers=condition),
        admin.delete("/api/tickets/424242/tags/vip", headers=condition),
        admin.delete("/api/events/424242", headers=condition),
        admin.post("/api/tickets/424242/comments", json={"body": "x"}, headers=condition),
        admin.post("/api/conversations/424242/messages", json={"content": "x"}, headers=condition),
    ]

    assert {answer.status_code for answer in answers} == {404}


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("header", ["If-None-Match", "If-Match"])
def test_a_row_below_another_one_than_its_own_is_404_whatever_the_condition(
    admin: Caller, header: str
) -> None:
    condition = {header: "*" if header == "If-None-Match" else '"other"'}
    message = f"/api/conversations/{make_conversation().conversation_id}/messages/1"
    identity = f"/api/clients/{make_client().client_id}/identities/1"

    answers = [
        admin.get(message, headers=condition),
        admin.patch(message, json={"content": "x"}, headers=condition),
        admin.get(identity, headers=condition),
        admin.delete(identity, headers=condition),
    ]

    assert [(answer.status_code, answer.json) for answer in answers] == [
        (404, {"detail": "Not Found"})
    ] * 4


@pytest.mark.usefixtures("rows")
def test_each_operation_that_documents_304_answers_it(app: Flask, admin: Caller) -> None:
    documented = {
        re.sub("{[^}]*}", "1", path): "304" in operations["get"]["responses"]
        for path, operations in admin.get("/api/openapi.json").json["paths"].items()
        if "get" in operations
    }

    for path in reads(app):
        answer = admin.get(path, headers={"If-None-Match": "*"})
        is_documented = documented[path.partition("?")[0]]
        assert answer.status_code == (304 if is_documented else 200), path
        assert ("ETag" in answer.headers) == is_documented, path


# The values of a condition.


@pytest.mark.parametrize(
    "form", ["{}", "W/{}", '"x", {}', '"x",{}', ' , "x,y" ,, W/{} ,', '"", {}', "*", " * "]
)
def test_a_condition_names_the_etag_in_any_valid_form(admin: Caller, form: str) -> None:
    path = f"/api/users/{admin.user.user_id}"
    given = form.format(admin.get(path).headers["ETag"])

    assert admin.patch(path, json={}, headers={"If-Match": given}).status_code == 200
    assert admin.get(path, headers={"If-Match": given}).status_code == 200
    assert admin.get(path, headers={"If-None-Match": given}).status_code == 304
    refused = admin.patch(path, json={"full_name": "x"}, headers={"If-None-Match": given})
    assert (refused.status_code, refused.json["current"]) == (412, admin.get(path).json)


@pytest.mark.parametrize("form", ['"x"', 'W/"x"', '"x", "y"', '""', '"*"', '"{}x"', '"x{}"', '"1"'])
def test_a_condition_that_names_other_etags(admin: Caller, form: str) -> None:
    path = f"/api/users/{admin.user.user_id}"
    given = form.format(admin.get(path).headers["ETag"].strip('"'))

    refused = admin.patch(path, json={"full_name": "x"}, headers={"If-Match": given})
    assert (refused.status_code, refused.json["current"]) == (412, admin.get(path).json)
    assert admin.get(path, headers={"If-Match": given}).status_code == 412
    assert admin.get(path, headers={"If-None-Match": given}).status_code == 200
    assert admin.patch(path, json={}, headers={"If-None-Match": given}).status_code == 200


@on_sqlite
@pytest.mark.parametrize(
    "form", ["", ",", "{}", '"{}', '{}"', "w/{}", '"{}" "x"', '"{}", x', '*, "{}"', "'{}'", "\xff"]
)
def test_a_malformed_condition_is_refused(admin: Caller, form: str) -> None:
    path = f"/api/users/{admin.user.user_id}"
    given = form.format(admin.get(path).headers["ETag"].strip('"'))

    for address in (path, "/api/users"):
        seen = admin.get(address, headers={"If-None-Match": given})
        assert (seen.status_code, list(seen.json["errors"])) == (400, ["If-None-Match"])
        seen = admin.get(address, headers={"If-Match": given})
        assert (seen.status_code, list(seen.json["errors"])) == (412, ["If-Match"])
    for name, status in (("If-Match", 412), ("If-None-Match", 400)):
        refused = admin.patch(path, json={"full_name": "x"}, headers={name: given})
        assert (refused.status_code, list(refused.json["errors"])) == (status, [name])
    assert admin.get(path).json["full_name"] == admin.user.full_name


def test_a_long_condition_is_read_in_no_time(admin: Caller) -> None:
    for given in ("," * 8000, '"x",' * 2000 + "x", " \t" * 4000 + "x", "W/" * 4000):
        assert admin.get("/api/users", headers={"If-None-Match": given}).status_code == 400


def test_if_match_comes_before_if_none_match(admin: Caller) -> None:
    answer = admin.get("/api/me", headers={"If-Match": '"x"', "If-None-Match": "*"})

    assert answer.status_code == 412


# Requests for which no condition is checked.
UNCONDITIONAL: list[tuple[str, str, Any]] = [
    ("post", "/api/login", {"username": "admin1", "password": PASSWORD}),
    ("post", "/api/token/refresh", None),
    ("post", "/api/logout", None),
    ("post", "/api/tickets", {"client_id": 1, "subject": "x"}),
    ("patch", "/api/tickets", {"ticket_ids": [1], "set": {"priority": "baja"}}),
    ("post", "/api/tickets/1/comments", {"body": "x"}),
    (
        "post",
        "/api/events",
        {"title": "x", "start_time": "2025-11-01T15:00:00Z", "end_time": "2025-11-01T15:00:00Z"},
    ),
    ("post", "/api/clients", {"full_name": "x"}),
    ("post", "/api/users", {"full_name": "x", "username": "new", "password": PASSWORD}),
    ("post", "/api/conversations", {"client_id": 1, "channel": "web"}),
    ("post", "/api/conversations/1/messages", {"content": "x"}),
    ("delete", "/api/conversations/1/messages/1", None),
    ("post", "/api/conversations/1/messages/1/retry", None),
    ("post", "/api/channels", {"channel": "paper", "type": "none"}),
    ("delete", "/api/me/sessions/1", None),
    ("delete", "/api/tokens/1", None),
]


@on_sqlite
@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("header", ["If-Match", "If-None-Match", "If-Unmodified-Since"])
@pytest.mark.parametrize("given", ["*", '"x"', "x"])
def test_a_condition_that_is_not_checked_is_refused(admin: Caller, header: str, given: str) -> None:
    before = contents()

    for method, path, body in UNCONDITIONAL:
        answer = getattr(admin, method)(path, json=body, headers={header: given})
        assert (answer.status_code, list(answer.json["errors"])) == (400, [header]), path

    assert contents() == before


@pytest.mark.usefixtures("rows")
def test_a_change_that_depends_on_a_time_is_refused(admin: Caller) -> None:
    time = {"If-Unmodified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}
    history = admin.get("/api/tickets/1/history").json

    answers = [
        admin.patch("/api/tickets/1", json={"subject": "x"}, headers=time),
        admin.put("/api/tickets/1/tags/new", headers=time),
        admin.delete("/api/events/1", headers=time),
    ]

    assert [answer.status_code for answer in answers] == [400] * 3
    assert admin.get("/api/tickets/1/history").json == history


@pytest.mark.parametrize("path", ["/api/summary", "/healthz", "/readyz"])
def test_a_read_without_an_etag_refuses_if_match(admin: Caller, path: str) -> None:
    assert admin.get(path, headers={"If-Match": '"x"'}).status_code == 400
    assert admin.get(path, headers={"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.usefixtures("rows")
def test_an_answer_without_content_has_no_content_type(admin: Caller) -> None:
    answers = [
        admin.delete("/api/events/1"),
        admin.delete("/api/comments/1"),
        admin.delete("/api/tokens/1"),
        admin.options("/api/tickets"),
        admin.post("/api/logout"),
    ]

    assert [answer.status_code for answer in answers] == [204, 204, 204, 200, 204]
    for answer in answers:
        assert answer.data == b""
        assert "Content-Type" not in answer.headers
