"""The backups in a folder: their names, which is the newest, and which are kept.

A file has a backup's name only when it is whole and was checked.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click
from flask import current_app
from sqlalchemy.engine import URL

from omnidesk.db import utcnow

TIME = "%Y%m%dT%H%M%SZ"
SUFFIXES = {"sqlite": ".db", "postgresql": ".dump"}


class Backup(NamedTuple):
    """A backup: its age in seconds since it was begun, and its size in bytes."""

    path: Path
    age: float
    size: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"path": str(self.path), "age_seconds": round(self.age), "bytes": self.size}

    def as_text(self) -> str:
        """Return it in a line for people."""
        path = click.format_filename(self.path)
        return f"{path}  {age_text(self.age)}  {size_text(self.size)}"


def newest_backup() -> Backup | None:
    """Return the newest backup in BACKUP_DIR, None where there is none or no such folder."""
    folder = current_app.config["BACKUP_DIR"]
    try:
        found = backups_in(Path(folder)) if folder else []
    except OSError:
        return None
    return found[0] if found else None


def chosen_path(path: str | None) -> Path:
    """Return a path that was given, or else BACKUP_DIR; raise UsageError for neither.

    BACKUP_DIR, and a path with a slash at its end, must be a folder: ClickException otherwise.
    """
    chosen = path or current_app.config["BACKUP_DIR"]
    if not chosen:
        raise click.UsageError("Name a path, or set BACKUP_DIR.")
    if not Path(chosen).is_dir() and (path is None or path.endswith("/")):
        raise click.ClickException(f"{chosen} is no folder.")
    return Path(chosen)


def backups_in(folder: Path) -> list[Backup]:
    """Return the backups of this database in a folder, newest first; raise OSError.

    Only files are backups. One that is deleted meanwhile is left out.
    """
    begun = {path: time for path in folder.iterdir() if (time := time_of(path))}
    now, found = utcnow(), []
    for path in sorted(begun, key=lambda path: path.name, reverse=True):
        with suppress(FileNotFoundError):
            if path.is_file():
                age = (now - begun[path]).total_seconds()
                found.append(Backup(path, age, path.stat().st_size))
    return found


def delete_older(folder: Path, keep: int) -> list[Path]:
    """Delete all backups of this database in a folder but the newest; return which."""
    deleted = [backup.path for backup in backups_in(folder)[keep:]]
    for path in deleted:
        path.unlink(missing_ok=True)
    return deleted


def new_path(folder: Path) -> Path:
    """Return the path of a backup that begins now."""
    return folder / f"{prefix()}-{utcnow():{TIME}}{suffix()}"


def time_of(path: Path) -> datetime | None:
    """Return when a backup of this database was begun; None for the path of anything else."""
    name = re.fullmatch(rf"{re.escape(prefix())}-([0-9T]+Z){re.escape(suffix())}", path.name)
    try:
        return datetime.strptime(name[1], TIME).replace(tzinfo=UTC) if name else None
    except ValueError:
        return None


def prefix() -> str:
    """Return what the names of this database's backups begin with: its own name."""
    database = Path(str(database_url().database))
    name = database.stem if database_url().drivername == "sqlite" else str(database)
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def suffix() -> str:
    """Return what the names of this database's backups end with."""
    return SUFFIXES[database_url().get_backend_name()]


def database_url() -> URL:
    """Return the URL of this database."""
    url: URL = current_app.config["SQLALCHEMY_DATABASE_URI"]
    return url


def age_text(seconds: float) -> str:
    """Return an age in its largest unit, such as `3 hours`."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if (count := int(seconds // size)) >= 1:
            return f"{count} {unit}{'s' * (count > 1)}"
    return "less than a minute"


def size_text(size: int) -> str:
    """Return a size in bytes for people, such as `12.3 MB`."""
    if size < 1_000_000:
        return f"{size / 1_000:.1f} kB"
    return f"{size / 1_000_000:.1f} MB" if size < 1_000_000_000 else f"{size / 1e9:.2f} GB"
