"""Commands that tell how an installation is."""

import json

import click
from flask.cli import with_appcontext

from omnidesk.cli.command import DeskCommand
from omnidesk.operations.doctor import diagnosis


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
