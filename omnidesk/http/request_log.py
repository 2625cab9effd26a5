"""The log of requests: a line for each, without secrets, that no client can forge."""

import logging
import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from time import time
from typing import Any

import orjson

from omnidesk.log_format import REQUEST_ID, iso

USER_ID = "omnidesk.user_id"  # in the WSGI environment
requests = logging.getLogger("omnidesk.requests")


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
