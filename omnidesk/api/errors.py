"""The one envelope of every error, and what each exception means in it."""

from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, jsonify
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, default_exceptions

from omnidesk.db import Refused, reason, refusal

RETRY_AFTER = 5


def failure(status: int, errors: dict[str, Any] | None = None) -> HTTPException:
    """Give the exception that ends a request with this status and the fields to blame."""
    error = default_exceptions[status]()
    error.errors = printable(errors)  # type: ignore[attr-defined]
    return error


def printable(errors: Any) -> Any:
    """Give errors whose names, which a client may have chosen, can be written as UTF-8."""
    if not isinstance(errors, dict):
        return errors
    return {
        str(name).encode(errors="backslashreplace").decode(): printable(why)
        for name, why in errors.items()
    }


def title(status: int) -> str:
    """Give the name of a status in the OpenAPI document: `NOT_FOUND`."""
    return HTTPStatus(status).name


def envelope(error: HTTPException) -> Response:
    """Give the answer to an HTTP error, with the headers that belong to it."""
    body: dict[str, Any] = {"detail": error.name}
    if errors := getattr(error, "errors", None):
        body["errors"] = errors
    if current := getattr(error, "current", None):
        body["current"] = current
    response = jsonify(body)
    response.status_code = error.code or 500
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    if error.code == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if error.code == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def refused(error: Refused) -> Response:
    """Answer a broken rule of the desk."""
    return envelope(failure(error.status, error.errors))


def constraint_broken(error: IntegrityError) -> Response:
    """Answer what the database refused, as the field that its constraint protects."""
    if rule := refusal(error):
        return refused(rule)
    raise error


def database_away(error: DBAPIError | PoolTimeoutError) -> Response:
    """Answer that the database cannot be asked just now."""
    if isinstance(error, DataError):
        raise error
    current_app.logger.error("The database does not answer: %s", reason(error))
    return envelope(failure(503))


def register(app: Flask) -> None:
    """Let the app answer every error in the envelope."""
    app.register_error_handler(HTTPException, envelope)
    app.register_error_handler(Refused, refused)
    app.register_error_handler(IntegrityError, constraint_broken)
    app.register_error_handler(DBAPIError, database_away)
    app.register_error_handler(PoolTimeoutError, database_away)
