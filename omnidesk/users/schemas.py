"""Users as JSON; a password comes in and never goes out."""

from typing import Any

from marshmallow import ValidationError, post_load, validates

from omnidesk.db.folding import nfc
from omnidesk.http import PageQuery, PatchSchema, ResponseSchema, RowEtag, Schema
from omnidesk.http.fields import (
    ANY_TEXT,
    USERNAME,
    BooleanField,
    EmailField,
    EnumField,
    IdField,
    TextField,
    TimeField,
)
from omnidesk.http.parameters import (
    BooleanParameter,
    EnumsParameter,
    IdsParameter,
    IncludeField,
    SearchField,
)
from omnidesk.users import passwords
from omnidesk.users.models import User

# A letter is composed of at most four: longer ones cannot become short enough.
MAX_DECOMPOSED = 4 * passwords.MAX_LENGTH


class UserFields(Schema):
    """What a new user and a stored one have in common."""

    full_name = TextField(
        User.full_name, required=True, example="New Agent", description="The full name"
    )
    username = TextField(
        User.username,
        pattern=USERNAME,
        form="letters from a to z, digits, and . _ -",
        min_length=3,
        required=True,
        example="newagent",
        description="The name to log in with; its case does not matter",
    )
    email = EmailField(
        User.email,
        load_default=None,
        example="newagent@example.com",
        description="The email address",
    )
    role = EnumField(
        User.role,
        load_default="empleado",
        example="empleado",
        description="What the user may do: everything, or the daily work",
    )


class PasswordField(TextField):
    """A new password, loaded in its composed form, whose length counts."""

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and len(value) <= MAX_DECOMPOSED:
            value = nfc(value)
        return super()._deserialize(value, *args, **kwargs)


class NewPassword(Schema):
    """A new password, which is loaded as its hash."""

    password = PasswordField(
        pattern=ANY_TEXT,
        min_length=passwords.MIN_LENGTH,
        max_length=passwords.MAX_LENGTH,
        required=True,
        example="ClearTextPassword!",
        description="The new password; the most common ones are refused",
    )

    @validates("password")
    def refuse_common(self, password: str, **_: Any) -> None:
        """Refuse one of the most common passwords."""
        if password.lower() in passwords.common_passwords():
            raise ValidationError("Too common: it is among the first that anybody tries.")

    @post_load
    def hash_password(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Replace the password by its hash: here no transaction has begun yet, so nobody waits."""
        if "password" in data:
            data["password_hash"] = passwords.hash_password(data.pop("password"))
        return data


class UserCreate(UserFields, NewPassword):
    """A new user."""


class UserPatch(PatchSchema, NewPassword):
    """The fields of a user that can be changed."""

    full_name = TextField(User.full_name, example="User One", description="The full name")
    email = EmailField(User.email, example="user@example.com", description="The email address")
    role = EnumField(
        User.role,
        example="empleado",
        description="What the user may do: everything, or the daily work",
    )
    active = BooleanField(example=True, description="Whether the user can log in")


class UserSchema(ResponseSchema, UserFields):
    """A user as everybody may see them."""

    user_id = IdField(example=2, description="The id of the user")
    active = BooleanField(example=True, description="Whether the user can log in")
    last_login_at = TimeField(
        allow_none=True,
        example="2025-10-29T08:00:00Z",
        description="When the user last logged in; null for never",
    )
    password_changed_at = TimeField(
        allow_none=True,
        example="2025-10-01T08:00:00Z",
        description="When the password was last changed; null for never",
    )

    class Meta:
        """The contract's order."""

        fields: tuple[str, ...] = (
            "user_id",
            "full_name",
            "username",
            "email",
            "role",
            "active",
            "last_login_at",
            "password_changed_at",
        )

    related = {"etag": RowEtag()}


class RelatedUser(UserSchema):
    """What other rows show of a user."""

    class Meta:
        """The order of the columns."""

        fields = ("user_id", "username", "full_name", "active")

    related = {}


class UserQuery(PageQuery):
    """The filters of users."""

    user_id = IdsParameter(description="Only these users, such as `1,2`")
    q = SearchField(max_length=255, description="Only users with these words, such as `new`")
    active = BooleanParameter(description="Only users who can log in, or only others")
    role = EnumsParameter(User.role, description="Only users with this role")
    include = IncludeField(UserSchema)
