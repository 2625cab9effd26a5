"""Health checks: whether the process answers, and whether the database can be used."""

from typing import Any

import marshmallow as ma
from flask import current_app

from omnidesk import migrations
from omnidesk.http import Blueprint, ResponseSchema
from omnidesk.http.errors import http_error

blp = Blueprint("health", url_prefix="", description="For load balancers and monitors")


class HealthSchema(ResponseSchema):
    """The check has passed."""

    status = ma.fields.String(metadata={"description": "Always `ok`", "example": "ok"})


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
    """Tell whether the database answers and its schema is current"""
    if (revision := migrations.revision()) != migrations.NEWEST:
        message = f"Its schema is at {revision}, not {migrations.NEWEST}: run init-db."
        current_app.logger.error("The database is not ready. %s", message)
        raise http_error(503, {"database": [message]})
    return {"status": "ok"}
