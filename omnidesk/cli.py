"""The commands of an operator: `flask --app wsgi COMMAND`."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from marshmallow import ValidationError
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from config import MAX_DAYS
from omnidesk import migrations
from omnidesk.auth.models import UserSession
from omnidesk.db import db
from omnidesk.db.constraints import error_message, rule_violation
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.http.rate_limits.storage import RateLimitWindow
from omnidesk.imports.kinds import KINDS
from omnidesk.operations import (
    backing_up,
    backups,
    change_log,
    counts,
    import_file,
    restoring,
    text_index,
    upgrade_plan,
)
from omnidesk.operations import doctor as diagnosis
from omnidesk.operations.desk_files import PARTS
from omnidesk.operations.export_desk import export_desk
from omnidesk.operations.import_desk import import_desk
from omnidesk.users.models import ROLES, User
from omnidesk.users.schemas import UserCreate

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
WRITTEN_FILE = click.Path(dir_okay=False, path_type=Path)


class DeskCommand(click.Command):
    """A command that reports an error of the database in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (DBAPIError, PoolTimeoutError) as error:
            raise click.ClickException(f"{error_message(error)} (has init-db been run?)") from None
        except OSError as error:
            raise click.ClickException(f"{error.filename}: {error.strerror}") from None
        except sqlite3.Error as error:
            raise click.ClickException(f"{error}.") from None


@click.command(cls=DeskCommand)
@click.option("--demo", is_flag=True, help="Add the demo data to a desk that has no users.")
@click.option("--reset", is_flag=True, help="Delete everything first; only with --demo.")
@click.option("--plan", is_flag=True, help="Only tell what would be done.")
@click.option(
    "--create/--no-create", default=True, help="Whether to make a SQLite file where there is none."
)
@with_appcontext
def init_db(demo: bool, reset: bool, plan: bool, create: bool) -> None:
    """Bring the database to the newest schema."""
    if plan:
        show_plan()
        return
    if demo and current_app.config["ENV"] == "production":
        raise click.UsageError("The demo's password is public: it is not for production.")
    if reset and not demo:
        raise click.UsageError("--reset deletes everything, and is for the demo: add --demo.")
    if not create and db.engine.name == "sqlite" and migrations.revision() is None:
        raise click.ClickException(f"{db.engine.url.database} is empty.")
    if reset:
        counts = migrations.drop_all()
        rows = ", ".join(f"{table} {count}" for table, count in counts.items() if count)
        click.echo(f"Deleted everything in {db.engine.url}. Rows by table: {rows or 'none'}.")
    if upgrade_plan.is_served():
        click.echo(upgrade_plan.STOP["sqlite"], err=True)
    try:
        migrations.upgrade()
    except migrations.NewerSchemaError as error:
        raise click.ClickException(f"The database is not ready. {error}") from None
    click.echo(f"The schema is at {migrations.NEWEST}.")
    if demo:
        from omnidesk.sample_data import demo as sample

        added = sample.add()
        click.echo("The demo data was added." if added else "There are users: no demo data added.")


def show_plan() -> None:
    """Tell what `init-db` would do."""
    found = upgrade_plan.plan()
    if found.fault:
        raise click.ClickException(found.fault)
    click.echo("\n".join(found.lines()))


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
        user = User.new(**UserCreate().load(given))
        db.session.add(user)
        db.session.commit()
    except ValidationError as error:
        raise click.ClickException(explain(error.messages_dict)) from None
    except IntegrityError as error:
        rule = rule_violation(error)
        raise click.ClickException(explain(rule.errors if rule else {})) from None
    click.echo(f"User {user.user_id}, {user.username}, is {user.role}.")


def explain(errors: dict[str, list[str]]) -> str:
    """Return the errors of all fields in one line."""
    return "; ".join(f"{field}: {' '.join(messages)}" for field, messages in errors.items())


@click.command(cls=DeskCommand)
@click.option("--tickets", type=click.IntRange(0), required=True, help="How many tickets to add.")
@click.option("--comments", type=click.IntRange(0), default=0, help="How many comments to add.")
@click.option("--messages", type=click.IntRange(0), default=0, help="How many messages to add.")
@click.option("--events", type=click.IntRange(0), default=0, help="How many events to add.")
@click.option("--random-seed", default=7, show_default=True, help="The same gives the same rows.")
@with_appcontext
def seed(tickets: int, comments: int, messages: int, events: int, random_seed: int) -> None:
    """Fill the database with realistic rows, to try it at your size."""
    from omnidesk.sample_data import bulk

    bulk.fill(tickets, messages, events, random_seed, comments)


@click.command(cls=DeskCommand)
@click.option(
    "--change-log-days",
    type=click.IntRange(1, MAX_DAYS),
    help="Delete the changes that are older, too; defaults to CHANGE_LOG_DAYS.",
)
@with_appcontext
def prune(change_log_days: int | None) -> None:
    """Delete idempotency keys older than a day, expired sessions and ended rate-limit windows.

    On SQLite, the text index is merged, too.
    """
    keys, sessions = IdempotencyKey.prune(), UserSession.prune()
    RateLimitWindow.prune()
    db.session.commit()
    text_index.merge_all()
    click.echo(f"{keys} idempotency keys and {sessions} sessions were deleted.")
    if days := change_log_days or current_app.config["CHANGE_LOG_DAYS"]:
        click.echo(f"{change_log.prune(days)} changes were deleted.")


@click.command(cls=DeskCommand)
@with_appcontext
def reindex() -> None:
    """Make anew what search finds rows by, beside a running server."""
    text_index.reindex()


@click.command(cls=DeskCommand)
@click.argument("target", required=False, type=click.Path(path_type=Path))
@click.option("--keep", type=click.IntRange(1), help="Delete all but so many in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def backup(target: Path | None, keep: int | None, as_json: bool) -> None:
    """Make a backup, beside a running server, and check that it can be restored.

    TARGET is a file, or a folder in which the file is named after the time; BACKUP_DIR by default.
    """
    made = backing_up.back_up(backups.chosen_path(target), keep)
    click.echo(json.dumps(made.as_json()) if as_json else made.as_text())


@click.command("backups", cls=DeskCommand)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def list_backups(folder: Path | None, as_json: bool) -> None:
    """List the backups in a folder, BACKUP_DIR by default, with their age and size."""
    found = backups.backups_in(backups.chosen_path(folder))
    if as_json:
        click.echo(json.dumps([backup.as_json() for backup in found]))
    for each in [] if as_json else found:
        click.echo(each.as_text())


@click.command(cls=DeskCommand)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_appcontext
def restore(file: Path, yes: bool) -> None:
    """Put a backup in the place of the database, whose server must be stopped.

    What is there is kept aside. Readers of the change feed have to begin anew.
    """
    restoring.check(file)
    if not yes:
        click.confirm(f"Replace the database {restoring.database_name()} with {file}?", abort=True)
    kept = restoring.restore(file)
    click.echo(f"{file} was restored. {f'What was there is now {kept}.' if kept else ''}".strip())


@click.command(cls=DeskCommand)
@with_appcontext
def recount() -> None:
    """Count anew what triggers count, while nobody writes."""
    wrong = counts.recount()
    for name, kept, counted in wrong:
        click.echo(f"{name}: {kept} was kept, and {counted} are there.")
    click.echo(f"{len(wrong)} counts were wrong.")


@click.command(cls=DeskCommand)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@with_appcontext
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Tell what is wrong with this installation, and what to do about it.

    Ends with 0 if all is well, 1 for warnings, 2 for faults.
    """
    found = diagnosis.diagnose()
    if as_json:
        click.echo(json.dumps(found.as_json()))
    else:
        lines = map(str, found.findings) if found.findings else ["All is well."]
        click.echo("\n".join(lines))
    context.exit(found.status)


@click.command("import", cls=DeskCommand)
@click.argument("path", metavar="FILE|DIR", type=click.Path(exists=True, path_type=Path))
@click.option("--from", "format", type=click.Choice(import_file.FORMATS), help="What FILE is.")
@click.option("--entity", type=click.Choice([*KINDS]), help="What its rows are.")
@click.option("--source", callback=import_file.check_source, help="A name for where they are from.")
@click.option("--map", "names", type=EXISTING_FILE, help="JSON: their columns, and our fields.")
@click.option("--dry-run", is_flag=True, help="Store nothing; say what would be refused.")
@click.option("--encoding", callback=import_file.check_encoding, help="If it is not found out.")
@click.option("--time-zone", "zone", default="UTC", callback=import_file.time_zone)
@click.option("--refused", type=WRITTEN_FILE, help="Where to list refused rows.")
@click.option("--json", "as_json", is_flag=True, help="Print how many rows there are as JSON.")
@with_appcontext
@click.pass_context
def import_rows(ctx: click.Context, /, path: Path, as_json: bool, **options: Any) -> None:
    """Bring rows of another system's FILE along, each once; or all of an export DIR."""
    if path.is_dir():
        if any(options[name] for name in ("format", "entity", "source", "names", "dry_run")):
            raise click.UsageError("An export is read in as it is: give DIR alone.")
        say_rows("imported", import_desk(path), as_json=as_json)
        return
    refused = options.pop("refused") or path.with_name(f"{path.name}.refused.csv")
    work = import_file.Import.of(path, **options)
    counts = import_file.import_file(work, refused)
    import_file.report(counts, refused, as_json=as_json)
    ctx.exit(1 if counts["refused"] else 0)


@click.command(cls=DeskCommand)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--entities", default="", help="Some of them, such as clients,tickets.")
@click.option("--json", "as_json", is_flag=True, help="Print how many rows there are as JSON.")
@with_appcontext
def export(folder: Path, entities: str, as_json: bool) -> None:
    """Write all rows of the desk to a new folder DIR, which is secret."""
    parts = [name.strip() for name in entities.split(",") if name.strip()]
    if unknown := [name for name in parts if name not in PARTS]:
        raise click.UsageError(f"{', '.join(unknown)}: none of {', '.join(PARTS)}.")
    say_rows("exported", export_desk(folder, parts), as_json=as_json)


def say_rows(done: str, counts: dict[str, int], *, as_json: bool) -> None:
    """Say how many rows of each table there are."""
    if as_json:
        click.echo(json.dumps(counts))
        return
    rows = ", ".join(f"{table} {count}" for table, count in counts.items() if count)
    click.echo(f"Rows that were {done}, by table: {rows or 'none'}.")


def init_app(app: Flask) -> None:
    """Add the commands to the app."""
    for command in (
        init_db,
        create_user,
        seed,
        prune,
        reindex,
        backup,
        list_backups,
        restore,
        recount,
        doctor,
        import_rows,
        export,
    ):
        app.cli.add_command(command)
