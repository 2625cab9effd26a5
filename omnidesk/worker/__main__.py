"""The worker as a process of its own, which has no more than it needs.

The server's app has routes, schemas and their documentation, which take 20 MB.
"""

from logging.config import dictConfig
from typing import Any

from flask import Flask
from sqlalchemy import Engine, event

import config
from omnidesk import log_format
from omnidesk.db import db, engines
from omnidesk.db.sqlite_files import CountedConnection
from omnidesk.worker import process
from omnidesk.worker.loop import THREADS

CACHE_KIB = 256  # of SQLite's, for each connection; the worker reads few rows, and seldom again


@event.listens_for(Engine, "connect")
def limit_cache(connection: Any, _record: Any) -> None:
    """Let a connection to SQLite keep less of the database in memory than the usual 2 MB."""
    if isinstance(connection, CountedConnection):
        connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")


def make_app() -> Flask:
    """Return an app with the settings of the environment and a database; raise InvalidSettings."""
    settings = config.from_environment()
    app = Flask("omnidesk", instance_path=str(config.INSTANCE), static_folder=None)
    app.config.from_object(settings)
    app.config["THREADS"] = THREADS + 1  # each with a connection; one claims
    engines.prepare(app.config)
    db.init_app(app)
    return app


if __name__ == "__main__":
    app = make_app()
    dictConfig(log_format.logging_config(app.config["ENV"]))
    process.run(app)
