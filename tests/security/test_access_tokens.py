"""Access tokens: any fault is 401, and a token stops working as soon as its session ends."""

import hmac
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from jwt.utils import base64url_encode

from tests.conftest import KEY, Caller, make_user
from tests.security.conftest import Desk, ascii_json
from tests.servers import run_concurrently

ME = "/api/me"
UNAUTHORIZED = {"detail": "Unauthorized"}
NEW = "another correct horse"


@pytest.mark.parametrize(
    "header",
    [
        *("", "Bearer", "Bearer ", "Basic YTpi", "Token x", "Bearer a.b.c", "Bearer x y"),
        *("Bearer a.b.c, Bearer d.e.f", "Bearer ñandú", "Bearer \xff", f"Bearer {'x' * 5000}"),
    ],
)
def test_an_authorization_header_without_a_token_is_401(desk: Desk, header: str) -> None:
    answer = desk.ask("GET", ME, "", headers={"Authorization": header.encode("latin1")})

    assert (answer.status_code, answer.json()) == (401, UNAUTHORIZED)
    has_token = header.startswith("Bearer ") and header != "Bearer "
    told = 'Bearer error="invalid_token"' if has_token else "Bearer"
    assert answer.headers["WWW-Authenticate"] == told


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer ", "Bearer   "])
def test_the_scheme_is_in_any_case_and_has_spaces_after_it(desk: Desk, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {desk.agent.token}"}

    assert desk.ask("GET", ME, "", headers=headers).status_code == 200


def by_hash(name: str, key: str = KEY) -> Callable[[bytes], bytes]:
    """Return a function that signs with a secret."""
    return lambda said: hmac.digest(key.encode(), said, name)


HS256 = by_hash("sha256")


def forged(
    desk: Desk,
    algorithm: str = "HS256",
    sign: Callable[[bytes], bytes] = HS256,
    **changed: Any,
) -> str:
    """Return a good token of the agent's with some claims changed or, where None, left out."""
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
    assert desk.status_of(forged(desk, **changed)) == 401


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
    assert desk.status_of(forged(desk, algorithm, sign)) == status


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

    assert [desk.status_of(token) for token in tokens] == [401] * 3


@pytest.mark.parametrize("part", range(3))
def test_a_token_with_one_bit_flipped(desk: Desk, part: int) -> None:
    parts = desk.agent.token.split(".")
    middle = len(parts[part]) // 2
    flipped = chr(ord(parts[part][middle]) ^ 1)
    parts[part] = parts[part][:middle] + flipped + parts[part][middle + 1 :]

    assert desk.status_of(".".join(parts)) == 401


def test_a_token_outside_the_authorization_header_is_ignored(desk: Desk) -> None:
    token = desk.agent.token

    answers = [
        desk.ask("GET", f"/api/summary?access_token={token}", ""),
        desk.ask("GET", "/api/summary", "", cookies={"access_token_cookie": token}),
        desk.ask("POST", "/api/tickets", "", json={"access_token": token}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


def test_a_token_ends_on_every_worker_with_its_user(desk: Desk) -> None:
    token, path = desk.agent.token, f"/api/users/{desk.agent.user.user_id}"
    assert desk.status_of(token) == 200

    desk.ask("PATCH", path, "admin", json={"active": False})

    assert set(run_concurrently(10, lambda _: desk.status_of(token))) == {401}


def test_a_new_password_ends_older_tokens_and_none_of_the_same_second(desk: Desk) -> None:
    older, path = desk.agent.token, f"/api/users/{desk.agent.user.user_id}"

    desk.ask("PATCH", path, "admin", json={"password": NEW})
    newer = desk.log_in(password=NEW).json()["access_token"]

    assert (desk.status_of(older), desk.status_of(newer)) == (401, 200)
    assert desk.log_in().status_code == 401


def test_a_role_that_is_lost_is_lost_at_once(desk: Desk) -> None:
    other = Caller(desk.admin.app, make_user("admin2", role="admin"))
    body = {"full_name": "New", "username": "new", "password": NEW}

    desk.ask("PATCH", f"/api/users/{other.user.user_id}", "admin", json={"role": "empleado"})

    answer = desk.ask("POST", "/api/users", "", json=body, headers=other.headers)
    assert answer.status_code == 403
