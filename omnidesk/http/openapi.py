"""The OpenAPI document and Swagger UI, both served by this process alone."""

from collections.abc import Callable, Collection
from importlib.resources import files
from typing import Any

import marshmallow as ma
from flask import Blueprint, Flask
from flask_smorest import Api as SmorestApi
from flask_smorest.utils import prepare_response
from werkzeug.exceptions import HTTPException, default_exceptions
from werkzeug.routing import BaseConverter, Map
from werkzeug.wrappers import Response

from omnidesk.db import MAX_ID
from omnidesk.http import errors

ASSETS = "/api/docs/assets"
DESCRIPTION = """\
Tickets, clients, calendar events, users and conversations of a help desk.

Every time is ISO 8601 in UTC (`2025-10-29T12:34:56Z`). Lists are bare arrays of `limit` (50) rows;
their `Link` header leads to the next page. Every error is
`{"detail": "<reason phrase>"}`, with `errors` keyed by field where fields are to blame.
"""
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The access_token that POST /api/login gives; paste it as it is.",
}
WAIT = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
RATE = {
    name: {"description": description, "schema": {"type": "string"}, "example": example}
    for name, description, example in (
        (
            "RateLimit-Policy",
            "The limit: its quota, and its window in seconds",
            '"token";q=600;w=60',
        ),
        (
            "RateLimit",
            "What is left of it, and the seconds until its window ends",
            '"token";r=0;t=42',
        ),
    )
}
HEADERS = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "enum": ["Bearer"]}}},
    429: {**WAIT, **RATE},
    503: WAIT,
}


class ErrorSchema(ma.Schema):
    """The JSON form of every error."""

    detail = ma.fields.String(
        required=True, metadata={"description": "The reason phrase of the status"}
    )
    errors = ma.fields.Dict(
        keys=ma.fields.String(),
        metadata={"description": "For each field to blame, what is wrong with it"},
    )


class PreconditionFailedSchema(ErrorSchema):
    """The JSON form of 412, with the row as it is now."""

    current = ma.fields.Dict(keys=ma.fields.String())


class IdConverter(BaseConverter):
    """The id of a row in a path; anything else is no such path."""

    regex = "[1-9][0-9]{0,9}"

    def __init__(self, url_map: Map, example: int = 1) -> None:
        super().__init__(url_map)
        self.example = example

    def to_python(self, value: str) -> int:
        """Return the id, or 0, which no row has, for one above 2147483647."""
        return int(value) if int(value) <= MAX_ID else 0

    def schema(self) -> dict[str, object]:
        """Return the OpenAPI schema of the parameter."""
        return {"type": "integer", "minimum": 1, "maximum": MAX_ID, "example": self.example}


class Api(SmorestApi):  # type: ignore[misc]
    """The API of an app: its documents, its converters and its errors."""

    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(
        self, app: Flask, version: str, authenticate: Callable[[str], Any], scopes: Collection[str]
    ) -> None:
        app.extensions["authenticate"] = authenticate  # returns the user of a token, or None
        app.extensions["scopes"] = scopes  # that API tokens can have
        app.config |= {
            "API_TITLE": "OmniDesk",
            "API_VERSION": version,
            "OPENAPI_VERSION": "3.0.3",
            "OPENAPI_URL_PREFIX": "/api",
            "OPENAPI_SWAGGER_UI_PATH": "/docs" if app.config["ENV"] == "development" else None,
            "OPENAPI_SWAGGER_UI_URL": f"{ASSETS}/",
            "OPENAPI_SWAGGER_UI_CONFIG": {"persistAuthorization": True, "validatorUrl": None},
        }
        app.url_map.merge_slashes = False
        app.url_map.converters["id"] = IdConverter
        app.register_blueprint(
            Blueprint(
                "assets",
                __name__,
                static_folder=str(files("flask_swagger_ui") / "dist"),
                static_url_path=ASSETS,
            )
        )
        info = {"description": DESCRIPTION}
        components = {"securitySchemes": {"BearerAuth": BEARER}}
        super().__init__(app, spec_kwargs={"info": info, "components": components})
        self.register_converter(IdConverter, IdConverter.schema)

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer an HTTP error in the JSON form of all errors."""
        return errors.handle_http_exception(error)

    def _register_responses(self) -> None:
        for status, error in default_exceptions.items():
            answer = {
                "description": error().name,
                "schema": PreconditionFailedSchema if status == 412 else self.ERROR_SCHEMA,
                "example": {"detail": error().name},
                "headers": HEADERS.get(status, {}),
            }
            prepare_response(answer, self.spec, self.DEFAULT_RESPONSE_CONTENT_TYPE)
            self.spec.components.response(errors.status_name(status), answer, lazy=True)

    def _register_pagination_header(self) -> None:
        """Leave out the header of smorest's own pagination, which is not used here."""
