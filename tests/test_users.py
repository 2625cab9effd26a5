"""Users: who works at the desk."""

import pytest
from sqlalchemy import func, select

from omnidesk.db import db
from omnidesk.users.models import User
from tests.conftest import Caller, make_user, on_sqlite, reload

NEW = {
    "full_name": "New Agent",
    "username": "newagent",
    "email": "newagent@example.com",
    "password": "ClearTextPassword!",
    "role": "empleado",
}
KEYS = [
    "user_id",
    "full_name",
    "username",
    "email",
    "role",
    "active",
    "last_login_at",
    "password_changed_at",
]


def test_an_admin_creates_a_user(admin: Caller) -> None:
    answer = admin.post("/api/users", json=NEW)

    assert answer.status_code == 201
    assert list(answer.json) == KEYS
    assert answer.json["active"] is True
    assert answer.json["last_login_at"] is None
    assert admin.get(answer.headers["Location"]).json == answer.json


def test_a_password_is_stored_as_an_argon2id_hash_only(admin: Caller) -> None:
    user_id = admin.post("/api/users", json=NEW).json["user_id"]

    user = db.session.get_one(User, user_id)
    db.session.commit()

    assert user.password_hash.startswith("$argon2id$")
    assert NEW["password"] not in user.password_hash


def test_an_admin_creates_an_admin(admin: Caller) -> None:
    assert admin.post("/api/users", json=NEW | {"role": "admin"}).json["role"] == "admin"


def test_an_employee_creates_nobody(agent: Caller) -> None:
    answer = agent.post("/api/users", json=NEW | {"role": "admin"})

    assert (answer.status_code, answer.json) == (403, {"detail": "Forbidden"})
    assert db.session.scalar(select(func.count()).select_from(User)) == 1


@pytest.mark.parametrize("username", ["ana", "ANA", "aNa"])
def test_a_user_name_is_taken_in_any_case(admin: Caller, username: str) -> None:
    make_user("ana")

    answer = admin.post("/api/users", json=NEW | {"username": username})

    assert answer.status_code == 409
    assert answer.json == {"detail": "Conflict", "errors": {"username": ["Already taken."]}}


def test_an_email_is_taken_in_any_case(admin: Caller) -> None:
    make_user("ana", email="ana@example.com")

    answer = admin.post("/api/users", json=NEW | {"email": "Ana@Example.COM"})

    assert answer.status_code == 409
    assert answer.json == {"detail": "Conflict", "errors": {"email": ["Already taken."]}}


def test_many_users_may_have_no_email(admin: Caller) -> None:
    for username in ("one", "two"):
        answer = admin.post("/api/users", json=NEW | {"username": username, "email": None})
        assert answer.status_code == 201


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", None),
        ("username", ""),
        ("username", "ab"),
        ("username", "x" * 65),
        ("username", "ana "),
        ("username", "ana\n"),
        ("username", "ａｎａ"),
        ("username", "jose\u0301"),
        ("username", "аna"),
        ("username", "a\u202ena"),
        ("username", "a\x00na"),
        ("email", ""),
        ("email", "a@b"),
        ("email", "x" * 250 + "@example.com"),
        ("email", '"a b"@example.com'),
        ("email", "a@example.com\r\nBcc: b@example.com"),
        ("password", None),
        ("password", "seven77"),
        ("password", "x" * 129),
        ("password", "nul\x00nul\x00"),
        ("password", "password123"),
        ("password", "PassWord123"),
        ("role", "ADMIN"),
        ("role", "root"),
        ("role", None),
        ("full_name", " \u200b "),
        ("full_name", "x" * 121),
        ("user_id", 1),
        ("password_hash", "x"),
        ("active", True),
        ("last_login_at", "2025-10-29T08:00:00Z"),
        ("password_changed_at", None),
        ("created_at", None),
    ],
)
def test_a_user_with_a_fault_is_refused_by_name(admin: Caller, field: str, value: object) -> None:
    answer = admin.post("/api/users", json=NEW | {field: value})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


def test_users_are_listed_for_anybody_with_a_token(agent: Caller) -> None:
    other = make_user("other")

    answer = agent.get("/api/users")

    assert [user["user_id"] for user in answer.json] == [agent.user.user_id, other.user_id]
    assert list(answer.json[0]) == KEYS


def test_users_are_filtered(agent: Caller) -> None:
    make_user("boss", role="admin")
    make_user("gone", active=False)

    def names(query: str) -> list[str]:
        return [user["username"] for user in agent.get(f"/api/users?{query}").json]

    assert names("role=empleado") == ["emp1", "gone"]
    assert names("active=false") == names("active=0") == ["gone"]
    assert names("active=true&role=admin") == names("active=1&role=admin") == ["boss"]


@pytest.mark.parametrize("query", ["active=yes", "active=TRUE", "active=", "active=2", "role=x"])
def test_a_filter_with_a_fault_is_refused_by_name(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/users?{query}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [query.split("=", maxsplit=1)[0]]


def test_an_unknown_user_is_404(agent: Caller) -> None:
    assert agent.get("/api/users/424242").json == {"detail": "Not Found"}


def test_a_user_is_named_in_no_answer_with_their_hash(admin: Caller) -> None:
    user = reload(admin.user)

    for path in ("/api/users", f"/api/users/{user.user_id}"):
        assert "argon2" not in admin.get(path).text
        assert "password_hash" not in admin.get(path).text
