"""Who one is: what is no login and no token is 401, and what ended is over at once."""

import hmac
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode
from sqlalchemy import update

from omnidesk.db import db
from omnidesk.rates import Hit
from omnidesk.users import passwords
from tests.conftest import KEY, PASSWORD, Caller, make_user, reload
from tests.security.conftest import Desk, ascii_json
from tests.servers import at_once

LOGIN, ME = "/api/login", "/api/me"
UNAUTHORIZED = {"detail": "Unauthorized"}
NEW = "another correct horse"
REFUSED = (
    ({"username": "nobody", "password": PASSWORD}, 401, None),
    ({"username": "' OR '1'='1", "password": "x"}, 401, None),
    ({"username": "emp1'--", "password": PASSWORD}, 401, None),
    ({"username": "%", "password": PASSWORD}, 401, None),
    ({"username": "emp_", "password": PASSWORD}, 401, None),
    ({"username": "emp1", "password": PASSWORD + " "}, 401, None),
    ({"username": "\x00", "password": "x"}, 400, "username"),
    ({"username": "\ud800", "password": "x"}, 400, "username"),
    ({"username": 7, "password": "x"}, 400, "username"),
    ({"username": None, "password": "x"}, 400, "username"),
    ({"username": ["emp1"], "password": "x"}, 400, "username"),
    ({"username": "emp1", "password": {"a": 1}}, 400, "password"),
    ({"username": "emp1", "password": "x" * 1025}, 400, "password"),
    ({"password": "x"}, 400, "username"),
    ({"username": "emp1"}, 400, "password"),
)


def log_in(desk: Desk, username: str = "emp1", password: str = PASSWORD, **headers: str) -> Any:
    """Give the answer to a login."""
    body = {"username": username, "password": password}
    return desk.ask("POST", LOGIN, "", json=body, headers=headers)


def ask_with(desk: Desk, token: str, path: str = ME) -> int:
    """Give the status that a token is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    return int(desk.ask("GET", path, "", headers=headers).status_code)


def test_a_login_is_good_for_an_hour_and_is_noted(desk: Desk) -> None:
    answer = log_in(desk)

    assert answer.status_code == 200
    token, kind, seconds, user = answer.json().values()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (kind, seconds, claims["exp"] - claims["iat"]) == ("bearer", 3600, 3600)
    assert reload(desk.agent.user).last_login_at is not None
    assert ask_with(desk, token) == 200
    assert user["username"] == "emp1"


@pytest.mark.parametrize(("body", "status", "field"), REFUSED, ids=str)
def test_a_login_that_is_none(desk: Desk, body: Any, status: int, field: str | None) -> None:
    answer = desk.send("POST", LOGIN, body, "")

    assert answer.status_code == status
    assert list(answer.json().get("errors", [None])) == [field]


def test_the_stored_hash_is_no_password(desk: Desk) -> None:
    stored = desk.agent.user.password_hash

    assert log_in(desk, password=stored).status_code == 401


def test_three_ways_to_fail_at_login_look_the_same(desk: Desk) -> None:
    make_user("off1", active=False)

    answers = [log_in(desk, name, "wrong password") for name in ("emp1", "nobody", "off1")]

    assert {answer.text for answer in answers} == {'{"detail":"Unauthorized"}'}
    for answer in answers:
        for own in ("X-Request-ID", "Date"):
            del answer.headers[own]
    assert answers[0].headers == answers[1].headers == answers[2].headers


def test_whoever_fails_the_same_work_is_done(desk: Desk, monkeypatch: Any) -> None:
    make_user("off1", active=False)
    verified: list[str] = []

    def count(stored: str, password: str) -> bool:
        verified.append(stored.rpartition("$")[0].rpartition("$")[0])  # all but salt and hash
        return False

    monkeypatch.setattr(passwords, "verify", count)
    for name in ("emp1", "nobody", "off1"):
        body = {"username": name, "password": "wrong password"}
        desk.agent.post(LOGIN, json=body, headers={"Authorization": ""})

    assert len(verified) == 3
    assert len(set(verified)) == 1, "with the same parameters"


@pytest.mark.parametrize("password", ["x" * 64, "x" * 128, "🔑" * 8, "contraseña única"])
def test_a_password_is_taken_as_it_is(desk: Desk, password: str) -> None:
    fields = {"full_name": "New", "username": "new", "password": password}
    assert desk.ask("POST", "/api/users", "admin", json=fields).status_code == 201

    assert log_in(desk, "new", password).status_code == 200
    assert log_in(desk, "new", password[:-1]).status_code == 401
    assert log_in(desk, "new", password.upper()).status_code == (401 if password.islower() else 200)


def test_a_name_is_guessed_at_five_times_and_is_free_again_later(desk: Desk) -> None:
    answers = [log_in(desk, password="wrong") for _ in range(20)]

    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 15
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 300
    assert log_in(desk, "admin1").status_code == 200, "nobody else is shut out"
    db.session.execute(update(Hit).values(ends=1))
    db.session.commit()
    assert log_in(desk).status_code == 200


def test_an_address_guesses_twenty_times_whatever_it_calls_itself(desk: Desk) -> None:
    forged = [{"X-Forwarded-For": f"203.0.113.{n}", "X-Real-IP": f"1.1.1.{n}"} for n in range(25)]

    answers = [log_in(desk, f"user{n}", "wrong", **forged[n]) for n in range(25)]

    assert [answer.status_code for answer in answers] == [401] * 20 + [429] * 5


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer a.b.c", "Bearer x y"),
        *("Bearer a.b.c, Bearer d.e.f", "Bearer ñandú", "Bearer \xff", f"Bearer {'x' * 5000}"),
    ],
)
def test_a_header_without_a_token(desk: Desk, header: str) -> None:
    answer = desk.ask("GET", ME, "", headers={"Authorization": header.encode("latin1")})

    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_the_scheme_is_case_blind(desk: Desk, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {desk.agent.token}"}

    assert desk.ask("GET", ME, "", headers=headers).status_code == 200


def by_hash(name: str, key: str = KEY) -> Callable[[bytes], bytes]:
    """Give what signs with a secret."""
    return lambda said: hmac.digest(key.encode(), said, name)


HS256 = by_hash("sha256")


def forged(
    desk: Desk,
    algorithm: str = "HS256",
    sign: Callable[[bytes], bytes] = HS256,
    **changed: Any,
) -> str:
    """Give a good token of the agent's with some claims changed or, where None, left out."""
    token = desk.agent.token
    claims = jwt.decode(token, options={"verify_signature": False}) | changed
    claims = {name: value for name, value in claims.items() if value is not None}
    header = jwt.get_unverified_header(token) | {"alg": algorithm}
    said = b".".join(base64url_encode(ascii_json(part)) for part in (header, claims))
    return b".".join([said, base64url_encode(sign(said))]).decode()


@pytest.mark.parametrize(
    "changed",
    [
        *({"sub": sub} for sub in (None, 1, "", "x", "0", "-1", str(2**63), "424242", ["1"])),
        *({"sid": sid} for sid in (None, "x", 0, 424242)),
        *({"exp": 1}, {"exp": "x"}, {"nbf": 2**33}, {"iat": 2**33}, {"type": "refresh"}),
    ],
    ids=str,
)
def test_a_token_with_other_claims(desk: Desk, changed: Any) -> None:
    assert ask_with(desk, forged(desk, **changed)) == 401


@pytest.mark.parametrize(
    ("algorithm", "sign", "status"),
    [
        ("HS256", HS256, 200),
        ("HS256", by_hash("sha256", "another key of at least 32 bytes"), 401),
        ("HS256", by_hash("sha384"), 401),
        ("HS384", by_hash("sha384"), 401),
        ("HS512", by_hash("sha512"), 401),
        *((none, lambda _: b"", 401) for none in ("none", "None", "nOnE", "")),
    ],
)
def test_a_token_with_another_algorithm(
    desk: Desk, algorithm: str, sign: Callable[[bytes], bytes], status: int
) -> None:
    assert ask_with(desk, forged(desk, algorithm, sign)) == status


def test_a_token_that_is_signed_by_a_key_pair(desk: Desk, tmp_path: Path) -> None:
    def openssl(*words: str, said: bytes = b"") -> bytes:
        run = ["openssl", *words]
        return subprocess.run(run, input=said, check=True, capture_output=True, cwd=tmp_path).stdout

    def by_pair(said: bytes) -> bytes:
        return openssl("dgst", "-sha256", "-sign", "key.pem", said=said)

    def in_64_bytes(der: bytes) -> bytes:
        second = 4 + der[3]
        numbers = der[4:second], der[second + 2 :]
        return b"".join(number[-32:].rjust(32, b"\0") for number in numbers)

    openssl("genpkey", "-algorithm", "RSA", "-out", "key.pem")
    public = openssl("pkey", "-in", "key.pem", "-pubout").decode()
    tokens = [forged(desk, "RS256", by_pair), forged(desk, "HS256", by_hash("sha256", public))]
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem")
    tokens.append(forged(desk, "ES256", lambda said: in_64_bytes(by_pair(said))))

    assert [ask_with(desk, token) for token in tokens] == [401] * 3


@pytest.mark.parametrize("part", range(3))
def test_a_token_with_one_bit_flipped(desk: Desk, part: int) -> None:
    parts = desk.agent.token.split(".")
    middle = len(parts[part]) // 2
    flipped = chr(ord(parts[part][middle]) ^ 1)
    parts[part] = parts[part][:middle] + flipped + parts[part][middle + 1 :]

    assert ask_with(desk, ".".join(parts)) == 401


def test_a_token_anywhere_else_is_none(desk: Desk) -> None:
    token = desk.agent.token

    answers = [
        desk.ask("GET", f"/api/summary?access_token={token}", ""),
        desk.ask("GET", "/api/summary", "", cookies={"access_token_cookie": token}),
        desk.ask("POST", "/api/tickets", "", json={"access_token": token}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


def test_a_token_ends_on_every_worker_with_its_user(desk: Desk) -> None:
    token, path = desk.agent.token, f"/api/users/{desk.agent.user.user_id}"
    assert ask_with(desk, token) == 200

    desk.ask("PATCH", path, "admin", json={"active": False})

    assert set(at_once(10, lambda _: ask_with(desk, token))) == {401}


def test_a_new_password_ends_older_tokens_and_none_of_the_same_second(desk: Desk) -> None:
    older, path = desk.agent.token, f"/api/users/{desk.agent.user.user_id}"

    desk.ask("PATCH", path, "admin", json={"password": NEW})
    newer = log_in(desk, password=NEW).json()["access_token"]

    assert (ask_with(desk, older), ask_with(desk, newer)) == (401, 200)
    assert log_in(desk).status_code == 401


def test_a_role_that_is_lost_is_lost_at_once(desk: Desk) -> None:
    other = Caller(desk.admin.app, make_user("admin2", role="admin"))
    body = {"full_name": "New", "username": "new", "password": NEW}

    desk.ask("PATCH", f"/api/users/{other.user.user_id}", "admin", json={"role": "empleado"})

    answer = desk.ask("POST", "/api/users", "", json=body, headers=other.headers)
    assert answer.status_code == 403
