"""Users on the wire; their password comes in and never goes out."""

from typing import Any

from marshmallow import ValidationError, validates

from omnidesk.api import Answer, PageQuery, Patch, Schema
from omnidesk.api.fields import ANY, EMAIL, USERNAME, Choice, Flag, FlagParam, Id, Text, Time
from omnidesk.users import passwords
from omnidesk.users.models import User


class UserQuery(PageQuery):
    """Which users to list."""

    active = FlagParam(example=True)
    role = Choice(User.role, example="empleado")


class UserFields(Schema):
    """What both a new user and a stored one have."""

    full_name = Text(User.full_name, required=True, example="New Agent")
    username = Text(User.username, pattern=USERNAME, shortest=3, required=True, example="newagent")
    email = Text(User.email, pattern=EMAIL, load_default=None, example="newagent@example.com")
    role = Choice(User.role, load_default="empleado", example="empleado")


class Password(Schema):
    """A password, which comes in and is stored as a hash only."""

    password = Text(
        pattern=ANY,
        shortest=passwords.SHORTEST,
        longest=passwords.LONGEST,
        required=True,
        example="ClearTextPassword!",
    )

    @validates("password")
    def refuse_the_commonest(self, password: str, **_: Any) -> None:
        """Refuse a password that everybody tries first."""
        if password.lower() in passwords.commonest():
            raise ValidationError("Too common: it is among the first that anybody tries.")


class UserCreate(UserFields, Password):
    """A new user."""


class UserPatch(Patch, Password):
    """What is to be another in a user."""

    full_name = Text(User.full_name, example="New Agent")
    email = Text(User.email, pattern=EMAIL, example="newagent@example.com")
    role = Choice(User.role, example="empleado")
    active = Flag(example=True)


class UserSchema(Answer, UserFields):
    """A user as everybody may see them."""

    user_id = Id(example=2)
    active = Flag(example=True)
    last_login_at = Time(allow_none=True, example="2025-10-29T08:00:00Z")
    password_changed_at = Time(allow_none=True, example="2025-10-01T08:00:00Z")

    class Meta:
        """The contract's order."""

        fields = (
            "user_id",
            "full_name",
            "username",
            "email",
            "role",
            "active",
            "last_login_at",
            "password_changed_at",
        )
