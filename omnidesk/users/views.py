"""The routes of users."""

from typing import Any

from omnidesk.http import Blueprint, PreparedSelect, current_user
from omnidesk.http.errors import http_error
from omnidesk.users.models import User
from omnidesk.users.schemas import UserCreate, UserPatch, UserQuery, UserSchema

OWN_FIELDS = {"full_name", "email"}  # that users may change of themselves

blp = Blueprint("users", description="Members of staff")


@blp.get("/users")
@blp.arguments(UserQuery, location="query")
@blp.page(UserSchema)
def list_users(filters: dict[str, Any]) -> PreparedSelect:
    """List users"""
    return PreparedSelect(User.matching, filters)


@blp.post("/users")
@blp.admin_only
@blp.arguments(UserCreate)
@blp.created(UserSchema, "get_user")
@blp.alt_response(409, "CONFLICT")
def create_user(data: dict[str, Any]) -> User:
    """Create a user, as an admin"""
    return User.new(**data)


@blp.get("/users/<id(example=2):user_id>")
@blp.item(UserSchema)
def get_user(user_id: int) -> PreparedSelect:
    """Show a user"""
    return PreparedSelect(User.matching, {"user_id": user_id})


@blp.patch("/users/<id(example=2):user_id>")
@blp.arguments(UserPatch)
@blp.changed(User, UserSchema, owner="user_id")
@blp.alt_response(409, "CONFLICT")
def update_user(user: User, data: dict[str, Any]) -> None:
    """Change a user, as an admin; or your own name and email"""
    if current_user.role != "admin" and not data.keys() <= OWN_FIELDS:
        raise http_error(403)
    user.change(**data)


@blp.get("/me")
@blp.item(UserSchema)
def get_me() -> PreparedSelect:
    """Show whose token this is"""
    return PreparedSelect(User.matching, {"user_id": current_user.user_id})
