"""Access tokens: JWTs (RFC 7519) that stop working when their user's rights do."""

import re
from hmac import compare_digest
from typing import Any

from flask import current_app, request
from flask_jwt_extended import JWTManager, create_access_token

from omnidesk.db import SAFE_METHODS, db
from omnidesk.users.models import User

jwt = JWTManager()


def issue(user: User) -> dict[str, Any]:
    """Give the answer to a login: a token, how long it lives in seconds, and whose it is."""
    lifetime = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    claims = {"credentials": user.credentials_mark}
    return {
        "access_token": create_access_token(str(user.user_id), additional_claims=claims),
        "token_type": "bearer",
        "expires_in": int(lifetime.total_seconds()),
        "user": user,
    }


@jwt.user_lookup_loader
def bearer(_header: dict[str, Any], claims: dict[str, Any]) -> User | None:
    """Give the user whom a token names, as the database knows them now; None to refuse it."""
    if not re.fullmatch("[1-9][0-9]{0,8}", claims["sub"]):
        return None
    user = db.session.get(User, int(claims["sub"]))
    if request.method not in SAFE_METHODS:
        # The work begins in a transaction of its own: hashing must not hold a write lock.
        db.session.commit()
    if user is None or not user.active:
        return None
    mark = str(claims.get("credentials"))
    return user if compare_digest(mark.encode(), user.credentials_mark.encode()) else None
