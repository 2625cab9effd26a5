"""The one JSON form of every error, and the error that each exception is answered with."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Self

from flask import Flask, Response, current_app, jsonify
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, default_exceptions

from omnidesk.db.constraints import RuleViolation, error_message, rule_violation

RETRY_AFTER = 5  # seconds
MAX_FAULTS = 20  # that an answer lists
MAX_NAME = 100  # code points of a name in an answer: a client may have chosen it


def http_error(status: int, errors: dict[str, Any] | None = None) -> HTTPException:
    """Return the exception that ends a request with this status; `errors` are by field."""
    error = default_exceptions[status]()
    if errors is not None:
        error.errors = listed(errors)  # type: ignore[attr-defined]
    return error


def invalid_token(description: str = "") -> HTTPException:
    """Return the exception for 401 to a token that is not accepted (RFC 6750, section 3.1)."""
    error = http_error(401)
    told = f', error_description="{description}"' if description else ""
    error.challenge = f'Bearer error="invalid_token"{told}'  # type: ignore[attr-defined]
    return error


def insufficient_scope(*scopes: str) -> HTTPException:
    """Return the exception for 403 to an API token that lacks one of these scopes (RFC 6750)."""
    error = http_error(403)
    named = f', scope="{" ".join(scopes)}"' if scopes else ""
    error.challenge = f'Bearer error="insufficient_scope"{named}'  # type: ignore[attr-defined]
    return error


class MoreErrors(str):
    """The message that there are so many more errors."""

    __slots__ = ("number",)
    number: int

    def __new__(cls, number: int) -> Self:
        """Return the message."""
        message = super().__new__(cls, f"{number} more errors.")
        message.number = number
        return message


def listed(errors: dict[str, Any]) -> dict[str, Any]:
    """Return the first errors, and under `_schema` how many there are beside them."""
    more = count_faults(errors) - MAX_FAULTS
    if more <= 0:
        return printable(errors, MAX_FAULTS)
    others = [text for text in errors.get("_schema", []) if not isinstance(text, MoreErrors)]
    errors = {name: messages for name, messages in errors.items() if name != "_schema"}
    shown = printable(errors, MAX_FAULTS - len(others))
    return shown | {"_schema": [*others, MoreErrors(more)]}


def count_faults(errors: Any) -> int:
    """Return how many errors there are, at any depth."""
    if isinstance(errors, dict):
        return sum(map(count_faults, errors.values()))
    return sum(getattr(message, "number", 1) for message in errors)


def printable(errors: dict[Any, Any], limit: int) -> dict[str, Any]:
    """Return so many errors, with short names that UTF-8 can encode."""
    shown: dict[str, Any] = {}
    for name, messages in errors.items():
        if limit <= 0:
            break
        if isinstance(messages, dict):
            found: Any = printable(messages, limit)
        else:
            found = [text for text in messages if not isinstance(text, MoreErrors)][:limit]
        if found:
            text = str(name)[:MAX_NAME].encode(errors="backslashreplace").decode()
            shown[text] = found
            limit -= count_faults(found)
    return shown


def status_name(status: int) -> str:
    """Return the name of a status in the OpenAPI document, such as `NOT_FOUND`."""
    return HTTPStatus(status).name


def error_response(error: HTTPException) -> Response:
    """Return the JSON response to an HTTP error, with the error's own headers."""
    body: dict[str, Any] = {"detail": error.name}
    if errors := getattr(error, "errors", None):
        body["errors"] = errors
    for name in ("current", "oldest_seq"):
        if (told := getattr(error, name, None)) is not None:
            body[name] = told
    response = jsonify(body)
    response.status_code = error.code or 500
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    if challenge := getattr(error, "challenge", "Bearer" if error.code == 401 else None):
        response.headers["WWW-Authenticate"] = challenge
    if error.code == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def handle_http_exception(error: HTTPException) -> Response:
    """Answer an HTTP error; one that brings its own response, with that, as Flask does."""
    found: Any = error.response or error_response(error)
    return found  # type: ignore[no-any-return]


def handled(error: HTTPException) -> Any:
    """Answer an HTTP error by the handler of its status: ours, or one that an extension adds."""
    return current_app.handle_http_exception(error)


def handle_rule_violation(error: RuleViolation) -> Any:
    """Answer 400 or 409 with the field to blame."""
    return handled(http_error(error.status, error.errors))


def handle_integrity_error(error: IntegrityError) -> Any:
    """Answer a broken constraint with the field to blame; raise the error for any other."""
    if violation := rule_violation(error):
        return handle_rule_violation(violation)
    raise error


def handle_database_error(error: DBAPIError | PoolTimeoutError) -> Any:
    """Answer 503 and log the reason; raise an error that is a fault of ours."""
    log_database_error(error)
    return handled(http_error(503))


@contextmanager
def nested_errors(name: str) -> Iterator[None]:
    """Raise the violation of a rule by an object of the body with its errors below its name."""
    try:
        yield
    except (RuleViolation, IntegrityError) as error:
        rule = error if isinstance(error, RuleViolation) else rule_violation(error)
        if rule is None:
            raise
        raise http_error(rule.status, {name: rule.errors}) from None


def log_database_error(error: DBAPIError | PoolTimeoutError) -> None:
    """Log why the database does not answer; raise an error that is a fault of ours."""
    if isinstance(error, DataError):
        raise error
    current_app.logger.error("The database does not answer: %s", error_message(error))


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(HTTPException, handle_http_exception)
    app.register_error_handler(RuleViolation, handle_rule_violation)
    app.register_error_handler(IntegrityError, handle_integrity_error)
    app.register_error_handler(DBAPIError, handle_database_error)
    app.register_error_handler(PoolTimeoutError, handle_database_error)
