"""What hostile clients send to real gunicorn: the answer is exact, and the desk goes on."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jwt
import pytest
import requests

from tests.conftest import (
    KEY,
    PASSWORD,
    Caller,
    make_client,
    make_conversation,
    make_message,
    make_ticket,
    make_user,
)
from tests.servers import at_once

SECRET = re.compile(r"password_hash|argon2|\$2b\$|scrypt:|pbkdf2|Traceback|SELECT |INSERT ")
TICKET = {"client_id": 1, "subject": "Help"}
EVENT = {"title": "Call", "start_time": "2025-11-01T15:00:00Z", "end_time": "2025-11-01T15:30:00Z"}
NUL, LONE, ZERO_WIDTH = "\x00", "\ud800", "\u200b"


class Desk(NamedTuple):
    """A server with a client, a ticket and a conversation, numbered 1, and people who call it."""

    address: str
    admin: Caller
    agent: Caller

    def ask(self, method: str, path: str, who: str = "agent", **kwargs: Any) -> Any:
        """Give an answer, which is never a secret, and JSON if it is anything."""
        headers = {"agent": self.agent.headers, "admin": self.admin.headers, "": {}}[who]
        headers = headers | kwargs.pop("headers", {})
        answer = requests.request(
            method, self.address + path, headers=headers, timeout=30, **kwargs
        )
        assert not SECRET.search(answer.text)
        if answer.content:
            assert answer.headers["Content-Type"] == "application/json"
        if answer.status_code >= 400 and method != "HEAD":
            assert isinstance(answer.json()["detail"], str)
        return answer


@pytest.fixture
def desk(server: str, admin: Caller, agent: Caller) -> Iterator[Desk]:
    """A desk that still answers afterwards."""
    make_client()
    make_ticket(1)
    make_message(make_conversation(client_id=1))
    found = Desk(server, admin, agent)
    yield found
    assert found.ask("GET", "/api/summary").status_code == 200


def ascii_json(body: Any) -> bytes:
    """Give JSON in ASCII, lone surrogates as escapes."""
    return json.dumps(body).encode()


LOGINS = (
    ("A07", {"username": "emp1", "password": "$argon2id$v=19$m=8,t=1,p=1$x$y"}, 401, None),
    ("A08", {"username": "' OR '1'='1", "password": "x"}, 401, None),
    ("A08", {"username": "emp1'--", "password": PASSWORD}, 401, None),
    ("A08", {"username": "%", "password": PASSWORD}, 401, None),
    ("A08", {"username": "____", "password": PASSWORD}, 401, None),
    ("A09", {"username": NUL, "password": "x"}, 400, "username"),
    ("A10", {"username": 7, "password": "x"}, 400, "username"),
    ("A10", {"username": None, "password": "x"}, 400, "username"),
    ("A10", {"username": ["emp1"], "password": "x"}, 400, "username"),
    ("A10", {"username": "emp1", "password": {"a": 1}}, 400, "password"),
    ("A10", {"password": "x"}, 400, "username"),
    ("I12", {"username": LONE, "password": "x"}, 400, "username"),
    ("A05", {"username": "emp1", "password": "x" * 1025}, 400, "password"),
    ("A02", {"username": "nobody", "password": PASSWORD}, 401, None),
)
BODIES = (
    ("Z08", "tickets", TICKET | {"client_id": 424242}, "client_id"),
    ("Z09", "tickets", TICKET | {"assigned_to": 424242}, "assigned_to"),
    ("Z10", "events", EVENT | {"ticket_id": 424242}, "ticket_id"),
    ("Z15", "events", EVENT | {"created_by": 1}, "created_by"),
    ("Z16", "tickets", TICKET | {"ticket_id": 1}, "ticket_id"),
    ("Z16", "tickets", TICKET | {"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
    ("Z16", "tickets", TICKET | {"resolved_at": "2020-01-01T00:00:00Z"}, "resolved_at"),
    ("Z17", "conversations/1/messages", {"content": "x", "message_id": 1}, "message_id"),
    ("Z17", "conversations/1/messages", {"content": "x", "conversation_id": 2}, "conversation_id"),
    ("I04", "tickets", TICKET | {"subjekt": "x"}, "subjekt"),
    ("I07", "tickets", TICKET | {"client_id": 2**31}, "client_id"),
    ("I07", "tickets", TICKET | {"client_id": 2**63}, "client_id"),
    ("I07", "tickets", TICKET | {"client_id": -(2**63) - 1}, "client_id"),
    ("I07", "tickets", TICKET | {"client_id": 10**4000}, "client_id"),
    ("I09", "tickets", TICKET | {"client_id": 0}, "client_id"),
    ("I09", "tickets", TICKET | {"client_id": True}, "client_id"),
    ("I09", "tickets", TICKET | {"client_id": "1"}, "client_id"),
    ("I10", "tickets", TICKET | {"subject": ""}, "subject"),
    ("I10", "tickets", TICKET | {"subject": ZERO_WIDTH}, "subject"),
    ("I11", "tickets", TICKET | {"subject": f"a{NUL}"}, "subject"),
    ("I12", "tickets", TICKET | {"description": LONE}, "description"),
    ("I13", "tickets", TICKET | {"subject": "🔑" * 201}, "subject"),
    ("I15", "tickets", TICKET | {"priority": "ALTA"}, "priority"),
    ("I15", "tickets", TICKET | {"priority": "alta "}, "priority"),
    ("I15", "tickets", TICKET | {"priority": None}, "priority"),
    ("I19", "events", EVENT | {"start_time": "2025-11-01T15:00:00"}, "start_time"),
    ("I22", "events", EVENT | {"start_time": "2025-02-30T15:00:00Z"}, "start_time"),
    ("I22", "events", EVENT | {"start_time": "2016-12-31T23:59:60Z"}, "start_time"),
    ("I22", "events", EVENT | {"start_time": "2025-11-01T15:00:00+99:99"}, "start_time"),
    ("I23", "events", EVENT | {"start_time": 1761750000}, "start_time"),
    ("I24", "events", EVENT | {"end_time": "2025-11-01T14:00:00Z"}, "end_time"),
    ("I24", "events", EVENT | {"end_time": "2035-11-01T15:00:00Z"}, "end_time"),
)
RAW = (
    ("I01", b"{"),
    ("I01", b""),
    ("I01", b"null"),
    ("I01", b"[]"),
    ("I01", b'"x"'),
    ("I01", b"1"),
    ("I02", b'\xef\xbb\xbf{"subject":"a"}'),
    ("I02", '{"subject":"a"}'.encode("utf-16")),
    ("I02", '{"subject":"ñ"}'.encode("latin-1")),
    ("I06", b'{"client_id": NaN}'),
    ("I06", b'{"client_id": Infinity}'),
    ("I06", b"[" * 100_000),
)
QUERIES = (
    ("I25", "events", "start=2025-11-01T00:00:00+02:00", "start"),
    ("I29", "users", "active=yes", "active"),
    ("I29", "users", "active=", "active"),
    ("I30", "tickets", "status=abierto;drop", "status"),
    ("I30", "tickets", "client_id=1 OR 1=1", "client_id"),
    ("I30", "tickets", "tag=%25", "tag"),
    ("I32", "tickets", "offset=-1", "offset"),
    ("I32", "tickets", f"offset={2**63}", "offset"),
    ("I33", "tickets", "limit=201", "limit"),
    ("I33", "tickets", "cursor=zz", "cursor"),
    ("I34", "tickets", "limit=1&limit=2", "limit"),
    ("I12", "tickets", "%ED%A0%80=1", "%ED%A0%80"),
)


@pytest.mark.parametrize(("line", "body", "status", "field"), LOGINS)
def test_a_login_that_is_none(desk: Desk, line: str, body: Any, status: int, field: Any) -> None:
    kind = {"Content-Type": "application/json"}

    answer = desk.ask("POST", "/api/login", "", data=ascii_json(body), headers=kind)

    assert answer.status_code == status
    assert list(answer.json().get("errors", [None])) == [field]


@pytest.mark.parametrize(("line", "path", "body", "field"), BODIES)
def test_a_body_with_a_fault(desk: Desk, line: str, path: str, body: Any, field: str) -> None:
    kind = {"Content-Type": "application/json"}

    answer = desk.ask("POST", f"/api/{path}", data=ascii_json(body), headers=kind)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


@pytest.mark.parametrize(("line", "body"), RAW)
def test_a_body_that_is_no_object(desk: Desk, line: str, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}

    answer = desk.ask("POST", "/api/tickets", data=body, headers=kind)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["_schema"])


@pytest.mark.parametrize(("line", "path", "query", "field"), QUERIES)
def test_a_query_with_a_fault(desk: Desk, line: str, path: str, query: str, field: str) -> None:
    answer = desk.ask("GET", f"/api/{path}?{query}")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer a.b.c", "Bearer x y", "Bearer \xff"],
)
def test_a_header_without_a_token(desk: Desk, header: str) -> None:  # A14, A16
    answer = desk.ask("GET", "/api/summary", "", headers={"Authorization": header.encode("latin1")})

    assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def forged(desk: Desk, changed: Any, algorithm: str) -> str:
    """Give a good token of the agent's with some claims changed, signed by our own key."""
    token = desk.agent.token
    claims = jwt.decode(token, options={"verify_signature": False}) | changed
    kid = {"kid": jwt.get_unverified_header(token)["kid"]}
    key = "" if algorithm == "none" else KEY
    return jwt.PyJWS().encode(ascii_json(claims), key, algorithm, headers=kid)


def ask_with(desk: Desk, token: str) -> int:
    """Give the status that a token is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    return int(desk.ask("GET", "/api/summary", "", headers=headers).status_code)


@pytest.mark.parametrize(
    "changed",
    [
        {"sub": None},
        {"sub": 1},
        {"sub": "0"},
        {"sub": "-1"},
        {"sub": str(2**63)},
        {"sub": "424242"},
        {"exp": 1},
        {"exp": "x"},
        {"nbf": 2**33},
        {"iat": 2**33},
        {"type": "refresh"},
        {"sid": 424242},
    ],
    ids=str,
)
def test_a_token_with_other_claims(desk: Desk, changed: Any) -> None:  # A22 to A25
    assert ask_with(desk, forged(desk, changed, "HS256")) == 401


@pytest.mark.parametrize(
    ("algorithm", "status"), [("HS256", 200), ("HS384", 401), ("HS512", 401), ("none", 401)]
)
def test_a_token_with_another_algorithm(  # A17, A19
    desk: Desk, algorithm: str, status: int
) -> None:
    assert ask_with(desk, forged(desk, {}, algorithm)) == status


@pytest.mark.parametrize("part", range(3))
def test_a_token_with_one_bit_flipped(desk: Desk, part: int) -> None:  # A16
    parts = desk.agent.headers["Authorization"].removeprefix("Bearer ").split(".")
    middle = len(parts[part]) // 2
    flipped = chr(ord(parts[part][middle]) ^ 1)
    parts[part] = parts[part][:middle] + flipped + parts[part][middle + 1 :]

    headers = {"Authorization": f"Bearer {'.'.join(parts)}"}

    assert desk.ask("GET", "/api/summary", "", headers=headers).status_code == 401


def test_a_token_anywhere_else_is_none(desk: Desk) -> None:  # A27
    token = desk.agent.token

    answers = [
        desk.ask("GET", f"/api/summary?access_token={token}", ""),
        desk.ask("GET", "/api/summary", "", cookies={"access_token_cookie": token}),
        desk.ask("POST", "/api/tickets", "", json={"access_token": token}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


def test_three_ways_to_fail_at_login_look_the_same(desk: Desk) -> None:  # A02
    make_user("off1", active=False)
    tried = ({"username": name, "password": "wrong"} for name in ("emp1", "nobody", "off1"))

    answers = [desk.ask("POST", "/api/login", "", json=body) for body in tried]

    assert {answer.text for answer in answers} == {'{"detail":"Unauthorized"}'}
    own = {"X-Request-ID", "Date"}
    assert (
        len({frozenset(set(a.headers.items()) - {(n, a.headers[n]) for n in own}) for a in answers})
        == 1
    )


def test_a_text_is_given_back_byte_by_byte(desk: Desk) -> None:  # I40, O09
    for text in ("<script>alert(1)</script>", "=cmd()", "{{7*7}}", "%s%n", "\u2028🔑ñ", "a\r\nb"):
        made = desk.ask("POST", "/api/tickets", json=TICKET | {"subject": text})
        assert made.status_code == 201
        assert desk.ask("GET", made.headers["Location"]).json()["subject"] == text


def test_what_changes_between_two_looks_is_never_stale(desk: Desk) -> None:  # H19
    tag = desk.ask("GET", "/api/tickets/1").headers["ETag"]
    same = desk.ask("GET", "/api/tickets/1", headers={"If-None-Match": tag, "Range": "bytes=0-1"})
    desk.ask("PATCH", "/api/tickets/1", json={"subject": "New"})

    other = desk.ask("GET", "/api/tickets/1", headers={"If-None-Match": tag})

    assert (same.status_code, other.status_code) == (304, 200)
    assert other.json()["subject"] == "New"


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data; boundary=x", "text/xml", None]
)
def test_a_body_of_another_kind(desk: Desk, kind: str | None) -> None:  # H03
    headers = {"Content-Type": kind}

    answer = desk.ask("POST", "/api/tickets", data=ascii_json(TICKET), headers=headers)

    assert answer.status_code == 415


def test_not_yours_and_not_there_look_the_same(desk: Desk) -> None:  # Z13
    desk.ask("POST", "/api/tokens", "admin", json={"name": "x", "scopes": ["tickets:read"]})
    (session,) = desk.ask("GET", "/api/me/sessions", "admin").json()
    theirs = ("/api/tokens/1", f"/api/me/sessions/{session['session_id']}")
    nobodys = ("/api/tokens/424242", "/api/me/sessions/424242")

    for path, other in zip(theirs, nobodys, strict=True):
        answers = [desk.ask("DELETE", each) for each in (path, other)]
        assert [(a.status_code, a.text) for a in answers] == [(404, '{"detail":"Not Found"}')] * 2


def test_one_user_name_is_taken_once(desk: Desk) -> None:  # C01
    body = {"full_name": "A", "username": "same", "password": "correct horse 7"}

    answers = at_once(20, lambda _: desk.ask("POST", "/api/users", "admin", json=body))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}


def test_writers_at_once_all_succeed_and_are_counted(desk: Desk) -> None:  # C04, C09
    answers = at_once(40, lambda _: desk.ask("POST", "/api/tickets", json=TICKET))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["ticket_id"] for answer in answers}) == 40
    assert desk.ask("GET", "/api/summary").json()["tickets"]["open"] == 41
