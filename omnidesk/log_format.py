"""The form of the log: JSON lines in production, readable ones in development.

No line holds a secret, and no client can forge one.
"""

import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from flask import has_request_context, request

REQUEST_ID = "omnidesk.request_id"  # in the WSGI environment
REQUESTS = "omnidesk.requests"  # the logger


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields: dict[str, Any] = {"time": iso(record.created), "level": record.levelname}
        fields["logger"], fields["message"] = record.name, printable_message(record)
        if has_request_context():
            fields["request_id"] = request.environ.get(REQUEST_ID)
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(fields).decode()


class TextFormatter(logging.Formatter):
    """Formats a record for a developer to read."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback below it where there is one."""
        line = f"{iso(record.created)[11:19]} {record.levelname:7} {printable_message(record)}"
        if has_request_context() and record.name != REQUESTS:
            line += f", {request.environ.get(REQUEST_ID)}"
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
