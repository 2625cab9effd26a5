"""Checks of the machine: the disk, the files of SQLite, and the backups."""

import os
import pwd
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
from flask import current_app
from sqlalchemy import text

from omnidesk import migrations
from omnidesk.db import db, sqlite
from omnidesk.db.session import READ
from omnidesk.operations import upgrade_plan
from omnidesk.operations.backup import postgresql_programs
from omnidesk.operations.backup.backing_up import read_through
from omnidesk.operations.backup.backups import age_text, backups_in, size_text
from omnidesk.operations.doctor.findings import FAULT, WARNING, Finding

OLD = 2 * 86_400  # seconds; of a backup that is made daily
TOO_OLD = 8 * 86_400
ROLE = "SELECT rolname, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"


def disk() -> Iterator[Finding]:
    """Find too little room for an upgrade: the one that is pending, or the next one."""
    needed, free = upgrade_plan.disk_needed(), upgrade_plan.disk_free()
    if free is None or free >= needed:
        return
    is_pending = migrations.revision() != migrations.NEWEST
    problem = f"An upgrade may need {size_text(needed)}, and {size_text(free)} are free."
    cure = "Free the rest before you upgrade, or move the database to a larger disk."
    yield Finding("disk", FAULT if is_pending else WARNING, problem, cure)


def files() -> Iterator[Finding]:
    """Find files of SQLite that others can read, or that somebody else owns."""
    found = sqlite.files_of(db.engine)
    if found is None:
        return
    owners = {}
    for path in map(Path, (found.path, *found.names_beside)):
        with suppress(FileNotFoundError):
            status = path.stat()
            owners[status.st_uid] = path
            if status.st_mode & 0o007:
                problem = f"Everybody on this machine can read {path}."
                yield Finding("files", FAULT, problem, f"chmod o= {path}")
    if len(owners) > 1:
        names = ", ".join(f"{path} to {user_name(owner)}" for owner, path in owners.items())
        problem = f"The files of the database belong to different users: {names}."
        cure = "Stop the server and give all to its user with chown."
        yield Finding("files", FAULT, problem, cure)
    elif owners and os.geteuid() not in owners:
        owner = user_name(next(iter(owners)))
        problem = f"{found.path} belongs to {owner}, and this command runs as another user."
        yield Finding("files", WARNING, problem, f"Run commands as {owner}.")


def user_name(number: int) -> str:
    """Return the name of a user of the machine, or the number of one who has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def backup() -> Iterator[Finding]:
    """Find no backup, or one that is old or damaged; when it got its name, it was not."""
    folder = current_app.config["BACKUP_DIR"]
    if not folder:
        problem = "BACKUP_DIR is not set, so nobody knows whether there is a backup."
        cure = "Set it, and run backup daily."
        yield Finding("backup", WARNING, problem, cure)
        return
    if not Path(folder).is_dir():
        problem = f"BACKUP_DIR is {folder}, which is no folder."
        cure = "Make it, of the server's user with mode 700, or mount its disk; run backup daily."
        yield Finding("backup", FAULT, problem, cure)
        return
    try:
        newest = next(iter(backups_in(Path(folder))), None)
    except OSError as error:
        problem = f"BACKUP_DIR, {folder}, cannot be read: {error.strerror}."
        yield Finding("backup", FAULT, problem, "Give it to the server's user, with mode 700.")
        return
    if newest is None:
        problem = f"There is no backup of this database in {folder}."
        yield Finding("backup", FAULT, problem, "Run backup, and then daily.")
        return
    if damage := damage_of(newest.path):
        problem = f"The newest backup, {newest.path}, cannot be read: {damage}."
        yield Finding("backup", FAULT, problem, "Run backup, and look after its disk.")
    if newest.age < -OLD:
        problem = f"The newest backup, {newest.path}, is from the future."
        cure = "Set the clock and rename it: backups that are made meanwhile count as older."
        yield Finding("backup", WARNING, problem, cure)
    if newest.age > OLD:
        problem = f"The newest backup, {newest.path}, is {age_text(newest.age)} old."
        cure = "See why none was made since."
        yield Finding("backup", FAULT if newest.age > TOO_OLD else WARNING, problem, cure)


def damage_of(path: Path) -> str | None:
    """Return why a backup cannot be read to its end, None where it can, or no program reads it."""
    if missing_programs():
        return None
    try:
        read_through(path)
    except (click.ClickException, sqlite3.Error) as error:
        return str(error).rstrip(".")
    return None


def dumps() -> Iterator[Finding]:
    """Find a role or programs with which PostgreSQL's backups cannot be made and checked."""
    if db.engine.name != "postgresql" or not current_app.config["BACKUP_DIR"]:
        return
    with db.engines[READ].connect() as connection:
        role, may_create = connection.execute(text(ROLE)).one()
    if not may_create:
        problem = f'The role "{role}" may not create databases, which the check of a backup needs.'
        cure = f'Run ALTER ROLE "{role}" CREATEDB as an administrator.'
        yield Finding("dumps", FAULT, problem, cure)
    for program in missing_programs():
        cure = "Install postgresql-client."
        yield Finding("dumps", FAULT, f"{program} was not found.", cure)


def missing_programs() -> list[str]:
    """Return the programs of PostgreSQL's that backups need and that are not installed."""
    if db.engine.name != "postgresql":
        return []
    missing = []
    for program in ("pg_dump", "pg_restore"):
        try:
            postgresql_programs.find(program)
        except click.ClickException:
            missing.append(program)
    return missing
