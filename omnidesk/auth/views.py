"""Logins, sessions and API tokens over HTTP."""

from typing import Any

from flask import Response, request, url_for
from sqlalchemy import Select

from omnidesk.api import Blueprint, PageQuery, current_user
from omnidesk.api.answers import LOCATION
from omnidesk.api.errors import failure
from omnidesk.api.limits import Attempts
from omnidesk.auth import tokens
from omnidesk.auth.models import ApiToken, Session
from omnidesk.auth.schemas import (
    AccessSchema,
    Login,
    NewTokenSchema,
    PasswordChange,
    SessionSchema,
    TokenCreate,
    TokenSchema,
)
from omnidesk.db import Refused, db
from omnidesk.users.models import User

blp = Blueprint("auth", description="Sessions, and tokens for integrations")


@blp.after_request
def keep_nothing(answer: Response) -> Response:
    """Let no cache keep what is answered here."""
    answer.headers["Cache-Control"] = "no-store"
    return answer


def begin(user: User) -> dict[str, Any]:
    """Give the answer to a login that is good."""
    agent = request.user_agent.string.encode("ascii", "replace").decode()[:200] or None
    session = Session.begin(user.user_id, tokens.lifetime(), request.remote_addr, agent)
    db.session.commit()
    return tokens.issue(user, session)


@blp.post("/login")
@blp.public
@blp.arguments(Login)
@blp.response(200, AccessSchema)
@blp.alt_response(401, "UNAUTHORIZED")
def login(credentials: dict[str, Any]) -> dict[str, Any]:
    """Exchange a user name and password for an access token"""
    attempts = Attempts(credentials["username"].lower())
    user = User.log_in(**credentials)
    if user is None:
        attempts.fail()
        raise failure(401)
    return begin(user)


@blp.post("/logout")
@blp.response(204)
def logout() -> Response:
    """End the session of this token"""
    Session.end(current_user.session_id, current_user.user_id)
    db.session.commit()
    return Response(status=204)


@blp.post("/token/refresh")
@blp.response(200, AccessSchema)
def refresh_token() -> dict[str, Any]:
    """Exchange an access token for a new one, up to 12 hours after the login"""
    session = Session.renew(current_user.session_id, tokens.lifetime())
    if session is None:
        raise failure(401)
    db.session.commit()
    return tokens.issue(db.session.get_one(User, session.user_id), session)


@blp.post("/me/password")
@blp.arguments(PasswordChange)
@blp.response(200, AccessSchema)
def change_password(data: dict[str, Any]) -> dict[str, Any]:
    """Change your own password: all your sessions end, and a new one begins"""
    attempts = Attempts(f"user {current_user.user_id}")  # a blank is in no user name
    user = User.known(current_user.user_id, data["old_password"])
    if user is None:
        attempts.fail()
        raise Refused("old_password", "This is not your password.")
    user.change(password=data["password"])
    return begin(user)


@blp.get("/me/sessions")
@blp.arguments(PageQuery, location="query")
@blp.page(SessionSchema)
def list_sessions(filters: dict[str, Any]) -> Select[Any]:
    """List your sessions that still have a token"""
    return Session.of(current_user.user_id, **filters)


@blp.delete("/me/sessions/<id:session_id>")
@blp.response(204)
def end_session(session_id: int) -> Response:
    """End one of your sessions"""
    if not Session.end(session_id, current_user.user_id):
        raise failure(404)
    db.session.commit()
    return Response(status=204)


@blp.post("/tokens")
@blp.arguments(TokenCreate)
@blp.response(201, NewTokenSchema, headers=LOCATION)
def create_token(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Make an API token; its text is shown this once"""
    row, token = ApiToken.issue(current_user.user_id, **data)
    db.session.commit()
    address = url_for("auth.get_token", token_id=row.token_id)
    return {**vars(row), "token": token}, {"Location": address}


@blp.get("/tokens")
@blp.arguments(PageQuery, location="query")
@blp.page(TokenSchema)
def list_tokens(filters: dict[str, Any]) -> Select[Any]:
    """List your API tokens; as an admin, everybody's"""
    return ApiToken.visible(current_user.user_id, current_user.role, **filters)


@blp.get("/tokens/<id:token_id>")
@blp.item(TokenSchema)
def get_token(token_id: int) -> Select[Any]:
    """Show an API token of yours; as an admin, anybody's"""
    return ApiToken.visible(current_user.user_id, current_user.role, token_id=token_id)


@blp.delete("/tokens/<id:token_id>")
@blp.response(204)
def revoke_token(token_id: int) -> Response:
    """Revoke an API token of yours; as an admin, anybody's"""
    if not ApiToken.revoke(token_id, current_user.user_id, current_user.role):
        raise failure(404)
    db.session.commit()
    return Response(status=204)
