"""Access tokens, JWTs (RFC 7519) that name a session, and API tokens: whose they are."""

import hashlib
import re
import secrets
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from time import time
from typing import Any, NamedTuple

import jwt
import orjson
from flask import current_app
from flask_jwt_extended import JWTManager, create_access_token
from jwt.exceptions import PyJWTError
from sqlalchemy import bindparam, false, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from config import Production
from omnidesk.auth.models import (
    ADMIN_SCOPES,
    READ_SCOPES,
    TOKEN_PREFIX,
    ApiToken,
    UserSession,
    digest,
)
from omnidesk.db import MAX_ID, utcnow
from omnidesk.db.statements import Statement
from omnidesk.http.errors import invalid_token
from omnidesk.users.models import User

MAX_CLOCK_SKEW = 60  # seconds that a clock may be set back after a token was issued
USE_RESOLUTION = timedelta(minutes=1)  # how often the last use of an API token is stored
ALGORITHM = "HS256"
ID = re.compile("[1-9][0-9]{0,9}")
manager = JWTManager()


class AuthenticatedUser(NamedTuple):
    """The user whose token a request has, and what kind of token it is."""

    user_id: int
    role: str
    session_id: int | None = None
    token_id: int | None = None
    scopes: frozenset[str] | None = None  # of an API token; a session may do all its user may

    @property
    def rate_limit_key(self) -> str:
        """Return what the token's requests are counted by."""
        return f"token:{self.token_id}" if self.token_id else f"session:{self.session_id}"

    def may_read(self, entity: str) -> bool:
        """Return whether rows of an entity may be read, in the change log as elsewhere."""
        if entity == "user" and self.role != "admin":
            return False
        return self.scopes is None or READ_SCOPES[entity] in self.scopes

    @property
    def may_relay(self) -> bool:
        """Return whether messages of clients and bots may be posted."""
        return self.role == "admin" if self.scopes is None else "messages:relay" in self.scopes


SESSION_USER = Statement(
    select(User.role)
    .join(UserSession, UserSession.user_id == User.user_id)
    .where(UserSession.session_id == bindparam("session_id"))
    .where(User.user_id == bindparam("user_id"), User.active)
)
TOKEN_USER = Statement(
    select(
        ApiToken.token_id,
        User.user_id,
        User.role,
        ApiToken.scopes,
        func.coalesce(ApiToken.expires_at <= bindparam("now"), false()),
        or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < bindparam("stale")),
    )
    .join(User, User.user_id == ApiToken.user_id)
    .where(ApiToken.digest == bindparam("digest"), User.active)
)


def access_token_lifetime() -> timedelta:
    """Return how long an access token is valid."""
    lifetime: timedelta = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return lifetime


def access_token(user: User, session: UserSession) -> dict[str, Any]:
    """Return the body of the response to a login: the token, its seconds, and its user."""
    claims = {"sid": session.session_id}
    return {
        "access_token": create_access_token(str(user.user_id), additional_claims=claims),
        "token_type": "bearer",
        "expires_in": int(access_token_lifetime().total_seconds()),
        "user": user,
    }


def key_id(key: str) -> str:
    """Return the `kid` of a signing key: a part of its digest."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


@manager.additional_headers_loader
def key_header(_: object) -> dict[str, str]:
    """Return the header that names the key which signs a token (RFC 7515, section 4.1.4)."""
    return {"kid": key_id(current_app.config["JWT_SECRET_KEY"])}


@lru_cache(maxsize=1024)
def decode(token: str, *keys: str | None) -> dict[str, Any]:
    """Return the claims of a token that we issued (RFC 8725); raise PyJWTError for any other.

    A valid signature stays valid. Times are not checked: they are not the same at each request.
    """
    header = jwt.get_unverified_header(token)
    signers = [key for key in keys if key and key_id(key) == header.get("kid")]
    key = signers[0] if signers and header.get("typ") == "JWT" else secrets.token_hex()
    unchecked: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        options=unchecked,
        issuer=Production.JWT_ENCODE_ISSUER,
        audience=Production.JWT_ENCODE_AUDIENCE,
    )
    return claims


def authenticate(token: str) -> AuthenticatedUser:
    """Return the user of a token as the database knows them now; raise 401 for any other."""
    return user_of_api_token(token) if token.startswith(TOKEN_PREFIX) else user_of_session(token)


def user_of_session(token: str) -> AuthenticatedUser:
    """Return the user of a session's access token; raise 401."""
    config = current_app.config
    try:
        claims = decode(token, config["JWT_SECRET_KEY"], config["SECRET_KEY_PREVIOUS"])
    except (PyJWTError, RecursionError, ValueError):
        raise invalid_token() from None
    ids = str(claims.get("sid")), str(claims.get("sub"))
    if claims.get("type") != "access" or not all(map(is_id, ids)):
        raise invalid_token()
    check_times(claims, time())
    session_id, user_id = map(int, ids)
    for (role,) in SESSION_USER.fetch(session_id=session_id, user_id=user_id):
        return AuthenticatedUser(user_id, role, session_id=session_id)
    raise invalid_token()


def is_id(text: str) -> bool:
    """Return whether a text is an id that a row can have."""
    return ID.fullmatch(text) is not None and int(text) <= MAX_ID


def check_times(claims: dict[str, Any], now: float) -> None:
    """Raise 401 for a token that is not valid now, in seconds since 1970 (RFC 7519, section 4.1).

    It may have been issued a little later, by a clock that was set back since or another server's.
    """
    times: list[Any] = [claims.get(name) for name in ("iat", "nbf", "exp")]
    if not all(type(value) is int for value in times):
        raise invalid_token()
    issued_at, not_before, expires_at = times
    if now >= expires_at:
        raise invalid_token("expired")
    if max(issued_at, not_before) > now + MAX_CLOCK_SKEW:
        raise invalid_token()


def user_of_api_token(token: str) -> AuthenticatedUser:
    """Return the user of an API token, noting its use if the database can be written; or 401."""
    now = utcnow()
    for row in TOKEN_USER.fetch(digest=digest(token), now=now, stale=now - USE_RESOLUTION):
        token_id, user_id, role, scopes, expired, stale = row
        if expired:
            raise invalid_token("expired")
        if stale:
            with suppress(SQLAlchemyError):
                ApiToken.record_use(token_id)
        scopes = frozenset(orjson.loads(scopes))
        if role != "admin":
            scopes -= ADMIN_SCOPES  # which an admin gave out who is none any more
        return AuthenticatedUser(user_id, role, token_id=token_id, scopes=scopes)
    raise invalid_token()
