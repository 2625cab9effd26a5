"""The routes of logins, sessions and API tokens."""

from functools import wraps
from typing import Any

from flask import Response, request

from omnidesk.auth import tokens
from omnidesk.auth.attempts import login_attempt, password_attempt
from omnidesk.auth.models import ADMIN_SCOPES, ApiToken, UserSession
from omnidesk.auth.schemas import (
    MAX_LOGIN,
    AccessSchema,
    Login,
    NewTokenSchema,
    PasswordChange,
    SessionSchema,
    TokenCreate,
    TokenSchema,
)
from omnidesk.db import RuleViolation, db, utcnow
from omnidesk.http import Blueprint, PageQuery, PreparedSelect, current_user
from omnidesk.http.blueprint import authenticate
from omnidesk.http.errors import http_error, invalid_token
from omnidesk.http.rate_limits.attempts import Attempt
from omnidesk.users import logins
from omnidesk.users.models import User

blp = Blueprint("auth", description="Logins, and tokens for integrations")
# The last of all: a client that calls every operation in turn keeps its token until then.
sessions_blp = Blueprint("sessions", description="Your own sessions, and their ends")


@blp.after_request
@sessions_blp.after_request
def forbid_caching(response: Response) -> Response:
    """Let no cache store these responses."""
    response.headers["Cache-Control"] = "no-store"
    return response


def log_in(user: User) -> dict[str, Any]:
    """Begin a session of the user and commit; return the body of the response."""
    agent = request.user_agent.string.encode("ascii", "replace").decode()[:200] or None
    lifetime = tokens.access_token_lifetime()
    session = UserSession.new(user.user_id, lifetime, request.remote_addr, agent)
    db.session.commit()
    return tokens.access_token(user, session)


def verified_caller(attempt: Attempt, **password: str) -> User:
    """Return the caller's user, locked; raise RuleViolation unless the password is theirs.

    Raises 401 where the session has ended meanwhile: their user was deactivated, say.
    """
    ((field, text),) = password.items()
    user = logins.verified(current_user.user_id, text)
    if user is None:
        authenticate(request.environ["HTTP_AUTHORIZATION"])
        attempt.failed = True
        raise RuleViolation(field, "This is not your password.")
    return user


def refuse_scopes_of_others(scopes: list[str]) -> None:
    """Raise 403 for a scope that allows what the caller may not do."""
    if current_user.role != "admin" and not ADMIN_SCOPES.isdisjoint(scopes):
        raise http_error(403)


def proves_password(view: Any) -> Any:
    """Check the caller's `password` in the body before the view is called without it.

    The user is locked until the view commits: a new password, or a deactivation, comes before or
    after all that it does.
    """

    @wraps(view)
    def call(data: dict[str, Any]) -> Any:
        with password_attempt() as attempt:
            verified_caller(attempt, password=data.pop("password"))
            return view(data)

    return call


def own_or_any() -> dict[str, int]:
    """Return the filter of the tokens that the caller may see: as an admin, everybody's."""
    return {} if current_user.role == "admin" else {"user_id": current_user.user_id}


@blp.post("/login")
@blp.public
@blp.arguments(Login, max_bytes=MAX_LOGIN)
@blp.response(200, AccessSchema)
@blp.alt_response(401, "UNAUTHORIZED")
def login(credentials: dict[str, Any]) -> dict[str, Any]:
    """Exchange a user name and password for an access token"""
    with login_attempt(credentials["username"]) as attempt:
        user = logins.log_in(**credentials)
        if user is None:
            attempt.failed = True
            raise http_error(401)
        return log_in(user)


@blp.post("/token/refresh")
@blp.response(200, AccessSchema)
def refresh_token() -> dict[str, Any]:
    """Exchange an access token for a new one, up to 12 hours after the login"""
    session = UserSession.renew(current_user.session_id, tokens.access_token_lifetime())
    if session is None:
        raise invalid_token("expired")
    db.session.commit()
    return tokens.access_token(db.session.get_one(User, session.user_id), session)


@blp.post("/tokens")
@blp.arguments(TokenCreate)
@proves_password
@blp.created(NewTokenSchema, "get_token", shown_once="token")
def create_token(data: dict[str, Any]) -> ApiToken:
    """Make an API token, with your password; its text is shown this once"""
    refuse_scopes_of_others(data["scopes"])
    return ApiToken.new(current_user.user_id, **data)


@blp.get("/tokens")
@blp.arguments(PageQuery, location="query")
@blp.page(TokenSchema)
def list_tokens(_filters: dict[str, Any]) -> PreparedSelect:
    """List your API tokens; as an admin, everybody's"""
    return PreparedSelect(ApiToken.matching, own_or_any())


@blp.get("/tokens/<id:token_id>")
@blp.item(TokenSchema)
def get_token(token_id: int) -> PreparedSelect:
    """Show an API token of yours; as an admin, anybody's"""
    return PreparedSelect(ApiToken.matching, {"token_id": token_id, **own_or_any()})


@blp.delete("/tokens/<id:token_id>")
@blp.response(204)
def revoke_token(token_id: int) -> Response:
    """Revoke an API token of yours; as an admin, anybody's"""
    if not ApiToken.revoke(token_id, **own_or_any()):
        raise http_error(404)
    db.session.commit()
    return Response(status=204)


@sessions_blp.get("/me/sessions")
@sessions_blp.arguments(PageQuery, location="query")
@sessions_blp.page(SessionSchema)
def list_sessions(_filters: dict[str, Any]) -> PreparedSelect:
    """List your sessions that still have a token"""
    return PreparedSelect(UserSession.unexpired, {"user_id": current_user.user_id, "now": utcnow()})


@sessions_blp.delete("/me/sessions/<id(example=2):session_id>")
@sessions_blp.response(204)
def end_session(session_id: int) -> Response:
    """End one of your sessions"""
    if not UserSession.end(session_id, current_user.user_id):
        raise http_error(404)
    db.session.commit()
    return Response(status=204)


@sessions_blp.post("/me/password")
@sessions_blp.arguments(PasswordChange)
@sessions_blp.response(200, AccessSchema)
def change_password(data: dict[str, Any]) -> dict[str, Any]:
    """Change your own password: all your sessions end, and a new one begins"""
    with password_attempt() as attempt:
        user = verified_caller(attempt, old_password=data["old_password"])
        user.change(password_hash=data["password_hash"])
        return log_in(user)


@sessions_blp.post("/logout")
@sessions_blp.response(204)
def logout() -> Response:
    """End the session of this token"""
    UserSession.end(current_user.session_id, current_user.user_id)
    db.session.commit()
    return Response(status=204)
