"""A restored database, before it takes the place of the other one."""

from collections.abc import Mapping
from pathlib import Path

import click
from sqlalchemy import Connection, Engine

from omnidesk import migrations
from omnidesk.auth.models import UserSession
from omnidesk.conversations.messages import Message
from omnidesk.db import Base
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.feed_start import start_anew
from omnidesk.db.numbers import continue_after, last_number, start_beyond
from omnidesk.db.postgresql import disable_timeouts
from omnidesk.operations.restored_messages import note_unknown

# Of these, programs, providers and tokens know numbers, which may be of rows that the backup lacks:
# a program that gets another message with such a number takes it for sent already.
KNOWN_ELSEWHERE = {Message.__table__, UserSession.__table__}


def prepare(engine: Engine, file: Path, beyond: Mapping[str, int]) -> None:
    """Bring a restored database to the newest schema, and let it be another one to all readers.

    No message is sent that it has to send. It gets a new id. `beyond` has the last numbers that the
    database in its place has given out, by table: new rows get greater ones, and its feed starts
    beyond the changes of both. Raises ClickException.
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
        continue_beyond(connection, beyond)
        start_anew(connection)


def continue_beyond(connection: Connection, beyond: Mapping[str, int]) -> None:
    """Let no row get a number that was given out since the backup, as far as that is known."""
    for table in Base.metadata.sorted_tables:
        last = max(beyond.get(table.name, 0), last_number(connection, table))
        is_known_elsewhere = table in KNOWN_ELSEWHERE
        continue_after(connection, table, start_beyond(last) if is_known_elsewhere else last)
