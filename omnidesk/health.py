"""Health checks: whether the process answers, and whether the database can be used."""

from functools import lru_cache
from time import monotonic
from typing import Any

import marshmallow as ma
from flask import current_app
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from omnidesk import migrations
from omnidesk.db import db, sqlite
from omnidesk.db.requirements import unsuitable
from omnidesk.db.session import READ
from omnidesk.http import Blueprint, ResponseSchema
from omnidesk.http.errors import http_error

blp = Blueprint("health", url_prefix="", description="For load balancers and monitors")


class HealthSchema(ResponseSchema):
    """The check has passed."""

    status = ma.fields.String(metadata={"description": "Always `ok`", "example": "ok"})


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
def problem_at(_second: int, _engine: Engine) -> str | SQLAlchemyError | None:
    """Return why the database is not ready, or what it raises: it is asked once in a second."""
    try:
        return database_problem()
    except SQLAlchemyError as error:
        return error


@blp.get("/healthz")
@blp.public
@blp.response(200, HealthSchema)
def live() -> dict[str, Any]:
    """Tell that the process answers"""
    return {"status": "ok"}


@blp.get("/readyz")
@blp.public
@blp.response(200, HealthSchema)
@blp.alt_response(503, "SERVICE_UNAVAILABLE")
def ready() -> dict[str, Any]:
    """Tell whether the database can be read and written, and its schema is current"""
    problem = problem_at(int(monotonic()), db.engines[READ])
    if isinstance(problem, Exception):
        raise problem
    if problem is not None:
        current_app.logger.error("The database is not ready. %s", problem)
        raise http_error(503, {"database": [problem]})
    return {"status": "ok"}
