"""Logging in, and what a token is good for."""

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from sqlalchemy import delete, update

from omnidesk.auth import tokens
from omnidesk.auth.models import ApiToken, UserSession
from omnidesk.db import MAX_ID, db, utcnow
from tests.conftest import (
    KEY,
    PASSWORD,
    Caller,
    make_user,
    on_postgresql,
    on_sqlite,
    reload,
    save,
)

UNAUTHORIZED = {"detail": "Unauthorized"}


def log_in(caller: Caller, username: str = "emp1", password: str = PASSWORD) -> Any:
    """Post credentials."""
    return caller.post("/api/login", json={"username": username, "password": password})


def test_a_login_gives_a_token_that_lives_an_hour(anybody: Caller) -> None:
    user = make_user("emp1")

    answer = log_in(anybody)

    assert answer.status_code == 200
    assert list(answer.json) == ["access_token", "token_type", "expires_in", "user"]
    assert answer.json["token_type"] == "bearer"
    assert answer.json["expires_in"] == 3600
    assert answer.json["user"] == {
        "user_id": user.user_id,
        "username": "emp1",
        "full_name": "Somebody",
        "email": "emp1@example.com",
        "role": "empleado",
        "active": True,
    }
    claims = jwt.decode(
        answer.json["access_token"],
        KEY,
        algorithms=["HS256"],
        issuer="omnidesk",
        audience="omnidesk",
    )
    assert claims["exp"] - claims["iat"] == 3600


def test_a_login_is_noted(anybody: Caller) -> None:
    user = make_user("emp1")

    log_in(anybody)

    assert utcnow() - reload(user).last_login_at < timedelta(minutes=1)


def test_a_user_name_is_the_same_in_capitals(anybody: Caller) -> None:
    make_user("emp1")

    assert log_in(anybody, "EMP1").status_code == 200


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("emp1", "wrong password"),
        ("emp1", PASSWORD.upper()),
        ("emp1", PASSWORD + " "),
        ("off1", PASSWORD),
        ("nobody", PASSWORD),
        ("' OR '1'='1", PASSWORD),
        ("emp1'--", PASSWORD),
        ("%", PASSWORD),
        ("emp_", PASSWORD),
    ],
)
def test_wrong_credentials_get_one_and_the_same_answer(
    anybody: Caller, username: str, password: str
) -> None:
    make_user("emp1")
    off = make_user("off1", active=False)

    answer = log_in(anybody, username, password)

    assert (answer.status_code, answer.json) == (401, UNAUTHORIZED)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert reload(off).last_login_at is None


@pytest.mark.parametrize("field", ["username", "password"])
@pytest.mark.parametrize("value", [None, 7, True, [], {}, "nul\x00", "\ud800", "x" * 2000])
def test_credentials_of_another_kind_are_refused_by_name(
    anybody: Caller, field: str, value: object
) -> None:
    body = {"username": "emp1", "password": PASSWORD} | {field: value}

    answer = anybody.post("/api/login", json=body)

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


NOW = int(utcnow().timestamp())
KID = {"kid": tokens.key_id(KEY)}
GOOD = {"sub": "1", "sid": 1, "iat": NOW, "nbf": NOW, "exp": NOW + 3600, "type": "access"} | {
    "iss": "omnidesk",
    "aud": "omnidesk",
}


def signed(key: str = KEY, algorithm: str = "HS256", typ: Any = "JWT", **changes: Any) -> str:
    """Return a token for session 1 of user 1, some claims changed; None leaves a claim out."""
    said = GOOD | changes
    header = {"alg": algorithm, "typ": typ} | KID
    kept = [
        {name: value for name, value in part.items() if value is not None}
        for part in (header, said)
    ]
    signing = ".".join(map(part, kept))
    signature = hmac.digest(key.encode(), signing.encode(), algorithm.replace("HS", "sha"))
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def part(value: object) -> str:
    """Return one part of a hand-made token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def without_signature(algorithm: str) -> str:
    """Return a token that asks not to be verified."""
    return f"{part({'alg': algorithm, 'typ': 'JWT'} | KID)}.{part(GOOD)}."


NESTED = base64.urlsafe_b64encode(b"[" * 5000).decode()

# No token, or none of ours.
MISSING = [None, "", "Bearer", "Bearer ", "Basic YWRtaW46c2VjcmV0", "Token abc"]
# Signed by us, and naming a user or a session that is not there.
OF_NO_ROW = [
    *(
        f"Bearer {signed(sub=sub)}"
        for sub in ("", "x", "0", "-1", "1\n", "²", str(2**31), str(2**63))
    ),
    f"Bearer {signed(sub='424242')}",
    f"Bearer {signed(sid=['a'])}",
    f"Bearer {signed(sid='ñ')}",
]
FAULTY = [
    "Bearer a b",
    "Bearer a.b.c, Bearer d.e.f",
    "Bearer garbage",
    "Bearer a.b.c",
    "Bearer ñandú",
    f"Bearer {'x' * 5000}",
    f"Bearer {NESTED}.{part({})}.x",
    f"Bearer {part({'alg': 'HS256', 'kid': 7})}.{part({})}.x",
    f"Bearer {without_signature('none')}",
    f"Bearer {without_signature('None')}",
    f"Bearer {without_signature('nOnE')}",
    f"Bearer {signed(key='another key of at least 32 bytes....')}",
    f"Bearer {signed(algorithm='HS384')}",
    f"Bearer {signed(algorithm='HS512')}",
    *(f"Bearer {signed(iss=iss)}" for iss in (None, "evil", "", "OMNIDESK", ["omnidesk"], 7)),
    *(f"Bearer {signed(aud=aud)}" for aud in (None, "other", "", [], ["other"], 7)),
    *(f"Bearer {signed(typ=typ)}" for typ in (None, "JWE", "at+jwt", "", 7, ["JWT"])),
    *(f"Bearer {signed(exp=exp)}" for exp in (None, "9999999999", True, "x", [NOW + 99])),
    *(f"Bearer {signed(iat=value)}" for value in (None, str(NOW), False)),
    *(f"Bearer {signed(nbf=value)}" for value in (None, str(NOW), False)),
    f"Bearer {signed(nbf=NOW + 30_000)}",
    f"Bearer {signed(iat=NOW + 30_000)}",
    f"Bearer {signed(sub=None)}",
    f"Bearer {signed(sub=1)}",
    f"Bearer {signed(type='refresh')}",
    f"Bearer {signed(sid=None)}",
    *OF_NO_ROW,
]


def test_a_token_without_a_fault_is_good(agent: Caller) -> None:
    answer = Caller(agent.app).get("/api/me", headers={"Authorization": f"Bearer {signed()}"})

    assert (answer.status_code, answer.json["user_id"]) == (200, agent.user.user_id)


def test_the_token_of_the_largest_ids_is_good(app: Any) -> None:
    user = make_user(user_id=MAX_ID)
    now = utcnow()
    expires_at = now + timedelta(hours=1)
    session = UserSession(session_id=MAX_ID, user_id=MAX_ID, created_at=now, expires_at=expires_at)
    token = tokens.access_token(user, save(session))["access_token"]
    caller = Caller(app)
    caller.headers["Authorization"] = f"Bearer {token}"

    assert caller.get("/api/me").status_code == 200


def challenge(caller: Caller, header: str | None) -> str:
    """Return the WWW-Authenticate header of the 401 that an Authorization header gets."""
    answer = caller.get("/api/summary", headers={} if header is None else {"Authorization": header})
    assert (answer.status_code, answer.json) == (401, UNAUTHORIZED)
    return str(answer.headers["WWW-Authenticate"])


@on_sqlite
@pytest.mark.parametrize("number", range(len(FAULTY)))
def test_every_fault_of_a_token_is_401(anybody: Caller, agent: Caller, number: int) -> None:
    assert agent.get("/api/summary").status_code == 200, "there is a session 1 of user 1"

    assert challenge(anybody, FAULTY[number]) == 'Bearer error="invalid_token"'


@on_postgresql
@pytest.mark.parametrize("number", range(len(OF_NO_ROW)))
def test_a_token_of_no_row_is_401_on_postgresql(
    anybody: Caller, agent: Caller, number: int
) -> None:
    assert challenge(anybody, OF_NO_ROW[number]) == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("header", MISSING)
def test_a_missing_token_is_401(anybody: Caller, header: str | None) -> None:
    assert challenge(anybody, header) == "Bearer"


def test_an_expired_token_is_told_from_all_others(anybody: Caller, agent: Caller) -> None:
    expired = f"Bearer {signed(exp=NOW - 1)}"
    body = {"name": "Bot", "scopes": ["summary:read"], "password": PASSWORD}
    bot = f"Bearer {agent.post('/api/tokens', json=body).json['token']}"
    db.session.execute(update(ApiToken).values(expires_at=utcnow()))
    db.session.commit()
    told = 'Bearer error="invalid_token", error_description="expired"'

    assert [challenge(anybody, header) for header in (expired, bot)] == [told] * 2
    agent.post("/api/logout")
    assert challenge(anybody, f"Bearer {signed()}") == 'Bearer error="invalid_token"', "it is ended"
    db.session.execute(delete(ApiToken))
    db.session.commit()
    assert challenge(anybody, bot) == 'Bearer error="invalid_token"', "it is revoked"


@pytest.mark.parametrize("skew", [30, 58])
def test_a_clock_that_is_set_back_makes_no_token_bad(agent: Caller, skew: int) -> None:
    token = signed(iat=NOW + skew, nbf=NOW + skew, exp=NOW + skew + 3600)

    answer = Caller(agent.app).get("/api/me", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 200


def test_an_audience_may_be_one_of_several(agent: Caller) -> None:
    token = signed(aud=["other", "omnidesk"])

    answer = Caller(agent.app).get("/api/me", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 200


def test_a_missing_scope_is_named(agent: Caller, anybody: Caller) -> None:
    body = {"name": "Bot", "scopes": ["tickets:read"], "password": PASSWORD}
    bot = {"Authorization": f"Bearer {agent.post('/api/tokens', json=body).json['token']}"}

    answers = [anybody.get("/api/clients", headers=bot), anybody.get("/api/tokens", headers=bot)]

    assert [(answer.status_code, answer.json) for answer in answers] == [
        (403, {"detail": "Forbidden"})
    ] * 2
    assert [answer.headers["WWW-Authenticate"] for answer in answers] == [
        'Bearer error="insufficient_scope", scope="clients:read"',
        'Bearer error="insufficient_scope"',
    ]
    assert "WWW-Authenticate" not in agent.post("/api/users", json={}).headers, "a role is no scope"


READS = [
    ("/api/events", "events"),
    ("/api/events/424242", "events"),
    ("/api/tickets", "tickets"),
    ("/api/tickets/424242", "tickets"),
    ("/api/conversations", "conversations"),
    ("/api/conversations/424242", "conversations"),
    ("/api/conversations/424242/messages", "conversations"),
    ("/api/conversations/424242/messages/1", "conversations"),
    ("/api/clients", "clients"),
    ("/api/clients/424242", "clients"),
]
ALWAYS_PROTECTED = ["/api/users", "/api/users/1", "/api/summary"]


@on_sqlite
@pytest.mark.parametrize(("path", "resource"), READS)
def test_reads_are_open_where_the_operator_says_so(app_with: Any, path: str, resource: str) -> None:
    opened = Caller(app_with(PUBLIC_READS=[resource]))
    closed = Caller(app_with(PUBLIC_READS=[]))

    assert opened.get(path).status_code in (200, 404)
    assert opened.head(path).status_code in (200, 404)
    assert (closed.get(path).status_code, closed.get(path).json) == (401, UNAUTHORIZED)


@pytest.mark.parametrize("path", ALWAYS_PROTECTED)
def test_some_reads_always_need_a_token(anybody: Caller, path: str) -> None:
    assert anybody.get(path).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/events",
        "/api/tickets",
        "/api/users",
        "/api/clients",
        "/api/conversations/1/messages",
    ],
)
def test_every_write_needs_a_token_before_anything_else(anybody: Caller, path: str) -> None:
    answer = anybody.post(path + "?no=such", data="not even JSON")

    assert (answer.status_code, answer.json) == (401, UNAUTHORIZED)


def test_a_bad_token_is_refused_at_an_open_read_too(anybody: Caller) -> None:
    headers = {"Authorization": "Bearer garbage"}

    assert anybody.get("/api/tickets", headers=headers).status_code == 401
