"""The log: JSON lines in production, readable ones in development; a line for each request.

No line holds a secret, and no client can forge one.
"""

import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from time import time
from typing import Any

import orjson
from flask import Response, current_app, g, has_request_context, request

from omnidesk.http.middleware import REQUEST_ID

requests = logging.getLogger("omnidesk.requests")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {"time": iso(record.created), "level": record.levelname, "logger": record.name}
        fields["message"] = printable_message(record)
        if has_request_context():
            fields["request_id"] = request.environ[REQUEST_ID]
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


class TextFormatter(logging.Formatter):
    """Formats a record for a developer to read."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it where there is one."""
        line = f"{iso(record.created)[11:19]} {record.levelname:7} {printable_message(record)}"
        if has_request_context() and record.name != requests.name:
            line += f", {request.environ[REQUEST_ID]}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def iso(seconds: float) -> str:
    """Return a time in UTC, to the millisecond, from seconds since 1970."""
    return f"{iso_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(maxsize=1)
def iso_second(seconds: int) -> str:
    """Return a time in UTC, to the second; most requests share theirs with the one before."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def printable_message(record: logging.LogRecord) -> str:
    """Return a record's message with its control characters escaped.

    Of gunicorn's message on an invalid request, only who sent it: the rest is a client's bytes.
    """
    text = record.getMessage()
    if text.startswith("Invalid request from"):
        text = text.partition(": ")[0]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def logging_config(env: str) -> dict[str, Any]:
    """Return the settings of `logging.config.dictConfig` for `production` or `development`."""
    formatter = JsonFormatter if env == "production" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
            "omnidesk": {"level": "INFO"},
        },
    }


def log_response(response: Response) -> Response:
    """Log an answered request: who asked for which route, the status, and the milliseconds."""
    now, asked, user = time(), request._get_current_object(), g.get("user")  # type: ignore[attr-defined]
    fields = {
        "time": iso(now),
        "request_id": asked.environ[REQUEST_ID],
        "method": asked.method,
        "route": asked.url_rule and asked.url_rule.rule,
        "status": response.status_code,
        "ms": round(1000 * (now - asked.started_at), 2),
        "user_id": user and user.user_id,
    }
    if current_app.config["ENV"] == "production":
        write_line(fields)
    else:
        requests.info(
            "%(method)s %(route)s %(status)s in %(ms)s ms, user %(user_id)s, %(request_id)s", fields
        )
    return response


def write_line(fields: dict[str, Any]) -> None:
    """Write a line in one system call; the logging module would take several times as long."""
    with suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), orjson.dumps(fields) + b"\n")
