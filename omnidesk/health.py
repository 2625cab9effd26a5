"""Health checks: whether the process answers, and whether the database can be used."""

from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

import marshmallow as ma
from flask import current_app
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from omnidesk import migrations
from omnidesk.backlog import oldest_queued_seconds
from omnidesk.db import db, sqlite
from omnidesk.db.requirements import unsuitable
from omnidesk.db.session import READ
from omnidesk.http import Blueprint, ResponseSchema
from omnidesk.http.errors import http_error

blp = Blueprint("health", url_prefix="", description="For load balancers and monitors")


class HealthSchema(ResponseSchema):
    """The check has passed."""

    status = ma.fields.String(metadata={"description": "Always `ok`", "example": "ok"})


class ReadySchema(HealthSchema):
    """The server can work."""

    oldest_queued_seconds = ma.fields.Integer(
        allow_none=True,
        metadata={
            "description": "For how long the oldest waits of what a worker is yet to send; null"
            " for nothing",
            "example": None,
        },
    )

    class Meta:
        """The order of the keys."""

        fields = ("status", "oldest_queued_seconds")


class Readiness(NamedTuple):
    """Why the database is not ready, or what it raises; else what waits to be sent."""

    problem: str | SQLAlchemyError | None
    oldest_queued_seconds: int | None = None


def database_problem() -> str | None:
    """Return why the database cannot be used, None if it can; raise the database's own error."""
    if files := sqlite.files_of(db.engine):
        if files.is_missing():
            return "There is no database: run init-db."
        with sqlite.sqlalchemy_errors():
            files.check()
            files.check_writable()
    return unsuitable() or migrations.fault(migrations.revision())


@lru_cache(maxsize=4)
def readiness_at(_second: int, _engine: Engine) -> Readiness:
    """Return whether the database is ready: it is asked once in a second."""
    try:
        problem = database_problem()
        return Readiness(problem, None if problem else oldest_queued_seconds())
    except SQLAlchemyError as error:
        return Readiness(error)


@blp.get("/healthz")
@blp.public
@blp.response(200, HealthSchema)
def live() -> dict[str, Any]:
    """Tell that the process answers"""
    return {"status": "ok"}


@blp.get("/readyz")
@blp.public
@blp.response(200, ReadySchema)
@blp.alt_response(503, "SERVICE_UNAVAILABLE")
def ready() -> dict[str, Any]:
    """Tell whether the database can be read and written, and its schema is current"""
    problem, oldest = readiness_at(int(monotonic()), db.engines[READ])
    if isinstance(problem, Exception):
        raise problem
    if problem is not None:
        current_app.logger.error("The database is not ready. %s", problem)
        raise http_error(503, {"database": [problem]})
    return {"status": "ok", "oldest_queued_seconds": oldest}
