"""Commands that bring rows in and out."""

import json
from pathlib import Path
from typing import Any

import click

from omnidesk.cli.command import DeskCommand, with_newest_schema
from omnidesk.imports.kinds import KINDS
from omnidesk.operations.transfer import import_file
from omnidesk.operations.transfer.desk_files import PARTS
from omnidesk.operations.transfer.export_desk import export_desk
from omnidesk.operations.transfer.import_desk import import_desk

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
WRITTEN_FILE = click.Path(dir_okay=False, path_type=Path)


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
@with_newest_schema
@click.pass_context
def import_rows(ctx: click.Context, /, path: Path, as_json: bool, **options: Any) -> None:
    """Import the rows of another system's FILE, each once; or all of an export DIR."""
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
@with_newest_schema
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
