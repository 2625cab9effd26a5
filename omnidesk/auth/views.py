"""Logging in over HTTP."""

from typing import Any

from omnidesk.api import Blueprint
from omnidesk.api.errors import failure
from omnidesk.auth import tokens
from omnidesk.auth.schemas import Login, SessionSchema
from omnidesk.db import db
from omnidesk.users.models import User

blp = Blueprint("auth", description="Getting an access token")


@blp.post("/login")
@blp.public
@blp.arguments(Login)
@blp.response(200, SessionSchema)
@blp.alt_response(401, "UNAUTHORIZED")
def login(credentials: dict[str, Any]) -> dict[str, Any]:
    """Exchange a user name and password for an access token"""
    user = User.log_in(**credentials)
    if user is None:
        raise failure(401)
    db.session.commit()
    return tokens.issue(user)
