"""Users over HTTP."""

from typing import Any

from sqlalchemy import Select

from omnidesk.api import Blueprint, current_user
from omnidesk.api.errors import failure
from omnidesk.users.models import User
from omnidesk.users.schemas import UserCreate, UserPatch, UserQuery, UserSchema

OWN = {"full_name", "email"}  # what users may change of themselves

blp = Blueprint("users", description="Who works at the desk")


@blp.get("/users")
@blp.arguments(UserQuery, location="query")
@blp.page(UserSchema)
def list_users(filters: dict[str, Any]) -> Select[Any]:
    """List users"""
    return User.matching(**filters)


@blp.post("/users")
@blp.admin_only
@blp.arguments(UserCreate)
@blp.created(UserSchema, "get_user")
@blp.alt_response(409, "CONFLICT")
def create_user(data: dict[str, Any]) -> User:
    """Create a user, as an admin"""
    return User.create(**data)


@blp.get("/users/<id(example=2):user_id>")
@blp.item(UserSchema)
def get_user(user_id: int) -> Select[Any]:
    """Show a user"""
    return User.matching(user_id=user_id)


@blp.patch("/users/<id(example=2):user_id>")
@blp.arguments(UserPatch)
@blp.changed(User, UserSchema, owner="user_id")
@blp.alt_response(409, "CONFLICT")
def update_user(user: User, data: dict[str, Any]) -> None:
    """Change a user, as an admin; or your own name and email"""
    if current_user.role != "admin" and not data.keys() <= OWN:
        raise failure(403)
    user.change(**data)


@blp.get("/me")
@blp.item(UserSchema)
def get_me() -> Select[Any]:
    """Show whose token this is"""
    return User.matching(user_id=current_user.user_id)
