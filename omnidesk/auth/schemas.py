"""Logins, sessions and tokens on the wire."""

from typing import Any

from marshmallow import fields
from marshmallow.validate import Length, OneOf

from omnidesk.api import Answer, Schema, current_user
from omnidesk.api.fields import ANY, Flag, Id, Json, Text, Time
from omnidesk.auth.models import SCOPES, ApiToken, Session
from omnidesk.users.schemas import Password, UserSchema

LONGEST = 1024
WORDS = {"type": "array", "items": {"type": "string", "enum": SCOPES}}


class Login(Schema):
    """Who somebody says they are."""

    username = Text(pattern=ANY, longest=LONGEST, required=True, example="user1")
    password = Text(pattern=ANY, longest=LONGEST, required=True, example="secret")


class PasswordChange(Password):
    """A new password, and the one that it replaces."""

    old_password = Text(pattern=ANY, longest=LONGEST, required=True, example="secret")


class LoginUser(UserSchema):
    """The user as a login shows them."""

    class Meta:
        """The contract's order."""

        fields = ("user_id", "username", "full_name", "email", "role", "active")


class AccessSchema(Answer):
    """An access token and its user."""

    access_token = fields.String(metadata={"example": "<jwt.token.here>"})
    token_type = fields.String(metadata={"example": "bearer"})
    expires_in = fields.Integer(metadata={"example": 3600, "description": "Seconds"})
    user = fields.Nested(LoginUser, metadata={"example": LoginUser.example()})


class Current(Flag):
    """Whether a session is the one whose token came with the request."""

    def serialize(self, attr: str, obj: Session, *_: Any, **__: Any) -> bool:
        """Compare it."""
        return bool(obj.session_id == current_user.session_id)


class SessionSchema(Answer):
    """What a login began, until its last token expires."""

    session_id = Id(example=1)
    created_at = Time(example="2025-10-29T08:00:00Z")
    expires_at = Time(example="2025-10-29T09:00:00Z")
    address = Text(Session.address, pattern=ANY, shortest=0, example="203.0.113.7")
    user_agent = Text(Session.user_agent, pattern=ANY, shortest=0, example="Mozilla/5.0")
    current = Current(example=True)


class TokenCreate(Schema):
    """A new token for an integration or a bot."""

    name = Text(ApiToken.name, required=True, example="WhatsApp relay")
    scopes = fields.List(
        fields.String(validate=OneOf(SCOPES)),
        required=True,
        validate=Length(min=1, max=len(SCOPES)),
        metadata={"example": ["messages:write", "messages:relay"]},
    )
    expires_at = Time(allow_none=True, load_default=None, example=None)


class TokenSchema(Answer):
    """An API token, of which only its owner ever had the text."""

    token_id = Id(example=1)
    user_id = Id(example=2)
    name = Text(ApiToken.name, example="WhatsApp relay")
    scopes = Json(metadata=WORDS, example=["messages:write", "messages:relay"])
    created_at = Time(example="2025-10-29T08:00:00Z")
    expires_at = Time(allow_none=True, example=None)
    last_used_at = Time(allow_none=True, example=None)


class NewTokenSchema(TokenSchema):
    """An API token with its text, which is shown this once."""

    token = fields.String(metadata={"example": "odk_<token>"})
