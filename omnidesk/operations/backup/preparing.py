"""A restored database, before it takes the place of the other one."""

from pathlib import Path

import click
from sqlalchemy import Engine

from omnidesk import migrations
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.feed_start import start_anew
from omnidesk.db.postgresql import disable_timeouts
from omnidesk.operations.restored_messages import note_unknown


def prepare(engine: Engine, file: Path, beyond: int) -> None:
    """Bring a restored database to the newest schema, and let it be another one to all readers.

    Nothing is sent that it has to send. It gets a new id, and its feed starts beyond the changes
    that the backup has, and those up to a seq that the database in its place has had. Raises
    ClickException.
    """
    with engine.begin() as connection:
        disable_timeouts(connection)
        if migrations.revision_of(connection) is None:
            raise click.ClickException(f"{file} is no backup of a desk.")
        try:
            migrations.upgrade_within(connection)
        except migrations.NewerSchemaError as error:
            raise click.ClickException(f"{file} cannot be restored. {error}") from None
        note_unknown(connection)
        DatabaseId.renew(connection)
        start_anew(connection, beyond)
