"""The engines: one that writes, one that reads, and one that counts for rate limits."""

from typing import Any

from sqlalchemy.engine import URL

from omnidesk.db.session import RATE_LIMITS, READ
from omnidesk.db.sqlite import WritePool

# What a connection to PostgreSQL relies on, whatever is set for its role or its database.
WRITE_SETTINGS = {
    "statement_timeout": 10_000,  # milliseconds
    "lock_timeout": 2_000,
    "idle_in_transaction_session_timeout": 15_000,
    "timezone": "UTC",
    "datestyle": "ISO",  # the only one that the driver reads
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
# A list reads off the index that begins with its filters. PostgreSQL would plan it anew for each
# request, which costs more than running it; and where a value is common, such as a status, it
# would walk all tickets from the newest, as if those of the status were spread evenly.
READ_SETTINGS = WRITE_SETTINGS | {
    "plan_cache_mode": "force_generic_plan",
    "cpu_operator_cost": 1,  # rows that are read and then filtered out are expensive
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": 0,
    "jit": "off",
}
MAX_COUNTING = 5  # connections of a worker that count for rate limits
# How soon the kernel notices that the server's host is gone.
DEAD_HOST = {
    "connect_timeout": 3,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,  # milliseconds
}


def engine_options(url: URL, size: int, threads: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an engine with so many connections, for a worker's threads.

    `settings` are those of PostgreSQL that `omnidesk.db.connection` sets.
    """
    options: dict[str, Any] = {
        "pool_size": size,
        "max_overflow": 0,
        "pool_timeout": 5,  # seconds
        "hide_parameters": True,  # what clients send belongs in no log
    }
    if url.drivername == "sqlite":
        return options
    session = {"autocommit": True, "client_encoding": "utf8", "settings": settings}
    connect_args = DEAD_HOST | session | {"threads": threads}
    begin = {"explicit_begin": True}  # by omnidesk.db.postgresql, not by the driver
    return {
        **options,
        "pool_recycle": 600,
        "connect_args": connect_args,
        "execution_options": begin,
    }


def autocommit_options(
    url: URL, size: int, threads: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """Return the options of an engine on which each statement is a transaction of its own."""
    return engine_options(url, size, threads, settings) | {
        "url": url,
        "isolation_level": "AUTOCOMMIT",
        "execution_options": {"autocommit": True},
        "pool_reset_on_return": None,
    }


def write_options(url: URL, threads: int) -> dict[str, Any]:
    """Return the options of the engine that writes, for a worker's threads.

    SQLite has one writer at a time: threads queue for its connection, not for its lock.
    """
    if url.drivername != "sqlite":
        return engine_options(url, threads, threads, WRITE_SETTINGS)
    return engine_options(url, 1, threads, WRITE_SETTINGS) | {"poolclass": WritePool}


def prepare(config: dict[str, Any]) -> None:
    """Set the options of an app's engines, by its database and threads, where they are not set."""
    url, threads = config["SQLALCHEMY_DATABASE_URI"], config["THREADS"]
    counts = WRITE_SETTINGS | {"synchronous_commit": "off"}
    binds = {
        READ: autocommit_options(url, threads, threads, READ_SETTINGS),
        RATE_LIMITS: autocommit_options(url, 1, threads, counts)
        | {"max_overflow": MAX_COUNTING - 1},
    }
    if config["METRICS_TOKEN"]:
        binds[READ]["execution_options"] |= {"measured": True}
    config.setdefault("SQLALCHEMY_ENGINE_OPTIONS", write_options(url, threads))
    config.setdefault("SQLALCHEMY_BINDS", binds)
