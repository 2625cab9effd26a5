"""The log: JSON lines in production, readable ones in development; a line for each request.

No line holds a secret, and no client can forge one.
"""

import logging
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from time import time
from typing import Any

import orjson
from flask import has_request_context, request

REQUEST_ID, USER_ID = "omnidesk.request_id", "omnidesk.user_id"  # in the WSGI environment
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
            # SQLAlchemy's messages, whose logger has the name of the pool's class.
            "omnidesk.db.sqlite.WritePool": {"level": "WARNING"},
        },
    }


@cache
def documented_path(rule: str) -> str:
    """Return Flask's pattern of a route as in the OpenAPI document: `/api/tickets/{ticket_id}`."""
    return re.sub("<(?:[^<>]*:)?([^<>:]+)>", r"{\1}", rule)


def log_writer(env: str) -> Callable[[dict[str, Any], int, float], None]:
    """Return what logs an answered request, from its environment, status and time of arrival."""
    write = write_json if env == "production" else write_text

    def log(environ: dict[str, Any], status: int, started_at: float) -> None:
        now, request_ = time(), environ.get("werkzeug.request")
        rule = request_ and request_.url_rule
        write(
            {
                "time": iso(now),
                "request_id": environ[REQUEST_ID],
                "method": environ["REQUEST_METHOD"],
                "route": rule and documented_path(rule.rule),
                "status": status,
                "ms": round(1000 * (now - started_at), 2),
                "user_id": environ.get(USER_ID),
            }
        )

    return log


def write_json(fields: dict[str, Any]) -> None:
    """Write a line in one system call; the logging module would take several times as long."""
    with suppress(OSError, ValueError, AttributeError):  # it is closed, or its disk is full
        os.write(sys.stderr.fileno(), orjson.dumps(fields) + b"\n")


def write_text(fields: dict[str, Any]) -> None:
    """Write a line for a developer to read."""
    requests.info(
        "%(method)s %(route)s %(status)s in %(ms)s ms, user %(user_id)s, %(request_id)s", fields
    )
