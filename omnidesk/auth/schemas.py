"""Logins, sessions and tokens as JSON."""

from typing import Any

from marshmallow import fields
from sqlalchemy import Enum

from omnidesk.auth.models import SCOPES, ApiToken, UserSession
from omnidesk.http import ResponseSchema, Schema, current_user
from omnidesk.http.fields import (
    ANY_TEXT,
    BooleanField,
    EnumField,
    IdField,
    JsonField,
    ListField,
    TextField,
    TimeField,
)
from omnidesk.users.schemas import NewPassword, UserSchema

MAX_CREDENTIAL = 1024  # code points
MAX_LOGIN = 16 * 1024  # bytes of a body that anybody may send
SCOPE = Enum(*SCOPES, name="scope")
SCOPE_LIST = {"type": "array", "items": {"$ref": "#/components/schemas/Scope"}}


class CredentialField(TextField):
    """A user name or password that is compared with a stored one: any text of some length."""

    def __init__(self, description: str, example: str = "secret") -> None:
        super().__init__(
            pattern=ANY_TEXT,
            max_length=MAX_CREDENTIAL,
            required=True,
            example=example,
            description=description,
        )


class Login(Schema):
    """A user's name and password."""

    username = CredentialField("The user name, in any case", example="user1")
    password = CredentialField("The password")


class PasswordChange(NewPassword):
    """A new password, and the one that it replaces."""

    old_password = CredentialField("The current password")


class LoginUser(UserSchema):
    """The user in the response to a login."""

    class Meta:
        """The contract's order."""

        fields = ("user_id", "username", "full_name", "email", "role", "active")


class AccessSchema(ResponseSchema):
    """An access token and its user."""

    access_token = fields.String(
        metadata={
            "description": "Goes into the header `Authorization: Bearer <access_token>`",
            "example": "<jwt.token.here>",
        }
    )
    token_type = fields.String(metadata={"description": "Always `bearer`", "example": "bearer"})
    expires_in = fields.Integer(
        metadata={"description": "For how many seconds the token is valid", "example": 3600}
    )
    user = fields.Nested(
        LoginUser, metadata={"description": "Whose token it is", "example": LoginUser.example()}
    )


class CurrentSession(BooleanField):
    """Whether a session is the one of the request's own token."""

    def serialize(self, attr: str, obj: UserSession, *_: Any, **__: Any) -> bool:
        """Return whether it is."""
        return bool(obj.session_id == current_user.session_id)


class SessionSchema(ResponseSchema):
    """A session that has a valid token."""

    session_id = IdField(example=1, description="The id of the session")
    created_at = TimeField(example="2025-10-29T08:00:00Z", description="When the login was")
    expires_at = TimeField(
        example="2025-10-29T09:00:00Z", description="When the newest token of the session expires"
    )
    address = TextField(
        UserSession.address,
        pattern=ANY_TEXT,
        min_length=0,
        example="203.0.113.7",
        description="The network address of the login",
    )
    user_agent = TextField(
        UserSession.user_agent,
        pattern=ANY_TEXT,
        min_length=0,
        example="Mozilla/5.0",
        description="The browser or program of the login",
    )
    current = CurrentSession(
        example=True, description="Whether it is the session of the request itself"
    )


class TokenCreate(Schema):
    """A new API token for an integration or a bot, and the password of the user who makes it."""

    name = TextField(
        ApiToken.name, required=True, example="Ticket import", description="What the token is for"
    )
    scopes = ListField(
        EnumField(SCOPE),
        max_length=len(SCOPES),
        required=True,
        example=["tickets:read", "tickets:write"],
        description="What the token may do",
    )
    password = CredentialField("Your own password")
    expires_at = TimeField(
        allow_none=True,
        load_default=None,
        example=None,
        description="When the token expires; null for never",
    )


class TokenSchema(ResponseSchema):
    """An API token, without its text."""

    token_id = IdField(example=1, description="The id of the token")
    user_id = IdField(example=2, description="The user who made the token, and for whom it acts")
    name = TextField(ApiToken.name, example="Ticket import", description="What the token is for")
    scopes = JsonField(
        metadata=SCOPE_LIST,
        example=["tickets:read", "tickets:write"],
        description="What the token may do",
    )
    created_at = TimeField(example="2025-10-29T08:00:00Z", description="When the token was made")
    expires_at = TimeField(
        allow_none=True, example=None, description="When the token expires; null for never"
    )
    last_used_at = TimeField(
        allow_none=True,
        example=None,
        description="When the token was last used, to about a minute; null for never",
    )


class NewTokenSchema(TokenSchema):
    """A new API token with its text, which is shown only once."""

    token = fields.String(
        allow_none=True,
        metadata={
            "description": "The token itself; null in the answer to a request that is sent again",
            "example": "odk_<token>",
        },
    )
