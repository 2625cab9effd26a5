"""The log: JSON lines in production, readable ones in development; no secrets, no forged lines."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from flask import has_request_context, request

REQUEST_ID = "omnidesk.request_id"  # in a request's WSGI environment
access = logging.getLogger("omnidesk.access")


class Line(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        facts = {"time": iso(record.created), "level": record.levelname, "logger": record.name}
        facts["message"] = message(record)
        if has_request_context():
            facts["request_id"] = request.environ[REQUEST_ID]
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(facts).decode()


class Text(logging.Formatter):
    """A record for a developer's eyes."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, with a traceback below it where there is one."""
        line = f"{iso(record.created)[11:19]} {record.levelname:7} {message(record)}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def iso(seconds: float) -> str:
    """Give a time in UTC, to the millisecond."""
    return f"{second(int(seconds))}.{int(seconds % 1 * 1000):03d}Z"


@lru_cache(maxsize=1)
def second(number: int) -> str:
    """Give a second since 1970."""
    return datetime.fromtimestamp(number, UTC).isoformat()[:19]


def message(record: logging.LogRecord) -> str:
    """Give what a record says, its controls escaped; of what is no request, only who sent it."""
    text = record.getMessage()
    if text.startswith("Invalid request from"):
        text = text.partition(": ")[0]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def config(env: str) -> dict[str, Any]:
    """Give what logging.config.dictConfig takes, for a kind of settings."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": Line if env == "production" else Text}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
            "omnidesk": {"level": "INFO"},
        },
    }


def noter(env: str) -> Callable[[dict[str, Any]], None]:
    """Give what notes an answered request, by its facts."""
    return note_as_json if env == "production" else note_as_text


def note_as_json(facts: dict[str, Any]) -> None:
    """Write a line at once and whole: to go by way of a logger costs several times as much."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), orjson.dumps(facts) + b"\n")


def note_as_text(facts: dict[str, Any]) -> None:
    """Write a line by way of a logger."""
    access.info(
        "%(method)s %(route)s %(status)s in %(ms)s ms, user %(user_id)s, %(request_id)s", facts
    )
