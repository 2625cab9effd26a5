"""Commands for users."""

from typing import Any

import click
from marshmallow import ValidationError
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from omnidesk.cli.command import DeskCommand, with_newest_schema
from omnidesk.db import db
from omnidesk.db.constraints import rule_violation
from omnidesk.users.models import ROLES, User
from omnidesk.users.schemas import NewPassword, UserCreate


@click.command(cls=DeskCommand)
@click.argument("username")
@click.option("--full-name", help="Defaults to the user name.")
@click.option("--email")
@click.option("--role", type=click.Choice(ROLES), default="empleado", show_default=True)
@click.password_option(help="Asked for when it is not given.")
@with_newest_schema
def create_user(username: str, full_name: str | None, **fields: Any) -> None:
    """Create a user who can log in."""
    given = {"username": username, "full_name": full_name or username, **fields}
    try:
        user = User.new(**UserCreate().load(given))
        db.session.add(user)
        db.session.commit()
    except ValidationError as error:
        raise click.ClickException(explain(error.messages_dict)) from None
    except IntegrityError as error:
        rule = rule_violation(error)
        raise click.ClickException(explain(rule.errors if rule else {})) from None
    click.echo(f"User {user.user_id}, {user.username}, is {user.role}.")


@click.command(cls=DeskCommand)
@click.argument("username")
@click.password_option(help="Asked for when it is not given.")
@with_newest_schema
def set_password(username: str, password: str) -> None:
    """Give a user a new password, which ends their sessions and API tokens."""
    try:
        fields = NewPassword().load({"password": password})
    except ValidationError as error:
        raise click.ClickException(explain(error.messages_dict)) from None
    named = select(User).where(func.lower(User.username) == username.lower())
    user = db.session.scalar(named.with_for_update(key_share=True))
    if user is None:
        raise click.ClickException(f"There is no user {username}.")
    user.change(**fields)
    db.session.commit()
    inactive = "" if user.active else " They are not active, and cannot log in."
    click.echo(f"User {user.user_id}, {user.username}, has a new password.{inactive}")


def explain(errors: dict[str, list[str]]) -> str:
    """Return the errors of all fields in one line."""
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in errors.items())
