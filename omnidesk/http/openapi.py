"""The OpenAPI document and Swagger UI, both served by this process alone."""

from collections.abc import Callable, Collection
from functools import cached_property
from importlib.resources import files
from typing import Any

import orjson
from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_smorest import Api as SmorestApi
from flask_smorest.utils import prepare_response
from werkzeug.exceptions import default_exceptions
from werkzeug.routing import BaseConverter, Map

from omnidesk.db import MAX_ID
from omnidesk.http.error_schemas import FIELD_ERRORS, ErrorSchema
from omnidesk.http.errors import status_name
from omnidesk.http.fields import VERSION
from omnidesk.http.openapi_fields import PathPlugin, SchemaPlugin, add_functions

ASSETS = "/api/docs/assets"
NEAR_THE_DOCS = ("/", "/docs", "/docs/", "/api", "/api/", "/api/docs/")
DESCRIPTION = """\
Tickets, clients, calendar events, users and conversations of a help desk.

Every time is ISO 8601 in UTC (`2025-10-29T12:34:56Z`). Requests can have another offset than `Z`;
the year is 1970 to 2199, and fractions of a second are dropped. Lists are bare arrays of `limit`
(50) rows; their `Link` header leads to the next page. With `Accept: text/csv` they are CSV files of
up to 10,000 rows, streamed. Every error is
`{"detail": "<reason phrase>"}`, with `errors` keyed by field where fields are to blame.
"""
INFO = {
    "description": DESCRIPTION,
    "contact": {"name": "The operator of this server"},
    "license": {
        "name": "No license: all rights reserved",
        "url": "https://choosealicense.com/no-permission/",
    },
}
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
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "What is wrong with the token (RFC 6750)",
        "schema": {"type": "string"},
        "example": 'Bearer error="invalid_token", error_description="expired"',
    }
}
HEADERS = {
    401: CHALLENGE,
    403: CHALLENGE,
    429: {**WAIT, **RATE},
    503: WAIT,
}
# What an API token gets that may write a row and not read it, by what others get.
WITHOUT_ROW = {
    200: "204 instead of 200",
    201: "201 with `Location` alone",
    409: "409 without `current`",
    412: "412 without `current`",
}


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


def told_of_scopes(scopes: list[str], shown: Any, read_scope: str) -> str:
    """Return what an operation's description says of API tokens.

    `shown` are the responses by status, some of which may show a row that was written.
    """
    if not scopes:
        return "API tokens are refused."
    needed = " and ".join(f"`{scope}`" for scope in scopes)
    text = f"API tokens need the scope {needed}."
    bodies = {
        status for status, each in shown.items() if isinstance(each, dict) and "content" in each
    }
    instead = [told for status, told in WITHOUT_ROW.items() if status in bodies]
    if not instead:
        return text
    return f"{text} Without `{read_scope}`, they get no row back: {', '.join(instead)}."


def to_docs() -> Any:
    """Lead a developer who tries an address to Swagger UI."""
    return redirect(url_for("api-docs.openapi_swagger_ui"))


class Api(SmorestApi):  # type: ignore[misc]
    """The API of an app: its documents and its converters."""

    ERROR_SCHEMA = ErrorSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(
        self, app: Flask, authenticate: Callable[[str], Any], scopes: Collection[str]
    ) -> None:
        app.extensions["authenticate"] = authenticate  # returns the user of a token, or raises 401
        app.extensions["scopes"] = scopes  # that API tokens can have
        shows_docs = app.config["ENV"] == "development"
        app.config |= {
            "API_TITLE": "OmniDesk",
            "API_VERSION": VERSION,
            "OPENAPI_VERSION": "3.0.3",
            "OPENAPI_URL_PREFIX": "/api",
            "OPENAPI_SWAGGER_UI_PATH": "/docs" if shows_docs else None,
            "OPENAPI_SWAGGER_UI_URL": f"{ASSETS}/",
            "OPENAPI_SWAGGER_UI_CONFIG": {"persistAuthorization": True, "validatorUrl": None},
        }
        app.url_map.merge_slashes = False
        app.url_map.converters["id"] = IdConverter
        dist = str(files("flask_swagger_ui") / "dist")
        assets = Blueprint("assets", __name__, static_folder=dist, static_url_path=ASSETS)
        for path in NEAR_THE_DOCS if shows_docs else ():
            assets.add_url_rule(path, "to_docs", to_docs)
        app.register_blueprint(assets)
        document = {
            "info": INFO,
            "servers": [
                {"url": f"http://127.0.0.1:{app.config['PORT']}{app.config['SCRIPT_NAME']}"}
            ],
            "components": {
                "securitySchemes": {"BearerAuth": BEARER},
                "schemas": {"FieldErrors": FIELD_ERRORS},
            },
        }
        plugins = {"flask_plugin": PathPlugin(), "marshmallow_plugin": SchemaPlugin()}
        super().__init__(app, spec_kwargs=plugins | document)
        add_functions(self.ma_plugin.converter)
        self.register_converter(IdConverter, IdConverter.schema)

    @cached_property
    def _document(self) -> dict[str, Any]:
        """The document, made at the first request: that takes longer than to send it."""
        return self.spec.to_dict()  # type: ignore[no-any-return]

    def _openapi_json(self) -> Response:
        """Return the document, with the address at which it was asked for."""
        servers = [
            {"url": request.url_root.rstrip("/")},
            {
                "url": request.script_root or "/",
                "description": "The same, relative to the address of this document",
            },
        ]
        options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
        text = orjson.dumps(self._document | {"servers": servers}, option=options)
        return current_app.response_class(text, mimetype="application/json")

    def _openapi_swagger_ui(self) -> str:
        """Return the page of Swagger UI, whose assets are below that path, too."""
        return render_template(
            "swagger_ui.html",
            title=self.spec.title,
            spec_url=url_for("api-docs.openapi_json"),
            swagger_ui_url=url_for("assets.static", filename=""),
            swagger_ui_config=self.config["OPENAPI_SWAGGER_UI_CONFIG"],
        )

    def _register_error_handlers(self) -> None:
        """Leave errors to the handlers of `omnidesk.http.errors`."""

    def _register_responses(self) -> None:
        for status, error in default_exceptions.items():
            answer = {
                "description": error().name,
                "schema": self.ERROR_SCHEMA,
                "example": {"detail": error().name},
                "headers": HEADERS.get(status, {}),
            }
            prepare_response(answer, self.spec, self.DEFAULT_RESPONSE_CONTENT_TYPE)
            self.spec.components.response(status_name(status), answer, lazy=True)

    def _register_pagination_header(self) -> None:
        """Leave out the header of smorest's own pagination, which is not used here."""
