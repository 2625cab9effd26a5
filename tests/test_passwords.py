"""Passwords: the same text is the same password, however a keyboard writes its letters."""

import unicodedata

import pytest
from flask import Flask

from omnidesk.users import passwords
from tests.conftest import Caller, make_user, save

NFC = "contraseñáá"
NFD = unicodedata.normalize("NFD", NFC)
NEW = {"full_name": "New", "username": "new"}


def log_in(caller: Caller, password: str) -> int:
    """Return the status of a login of the user named new."""
    body = {"username": "new", "password": password}
    return int(caller.post("/api/login", json=body).status_code)


@pytest.mark.parametrize(("made", "sent"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_a_new_password_is_good_in_either_form(
    admin: Caller, anybody: Caller, made: str, sent: str
) -> None:
    path = admin.post("/api/users", json=NEW | {"password": made}).headers["Location"]
    assert log_in(anybody, sent) == 200

    admin.patch(path, json={"password": made + "2"})
    assert (log_in(anybody, sent), log_in(anybody, sent + "2")) == (401, 200)


@pytest.mark.parametrize(("made", "sent"), [(NFC, NFD), (NFD, NFC)])
def test_a_changed_password_is_good_in_either_form(
    app: Flask, admin: Caller, anybody: Caller, made: str, sent: str
) -> None:
    admin.post("/api/users", json=NEW | {"password": "correct horse"})
    login = {"username": "new", "password": "correct horse"}
    token = anybody.post("/api/login", json=login).json["access_token"]
    user = {"Authorization": f"Bearer {token}"}

    first = {"old_password": "correct horse", "password": made}
    token = anybody.post("/api/me/password", json=first, headers=user).json["access_token"]
    again = {"old_password": sent, "password": made + "3"}
    user = {"Authorization": f"Bearer {token}"}

    assert anybody.post("/api/me/password", json=again, headers=user).status_code == 200
    assert log_in(anybody, sent + "3") == 200


def test_a_command_makes_the_same_password(app: Flask, anybody: Caller) -> None:
    command = ["create-user", "new", "--password", NFD]

    assert app.test_cli_runner().invoke(args=command).exit_code == 0
    assert log_in(anybody, NFC) == 200


def test_an_old_hash_of_what_was_sent_is_good_and_renewed(app: Flask, anybody: Caller) -> None:
    hasher = passwords.hasher(**app.config["ARGON2"])
    user = make_user("new")
    user.password_hash = hasher.hash(NFD)
    save(user)

    assert [log_in(anybody, sent) for sent in (NFC, NFD, NFC, NFD)] == [401, 200, 200, 200]


def test_a_hash_is_renewed_only_for_a_reason(app: Flask) -> None:
    stored = passwords.hash_password(NFC)

    assert passwords.renew(stored, NFD) == passwords.renew(stored, NFC) == stored


@pytest.mark.parametrize(("password", "status"), [("e\u0301" * 128, 201), ("é" * 129, 400)])
def test_the_composed_form_has_a_length(admin: Caller, password: str, status: int) -> None:
    assert admin.post("/api/users", json=NEW | {"password": password}).status_code == status


def test_another_compatibility_form_is_another_password(admin: Caller, anybody: Caller) -> None:
    admin.post("/api/users", json=NEW | {"password": "ﬁrst-horse①"})

    assert log_in(anybody, "first-horse1") == 401
