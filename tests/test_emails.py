"""E-mail addresses: in any script, looked up nowhere, and compared in one form."""

import socket
from typing import Any

import pytest

from tests.conftest import Caller, make_user, on_sqlite

NEW = {"full_name": "New", "password": "ClearTextPassword!"}
VALID = (
    "user@münchen.example",
    "user@xn--mnchen-3ya.example",
    "josé@example.com",
    "用户@例子.公司",
    "a.b+c@desk.local",
    "a@b.test",
    "o'brien_x@example.co.uk",
    "x" * 64 + "@example.com",
)
INVALID = (
    *("nobody", "a@b", "a@b.", "@example.com", "a@@example.com", "a@example..com"),
    *("a b@example.com", '"a b"@example.com', "a@[127.0.0.1]", "A <a@example.com>"),
    *(".a@example.com", "a..b@example.com", "a@-b.example", "a@b_c.example", "a@exam\u200bple.com"),
    *("a@" + "x" * 64 + ".com", "a@" + "b." * 130 + "com"),
    *(
        "a@example.com\n",
        "a@xn--99999.example",
        "\u0301@example.com",
        "a@example.com\r\nBcc: x@y.z",
    ),
)


@pytest.fixture
def no_network(monkeypatch: Any) -> None:
    """No name server can be asked."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a look-up")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("path", ["clients", "users"])
@pytest.mark.parametrize("email", VALID)
def test_a_valid_address_is_kept_as_it_was_sent(admin: Caller, path: str, email: str) -> None:
    body = NEW | {"username": "new"} if path == "users" else {"full_name": "Ada"}

    answer = admin.post(f"/api/{path}", json=body | {"email": email})

    assert (answer.status_code, answer.json["email"]) == (201, email)
    assert admin.get(answer.headers["Location"]).json["email"] == email


@on_sqlite
@pytest.mark.parametrize("email", INVALID)
def test_an_invalid_address_is_refused(admin: Caller, email: str) -> None:
    answer = admin.post("/api/clients", json={"full_name": "Ada", "email": email})

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["email"])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("user@münchen.example", "USER@MÜNCHEN.example"),
        ("user@münchen.example", "user@xn--mnchen-3ya.example"),
        ("user@xn--mnchen-3ya.example", "user@mu\u0308nchen.example"),
        ("josé@example.com", "JOSE\u0301@Example.com"),
        ("a@example.com", "A@EXAMPLE.COM"),
    ],
)
def test_two_users_do_not_share_an_address(admin: Caller, one: str, other: str) -> None:
    first = admin.post("/api/users", json=NEW | {"username": "one", "email": one})
    second = admin.post("/api/users", json=NEW | {"username": "two", "email": other})
    path = f"/api/users/{make_user('three').user_id}"
    changed = admin.patch(path, json={"email": other})
    same = admin.patch(first.headers["Location"], json={"email": other})

    assert [a.status_code for a in (first, second, changed, same)] == [201, 409, 409, 200]
    assert second.json["errors"] == changed.json["errors"] == {"email": ["Already taken."]}


def test_an_address_that_was_given_up_is_free(admin: Caller) -> None:
    first = admin.post("/api/users", json=NEW | {"username": "one", "email": "a@example.com"})
    admin.patch(first.headers["Location"], json={"email": None})

    second = admin.post("/api/users", json=NEW | {"username": "two", "email": "A@example.com"})

    assert second.status_code == 201
