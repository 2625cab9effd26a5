"""Logins on the wire."""

from marshmallow import fields

from omnidesk.api import Answer, Schema
from omnidesk.api.fields import ANY, Text
from omnidesk.users.schemas import UserSchema

LONGEST = 1024


class Login(Schema):
    """Who somebody says they are."""

    username = Text(pattern=ANY, longest=LONGEST, required=True, example="user1")
    password = Text(pattern=ANY, longest=LONGEST, required=True, example="secret")


class LoginUser(UserSchema):
    """The user as a login shows them."""

    class Meta:
        """The contract's order."""

        fields = ("user_id", "username", "full_name", "email", "role", "active")


class SessionSchema(Answer):
    """An access token and its user."""

    access_token = fields.String(metadata={"example": "<jwt.token.here>"})
    token_type = fields.String(metadata={"example": "bearer"})
    expires_in = fields.Integer(metadata={"example": 3600, "description": "Seconds"})
    user = fields.Nested(LoginUser, metadata={"example": LoginUser.example()})
