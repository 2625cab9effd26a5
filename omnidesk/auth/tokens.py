"""Access tokens: JWTs (RFC 7519) of sessions, and API tokens, which may less than their users."""

import hashlib
import re
import secrets
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache
from time import time
from typing import Any, NamedTuple

import orjson
from flask import current_app
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError
from sqlalchemy import bindparam, or_, select
from sqlalchemy.exc import SQLAlchemyError

from omnidesk.auth.models import PREFIX, ApiToken, Session, digest
from omnidesk.db import utcnow
from omnidesk.prepared import Prepared
from omnidesk.users.models import User

jwt = JWTManager()
USED = timedelta(minutes=1)  # how exactly it is noted when an API token was used


class Bearer(NamedTuple):
    """The user whose token came with a request, and what the token is."""

    user_id: int
    role: str
    session_id: int | None = None
    token_id: int | None = None
    scopes: frozenset[str] | None = None  # of an API token; a session may do all its user may

    @property
    def token(self) -> str:
        """What requests are counted by."""
        return f"token:{self.token_id}" if self.token_id else f"session:{self.session_id}"

    @property
    def may_relay(self) -> bool:
        """Whether what they post may be said by clients and bots."""
        return self.role == "admin" if self.scopes is None else "messages:relay" in self.scopes


SESSION = Prepared(
    select(User.role)
    .join(Session, Session.user_id == User.user_id)
    .where(Session.session_id == bindparam("session_id"), User.user_id == bindparam("user_id"))
    .where(User.active)
)
API_TOKEN = Prepared(
    select(
        ApiToken.token_id,
        User.user_id,
        User.role,
        ApiToken.scopes,
        or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < bindparam("stale")),
    )
    .join(User, User.user_id == ApiToken.user_id)
    .where(ApiToken.digest == bindparam("digest"), User.active)
    .where(or_(ApiToken.expires_at.is_(None), ApiToken.expires_at > bindparam("now")))
)


def lifetime() -> timedelta:
    """Give how long an access token is good."""
    found: timedelta = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return found


def issue(user: User, session: Session) -> dict[str, Any]:
    """Give the answer to a login: a token, how long it lives in seconds, and whose it is."""
    claims = {"sid": session.session_id}
    return {
        "access_token": create_access_token(str(user.user_id), additional_claims=claims),
        "token_type": "bearer",
        "expires_in": int(lifetime().total_seconds()),
        "user": user,
    }


def key_id(key: str) -> str:
    """Give what a token says of the key that signed it."""
    return hashlib.sha256(key.encode()).hexdigest()[:8]


@jwt.additional_headers_loader
def name_the_key(_: object) -> dict[str, str]:
    """Say in each token which key signed it (RFC 7515, section 4.1.4)."""
    return {"kid": key_id(current_app.config["JWT_SECRET_KEY"])}


@jwt.decode_key_loader
def find_the_key(header: dict[str, Any], _: object) -> str:
    """Give the key that a token says it was signed with, the last one too; else nobody's key."""
    config = current_app.config
    keys = (config["JWT_SECRET_KEY"], config["SECRET_KEY_PREVIOUS"])
    named = [key for key in keys if key and key_id(key) == header.get("kid")]
    return named[0] if named else secrets.token_hex()


@lru_cache(maxsize=1024)
def verified(token: str, *_keys: str | None) -> dict[str, Any]:
    """Give what a token claims; raises PyJWTError and others unless one of these keys signed it.

    A signature that was right stays right: only the times in a token, and its user, may change.
    """
    return decode_token(token)


def bearer(token: str) -> Bearer | None:
    """Give the user whom a token names, as the database knows them now; None to refuse it."""
    return of_api_token(token) if token.startswith(PREFIX) else of_session(token)


def of_session(token: str) -> Bearer | None:
    """Give the user of a session's token."""
    config = current_app.config
    try:
        claims = verified(token, config["JWT_SECRET_KEY"], config["SECRET_KEY_PREVIOUS"])
    except (JWTExtendedException, PyJWTError, RecursionError, ValueError):
        return None
    begins = max(int(claims.get(name, 0)) for name in ("iat", "nbf"))
    if claims["type"] != "access" or not begins <= time() < int(claims.get("exp", 0)):
        return None
    numbers = str(claims.get("sid")), claims["sub"]
    if not all(re.fullmatch("[1-9][0-9]{0,8}", number) for number in numbers):
        return None
    session_id, user_id = map(int, numbers)
    for (role,) in SESSION(session_id=session_id, user_id=user_id):
        return Bearer(user_id, role, session_id=session_id)
    return None


def of_api_token(token: str) -> Bearer | None:
    """Give the user of an API token, and note that it is used, where that can be written."""
    now = utcnow()
    for row in API_TOKEN(digest=digest(token), now=now, stale=now - USED):
        token_id, user_id, role, scopes, stale = row
        if stale:
            with suppress(SQLAlchemyError):
                ApiToken.used(token_id)
        return Bearer(user_id, role, token_id=token_id, scopes=frozenset(orjson.loads(scopes)))
    return None
