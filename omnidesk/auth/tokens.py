"""Access tokens: JWTs (RFC 7519) that stop working when their user's rights do."""

import re
from hmac import compare_digest
from typing import Any

from flask import current_app
from flask_jwt_extended import JWTManager, create_access_token
from sqlalchemy import Row, bindparam, select

from omnidesk.db import read
from omnidesk.users.models import User, credentials_mark

jwt = JWTManager()
BEARER = select(User.__table__).where(User.user_id == bindparam("user_id"))


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


@jwt.user_lookup_loader
def bearer(_header: dict[str, Any], claims: dict[str, Any]) -> Row[Any] | None:
    """Give the user whom a token names, as the database knows them now; None to refuse it."""
    if not re.fullmatch("[1-9][0-9]{0,8}", claims["sub"]):
        return None
    found = read(BEARER, user_id=int(claims["sub"]))
    if not found or not found[0].active:
        return None
    mark, now = str(claims.get("credentials")), credentials_mark(found[0].password_hash)
    return found[0] if compare_digest(mark.encode(), now.encode()) else None
