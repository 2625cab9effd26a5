"""A backup: written beside a busy server, restored into a scratch database, compared, and named."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

import click

from omnidesk.db import db
from omnidesk.db.sqlite_files import BESIDE
from omnidesk.operations.backup import backups
from omnidesk.operations.backup.whole_files import partial_file, put_in_place


class Made(NamedTuple):
    """A backup that was made, and what it has."""

    path: Path
    bytes: int
    rows: int
    newest_change: int | None
    seconds: float
    deleted: list[Path]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        deleted = [str(path) for path in self.deleted]
        return self._asdict() | {"path": str(self.path), "deleted": deleted}

    def as_text(self) -> str:
        """Return it in a line for people."""
        size = backups.size_text(self.bytes)
        deleted = f" Older backups deleted: {len(self.deleted)}." if self.deleted else ""
        return (
            f"{click.format_filename(self.path)}: {size}, {self.rows} rows,"
            f" newest change {self.newest_change};"
            f" restored, compared and found good in {self.seconds:.1f} s.{deleted}"
        )


def back_up(target: Path, keep: int | None) -> Made:
    """Make a backup, a file or one in a folder; then delete older ones, if so many are kept.

    Raises ClickException, OSError, and errors of the database.
    """
    started = monotonic()
    named = None if target.is_dir() else target
    if named and keep:
        raise click.UsageError("--keep is for a folder.")
    folder = target.parent if named else target
    hidden = named.name if named else backups.prefix()
    refuse_other_files(named)
    with partial_file(folder / f".{hidden}.part") as partial:
        path = named or unused_path(folder)
        with shown_progress() as progress:
            contents = dump(partial, progress)
        size = partial.path.stat().st_size
        put_in_place(partial, path)
    deleted = backups.delete_older(folder, keep) if keep else []
    seconds = round(monotonic() - started, 3)
    return Made(path, size, contents.rows, contents.newest_change, seconds, deleted)


def dump(partial: Any, progress: Any) -> Any:
    """Write and check a backup; return what it has."""
    if db.engine.name == "sqlite":
        from omnidesk.operations.backup import sqlite_backup

        return sqlite_backup.back_up(partial.path, progress)
    from omnidesk.operations.backup import postgresql_backup

    return postgresql_backup.back_up(partial, progress)


def read_through(path: Path) -> None:
    """Read a backup to its end; raise ClickException or an error of sqlite3's if it is damaged."""
    if db.engine.name == "sqlite":
        from omnidesk.operations.backup import sqlite_backup

        sqlite_backup.read_through(path)
    else:
        from omnidesk.operations.backup import postgresql_backup

        postgresql_backup.read_through(path, db.engine.url)


def unused_path(folder: Path) -> Path:
    """Return the path of a backup that begins now, in the next second if there is one already."""
    while (path := backups.new_path(folder)).exists():
        sleep(0.1)
    return path


def refuse_other_files(path: Path | None) -> None:
    """Raise ClickException for what no backup may replace: a device, or a file of the database."""
    if path and path.exists() and not path.is_file():
        raise click.ClickException(f"{path} is no file.")
    if path and db.engine.name == "sqlite":
        database = Path(str(db.engine.url.database)).resolve()
        if path.exists() and database.exists() and path.samefile(database):
            raise click.ClickException(f"{path} is the database itself.")
        if path.resolve() in [Path(f"{database}{suffix}") for suffix in (*BESIDE, "-journal")]:
            raise click.ClickException(f"{path} belongs to the database.")


@contextmanager
def shown_progress() -> Iterator[Any]:
    """Yield a function that shows how much is done of how much, on a terminal."""
    bar: Any = click.progressbar(
        length=1, label="backup", file=sys.stderr, hidden=not sys.stderr.isatty()
    )

    def show(done: int, total: int) -> None:
        bar.length = max(1, total)
        bar.update(done - bar.pos)

    with bar:
        yield show
