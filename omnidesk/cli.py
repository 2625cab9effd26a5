"""What an operator types: flask --app wsgi COMMAND."""

from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from marshmallow import ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from omnidesk import migrations
from omnidesk.auth.models import Session
from omnidesk.db import db, reason, refusal
from omnidesk.idempotency import IdempotencyKey
from omnidesk.rates import RateLimitWindow
from omnidesk.users.models import ROLES, User
from omnidesk.users.schemas import UserCreate


class DeskCommand(click.Command):
    """A command that says in one line what the database refuses to do."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (DBAPIError, PoolTimeoutError) as error:
            raise click.ClickException(f"{reason(error)} (has init-db been run?)") from None


@click.command(cls=DeskCommand)
@click.option("--demo", is_flag=True, help="Add the demo data to a desk that has no users.")
@with_appcontext
def init_db(demo: bool) -> None:
    """Bring the database to the newest schema."""
    if demo and current_app.config["ENV"] == "production":
        raise click.UsageError("The demo's password is public: it is not for production.")
    migrations.upgrade()
    click.echo(f"The schema is at {migrations.NEWEST}.")
    if demo:
        from omnidesk import demo as data

        added = data.add()
        click.echo("The demo data was added." if added else "There are users: no demo data added.")


@click.command(cls=DeskCommand)
@click.argument("username")
@click.option("--full-name", help="Defaults to the user name.")
@click.option("--email")
@click.option("--role", type=click.Choice(ROLES), default="empleado", show_default=True)
@click.password_option(help="Asked for when it is not given.")
@with_appcontext
def create_user(username: str, full_name: str | None, **fields: Any) -> None:
    """Create a user who can log in."""
    given = {"username": username, "full_name": full_name or username, **fields}
    try:
        user = User.create(**UserCreate().load(given))
        db.session.add(user)
        db.session.commit()
    except ValidationError as error:
        raise click.ClickException(explain(error.messages_dict)) from None
    except IntegrityError as error:
        rule = refusal(error)
        raise click.ClickException(explain(rule.errors if rule else {})) from None
    click.echo(f"User {user.user_id}, {user.username}, is {user.role}.")


def explain(errors: dict[str, list[str]]) -> str:
    """Give the errors of the fields in one line."""
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in errors.items())


@click.command(cls=DeskCommand)
@click.option("--tickets", type=click.IntRange(0), required=True, help="How many tickets to add.")
@click.option("--messages", type=click.IntRange(0), default=0, help="How many messages to add.")
@click.option("--events", type=click.IntRange(0), default=0, help="How many events to add.")
@click.option("--random-seed", default=7, show_default=True, help="The same gives the same rows.")
@with_appcontext
def seed(tickets: int, messages: int, events: int, random_seed: int) -> None:
    """Fill the database with realistic rows, to try it at your size."""
    from omnidesk import seeds

    seeds.fill(tickets, messages, events, random_seed)


@click.command(cls=DeskCommand)
@with_appcontext
def prune() -> None:
    """Forget the answers kept under an Idempotency-Key for more than a day, and old sessions."""
    answers, sessions = IdempotencyKey.prune(), Session.prune()
    RateLimitWindow.prune()
    db.session.commit()
    click.echo(f"{answers} kept answers and {sessions} sessions were forgotten.")


def register(app: Flask) -> None:
    """Give the app its commands."""
    for command in (init_db, create_user, seed, prune):
        app.cli.add_command(command)
