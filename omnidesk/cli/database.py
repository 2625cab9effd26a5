"""Commands for the schema and the rows of the database."""

import click
from flask import current_app
from flask.cli import with_appcontext

from config import MAX_DAYS
from omnidesk import migrations
from omnidesk.auth.models import UserSession
from omnidesk.cli.command import DeskCommand, with_newest_schema
from omnidesk.db import db
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.http.rate_limits.storage import RateLimitWindow
from omnidesk.operations import change_log, counts, text_index, upgrade_plan
from omnidesk.operations.backup import restoring
from omnidesk.webhooks.queue import prune_some


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
        restoring.refuse_others()
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
@click.option("--tickets", type=click.IntRange(0), required=True, help="How many tickets to add.")
@click.option("--comments", type=click.IntRange(0), default=0, help="How many comments to add.")
@click.option("--messages", type=click.IntRange(0), default=0, help="How many messages to add.")
@click.option("--events", type=click.IntRange(0), default=0, help="How many events to add.")
@click.option("--random-seed", default=7, show_default=True, help="The same gives the same rows.")
@click.option("--yes", is_flag=True, help="Do not ask, in production.")
@with_newest_schema
def seed(yes: bool, **options: int) -> None:
    """Fill the database with realistic rows, to try it at your size."""
    from omnidesk.sample_data import bulk

    if current_app.config["ENV"] == "production" and not yes:
        rows = "users, clients and other rows that are made up"
        click.confirm(f"Add {rows} to {restoring.database_name()}, in production?", abort=True)
    added = bulk.fill(**options)
    rows = ", ".join(f"{table} {count}" for table, count in added.items() if count)
    click.echo(f"Rows that were added, by table: {rows or 'none'}.")


@click.command(cls=DeskCommand)
@click.option(
    "--change-log-days",
    type=click.IntRange(1, MAX_DAYS),
    help="Delete the changes that are older, too; defaults to CHANGE_LOG_DAYS.",
)
@with_newest_schema
def prune(change_log_days: int | None) -> None:
    """Delete idempotency keys older than a day, expired sessions and ended rate-limit windows.

    Deliveries to webhooks go, too, when they were sent or have failed for 30 days. On SQLite, the
    text index is merged.
    """
    keys, sessions = IdempotencyKey.prune(), UserSession.prune()
    RateLimitWindow.prune()
    db.session.commit()
    while prune_some():
        continue
    text_index.merge_all()
    click.echo(f"{keys} idempotency keys and {sessions} sessions were deleted.")
    if days := change_log_days or current_app.config["CHANGE_LOG_DAYS"]:
        click.echo(f"{change_log.prune(days)} changes were deleted.")


@click.command(cls=DeskCommand)
@with_newest_schema
def reindex() -> None:
    """Make anew what search finds rows by, beside a running server."""
    text_index.reindex()


@click.command(cls=DeskCommand)
@with_newest_schema
def recount() -> None:
    """Count anew what triggers count, while nobody writes."""
    wrong = counts.recount()
    for name, kept, counted in wrong:
        click.echo(f"{name}: {kept} was kept, and {counted} are there.")
    click.echo(f"{len(wrong)} counts were wrong.")
