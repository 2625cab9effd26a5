"""Logins, sessions and tokens as JSON."""

from typing import Any

from marshmallow import fields
from marshmallow.validate import Length, OneOf

from omnidesk.auth.models import SCOPES, ApiToken, UserSession
from omnidesk.http import ResponseSchema, Schema, current_user
from omnidesk.http.fields import (
    ANY_TEXT,
    BooleanField,
    IdField,
    JsonField,
    TextField,
    TimeField,
)
from omnidesk.users.schemas import NewPassword, UserSchema

MAX_CREDENTIAL = 1024  # code points
SCOPE_LIST = {"type": "array", "items": {"type": "string", "enum": SCOPES}}


class Login(Schema):
    """A user's name and password."""

    username = TextField(
        pattern=ANY_TEXT, max_length=MAX_CREDENTIAL, required=True, example="user1"
    )
    password = TextField(
        pattern=ANY_TEXT, max_length=MAX_CREDENTIAL, required=True, example="secret"
    )


class PasswordChange(NewPassword):
    """A new password, and the one that it replaces."""

    old_password = TextField(
        pattern=ANY_TEXT, max_length=MAX_CREDENTIAL, required=True, example="secret"
    )


class LoginUser(UserSchema):
    """The user in the response to a login."""

    class Meta:
        """The contract's order."""

        fields = ("user_id", "username", "full_name", "email", "role", "active")


class AccessSchema(ResponseSchema):
    """An access token and its user."""

    access_token = fields.String(metadata={"example": "<jwt.token.here>"})
    token_type = fields.String(metadata={"example": "bearer"})
    expires_in = fields.Integer(metadata={"example": 3600, "description": "Seconds"})
    user = fields.Nested(LoginUser, metadata={"example": LoginUser.example()})


class CurrentSession(BooleanField):
    """Whether a session is the one of the request's own token."""

    def serialize(self, attr: str, obj: UserSession, *_: Any, **__: Any) -> bool:
        """Return whether it is."""
        return bool(obj.session_id == current_user.session_id)


class SessionSchema(ResponseSchema):
    """A session that has a valid token."""

    session_id = IdField(example=1)
    created_at = TimeField(example="2025-10-29T08:00:00Z")
    expires_at = TimeField(example="2025-10-29T09:00:00Z")
    address = TextField(UserSession.address, pattern=ANY_TEXT, min_length=0, example="203.0.113.7")
    user_agent = TextField(
        UserSession.user_agent, pattern=ANY_TEXT, min_length=0, example="Mozilla/5.0"
    )
    current = CurrentSession(example=True)


class TokenCreate(Schema):
    """A new API token for an integration or a bot."""

    name = TextField(ApiToken.name, required=True, example="WhatsApp relay")
    scopes = fields.List(
        fields.String(validate=OneOf(SCOPES)),
        required=True,
        validate=Length(min=1, max=len(SCOPES)),
        metadata={"example": ["messages:write", "messages:relay"]},
    )
    expires_at = TimeField(allow_none=True, load_default=None, example=None)


class TokenSchema(ResponseSchema):
    """An API token, without its text."""

    token_id = IdField(example=1)
    user_id = IdField(example=2)
    name = TextField(ApiToken.name, example="WhatsApp relay")
    scopes = JsonField(metadata=SCOPE_LIST, example=["messages:write", "messages:relay"])
    created_at = TimeField(example="2025-10-29T08:00:00Z")
    expires_at = TimeField(allow_none=True, example=None)
    last_used_at = TimeField(allow_none=True, example=None)


class NewTokenSchema(TokenSchema):
    """A new API token with its text, which is shown only once."""

    token = fields.String(metadata={"example": "odk_<token>"})
