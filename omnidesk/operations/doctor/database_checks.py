"""Checks of the database: its schema, its server, and what triggers keep in it."""

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import current_app
from sqlalchemy import exists, func, literal_column, select, text
from sqlalchemy.schema import CreateIndex

from omnidesk.auth.models import UserSession
from omnidesk.db import Base, db, sqlite, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.engines import MAX_COUNTING
from omnidesk.db.requirements import unsuitable
from omnidesk.db.session import READ
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.operations import counts, upgrade_plan
from omnidesk.operations.doctor.findings import FAULT, WARNING, Finding
from omnidesk.operations.text_index import SEARCHED
from omnidesk.users import passwords
from omnidesk.users.models import User
from omnidesk.worker.status import CONNECTIONS, workers_alive

MAX_SKEW = 1.0  # seconds between the clocks of the database and of this machine
MAX_USERS = 200  # whose passwords are tried: each takes a fiftieth of a second
SAMPLE = 250  # rows that are looked at, of the newest and of all
UNPRUNED = timedelta(days=3)
OTHERS = 5  # connections for commands, backups and people
IS_INDEXED = "SELECT rowid FROM {table}_search WHERE {table}_search MATCH :query AND rowid = :id"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
COLLATION = """
SELECT datname FROM pg_database
WHERE datname = current_database()
AND datcollversion <> pg_database_collation_actual_version(oid)
"""
ALLOWED = """
SELECT least(
    current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer,
    (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
    (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
)
"""


def scalar(statement: Any) -> Any:
    """Return the only value that a statement reads."""
    with db.engines[READ].connect() as connection:
        return connection.scalar(statement)


def database() -> Iterator[Finding]:
    """Find a database that the server cannot work with, or whose files are not as they were."""
    if problem := unsuitable():
        yield Finding("database", FAULT, problem, "The server does not start with it.")
    if files := sqlite.files_of(db.engine):
        try:
            files.check()
            files.check_writable()
        except sqlite3.DatabaseError as error:
            cure = "Put the file in order, or restore a backup."
            yield Finding("database", FAULT, f"{sentence(str(error))}", cure)


def sentence(words: str) -> str:
    """Return words with a period."""
    return words.rstrip(".") + "."


def schema() -> Iterator[Finding]:
    """Find a schema that is not the newest, and how long it takes to make it so."""
    plan = upgrade_plan.plan()
    if plan.fault:
        problem, cure = plan.fault.split(": ", 1)
        yield Finding("schema", FAULT, sentence(problem), cure[0].upper() + cure[1:])
    elif plan.pending:
        problem = f"It is at {plan.revision}, and {len(plan.pending)} migrations are pending."
        cure = f"Run init-db, which takes about {plan.duration}; see init-db --plan."
        yield Finding("schema", FAULT, problem, cure)


def clock() -> Iterator[Finding]:
    """Find a clock that is wrong: PostgreSQL's differs, or changes were made in the future."""
    if db.engine.name == "postgresql":
        found = scalar(select(func.clock_timestamp()))
        skew = abs((found - utcnow()).total_seconds())
        if skew > MAX_SKEW:
            problem = f"The clock of PostgreSQL differs by {skew:.1f} seconds from this machine's."
            yield Finding("clock", WARNING, problem, "Let NTP set the clocks of both.")
    newest = scalar(select(Change.at).order_by(Change.seq.desc()).limit(1))
    if newest and newest > utcnow() + timedelta(minutes=1):
        problem = f"The newest change was made in the future, at {newest:%Y-%m-%dT%H:%M:%SZ}."
        yield Finding("clock", WARNING, problem, "Let NTP set the clock.")


def collation() -> Iterator[Finding]:
    """Find that PostgreSQL orders texts in another way than when its indexes were made."""
    if db.engine.name != "postgresql" or scalar(select(server_version())) < 150_000:
        return
    if name := scalar(text(COLLATION)):
        problem = f"The collation of the database {name} is of another version of the system."
        cure = f"Run REINDEX DATABASE and ALTER DATABASE {name} REFRESH COLLATION VERSION."
        yield Finding("collation", WARNING, problem, cure)


def server_version() -> Any:
    """Return SQL for the version of PostgreSQL, such as 150003."""
    return literal_column("current_setting('server_version_num')::integer")


def connections() -> Iterator[Finding]:
    """Find that PostgreSQL allows fewer connections than this server and workers may open."""
    if db.engine.name != "postgresql":
        return
    config, allowed = current_app.config, scalar(text(ALLOWED))
    server = config["WEB_CONCURRENCY"] * (2 * config["THREADS"] + MAX_COUNTING)
    needed = server + workers_alive() * CONNECTIONS + OTHERS
    if needed > allowed:
        problem = f"{needed} connections may be needed, and PostgreSQL allows {allowed}."
        cure = "Raise max_connections or the limit of the role, or lower WEB_CONCURRENCY."
        yield Finding("connections", FAULT, problem, cure)


def default_passwords() -> Iterator[Finding]:
    """Find users with the demo's password, which is public."""
    tried = select(User.username, User.password_hash).where(User.active).order_by(User.user_id)
    with db.engines[READ].connect() as connection:
        users = connection.execute(tried.limit(MAX_USERS)).all()
    found = [name for name, stored in users if passwords.verify(stored, passwords.DEMO)]
    if found:
        problem = f"The password of {', '.join(found)} is the demo's, which everybody knows."
        level = FAULT if current_app.config["ENV"] == "production" else WARNING
        cure = "Give them others, or deactivate them."
        yield Finding("default passwords", level, problem, cure)


def counters() -> Iterator[Finding]:
    """Find counts that are not those of the rows."""
    with db.engines[READ].connect() as connection:
        wrong = counts.different(connection)
    if wrong:
        shown = ", ".join(f"{name} {kept}, not {now}" for name, kept, now in wrong[:3])
        problem = f"{len(wrong)} counts are wrong: {shown}."
        yield Finding("counters", FAULT, problem, "Run recount.")


def search() -> Iterator[Finding]:
    """Find rows that the text index lacks, and rows without the words of their texts.

    A sample is looked at: the newest rows, and some from everywhere.
    """
    for entity in SEARCHED:
        table, rows = entity.__tablename__, sample(entity)
        if db.engine.name == "postgresql":
            yield from gin_index(f"ix_{table}_words", entity)
        elif lacking := sum(not is_indexed(table, key, words) for key, words, _ in rows):
            problem = f"The text index lacks {lacking} of {len(rows)} rows of {table}."
            yield Finding("search", FAULT, problem, "Run reindex.")
        if wrong := sum(words != made for _, words, made in rows):
            problem = f"{wrong} of {len(rows)} rows of {table} have other words than their texts."
            yield Finding("search", FAULT, problem, "Run reindex.")


def sample(entity: type[Base]) -> list[tuple[int, str, str]]:
    """Return the ids of some rows, with the words that are stored and those of their texts."""
    rows, key = entity.__table__, entity.primary_key()
    make, names = rows.c.words.info["derived"]
    last = scalar(select(func.max(key))) or 0
    everywhere = {last * number // SAMPLE for number in range(1, SAMPLE)}
    ids = everywhere.union(range(last - SAMPLE, last + 1))
    chosen = select(key, rows.c.words, *(rows.c[name] for name in names)).where(key.in_(ids))
    with db.engines[READ].connect() as connection:
        found = connection.execute(chosen).all()
    return [(number, words, make(*values)) for number, words, *values in found]


def is_indexed(table: str, key: int, words: str) -> bool:
    """Return whether SQLite's index finds a row by one of its words; a row may have none."""
    longest = max(words.split(), key=len, default=None)
    found = text(IS_INDEXED.format(table=table)).bindparams(query=f'"{longest}"', id=key)
    return longest is None or scalar(found) is not None


def gin_index(name: str, entity: type[Base]) -> Iterator[Finding]:
    """Find that PostgreSQL has no index of this name, or one that was not made to the end."""
    is_valid = scalar(text(IS_VALID).bindparams(name=name))
    if is_valid is None:
        (index,) = (each for each in entity.__table__.indexes if each.name == name)
        cure = f"Run: {CreateIndex(index).compile(db.engine)}"
        yield Finding("search", FAULT, f"There is no index {name}.", " ".join(cure.split()))
    elif not is_valid:
        yield Finding("search", FAULT, f"The index {name} is not whole.", "Run reindex.")


def retention() -> Iterator[Finding]:
    """Find what should have been deleted long ago."""
    now, days = utcnow(), current_app.config["CHANGE_LOG_DAYS"]
    old = [
        ("expired sessions", UserSession.expires_at < now - UNPRUNED),
        ("responses of an Idempotency-Key", IdempotencyKey.created_at < now - UNPRUNED),
    ]
    found = [what for what, condition in old if scalar(select(exists().where(condition)))]
    oldest = scalar(select(Change.at).order_by(Change.seq).limit(1)) if days else None
    if oldest and oldest < now - timedelta(days=days) - UNPRUNED:
        found.append("changes")
    if found:
        problem = f"There are {', '.join(found)} that are long past their time."
        yield Finding("retention", WARNING, problem, "Run prune, and then daily.")
