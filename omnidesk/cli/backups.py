"""Commands for backups."""

import json
from pathlib import Path

import click
from flask.cli import with_appcontext

from omnidesk.cli.command import DeskCommand
from omnidesk.operations.backup import backing_up, backups, restoring


@click.command(cls=DeskCommand)
@click.argument("target", required=False, type=click.Path())
@click.option("--keep", type=click.IntRange(1), help="Delete all but so many in the folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def backup(target: str | None, keep: int | None, as_json: bool) -> None:
    """Make a backup, beside a running server, and check that it can be restored.

    TARGET is a file, or a folder in which the file is named after the time; BACKUP_DIR by default.
    """
    made = backing_up.back_up(backups.chosen_path(target), keep)
    click.echo(json.dumps(made.as_json()) if as_json else made.as_text())


@click.command("backups", cls=DeskCommand)
@click.argument("folder", required=False, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@with_appcontext
def list_backups(folder: str | None, as_json: bool) -> None:
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
    shown = click.format_filename(file)
    if not yes:
        click.confirm(f"Replace the database {restoring.database_name()} with {shown}?", abort=True)
    kept = restoring.restore(file)
    click.echo(f"{shown} was restored. {f'What was there is now {kept}.' if kept else ''}".strip())
