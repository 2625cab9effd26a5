"""Access tokens: JWTs (RFC 7519) that stop working when their user's rights do."""

import re
from functools import lru_cache
from hmac import compare_digest
from time import time
from typing import Any, NamedTuple

from flask import current_app
from flask_jwt_extended import JWTManager, create_access_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError
from sqlalchemy import bindparam, select

from omnidesk.prepared import Prepared
from omnidesk.users.models import User, credentials_mark

jwt = JWTManager()


class Bearer(NamedTuple):
    """The user whose token came with a request."""

    user_id: int
    role: str


HOLDER = Prepared(
    select(User.role, User.password_hash).where(User.user_id == bindparam("user_id"), User.active)
)


def issue(user: User) -> dict[str, Any]:
    """Give the answer to a login: a token, how long it lives in seconds, and whose it is."""
    lifetime = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    claims = {"credentials": credentials_mark(user.password_hash)}
    return {
        "access_token": create_access_token(str(user.user_id), additional_claims=claims),
        "token_type": "bearer",
        "expires_in": int(lifetime.total_seconds()),
        "user": user,
    }


@lru_cache(maxsize=1024)
def verified(token: str, _key: str) -> dict[str, Any]:
    """Give what a token claims; raises PyJWTError and others unless this key signed it.

    A signature that was right stays right: only the times in a token, and its user, may change.
    """
    return decode_token(token)


def bearer(token: str) -> Bearer | None:
    """Give the user whom a token names, as the database knows them now; None to refuse it."""
    try:
        claims = verified(token, current_app.config["JWT_SECRET_KEY"])
    except (JWTExtendedException, PyJWTError, RecursionError, ValueError):
        return None
    begins = max(int(claims.get(name, 0)) for name in ("iat", "nbf"))
    if claims["type"] != "access" or not begins <= time() < int(claims.get("exp", 0)):
        return None
    if not re.fullmatch("[1-9][0-9]{0,8}", claims["sub"]):
        return None
    user_id, mark = int(claims["sub"]), str(claims.get("credentials"))
    for role, password_hash in HOLDER(user_id=user_id):
        if compare_digest(mark.encode(), credentials_mark(password_hash).encode()):
            return Bearer(user_id, role)
    return None
