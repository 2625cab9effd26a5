"""WSGI middleware: the headers of every response, and the request log.

Headers are added here and not by `after_request`, since a WSGI server takes them as a plain list:
as a list they cost a tenth of what they cost in a response's `Headers`.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from time import time
from typing import Any

from omnidesk.db.request_deadline import within_deadline
from omnidesk.http.rate_limits.policy import RATE_LIMIT_HEADERS
from omnidesk.http.request_log import log_writer
from omnidesk.log_format import REQUEST_ID

Headers = list[tuple[str, str]]
Environ = dict[str, Any]

WELL_FORMED_ID = re.compile("[A-Za-z0-9._-]{1,64}")
DOCS = "/api/docs", "200 OK"
SECURITY_HEADERS = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
POLICY = "Content-Security-Policy"
NO_CONTENT = (POLICY, "default-src 'none'; frame-ancestors 'none'")
# What Swagger UI needs: its own scripts and styles, and the script in its page.
DOCS_SOURCES = (
    "default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)
DOCS_CONTENT = (POLICY, DOCS_SOURCES)
# A cache asks before it shows a response again: perhaps the row, the user or the role is another.
PRIVATE = ("Cache-Control", "private, no-cache")


class HeadersAndLog:
    """Gives each request an id, each response the headers of all, and the log a line for both.

    A header that the app has set stays as it is.
    """

    def __init__(self, wsgi_app: Any, config: Mapping[str, Any]) -> None:
        self.wsgi_app = wsgi_app
        self.has_origins = bool(config["CORS_ORIGINS"] or config["LOCAL_ORIGINS"])
        self.log = log_writer(config["ENV"])

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        started_at, given = time(), environ.get("HTTP_X_REQUEST_ID", "")
        well_formed = given and WELL_FORMED_ID.fullmatch(given)
        environ[REQUEST_ID] = given if well_formed else os.urandom(8).hex()

        def start(status: str, headers: Headers, exc_info: Any = None) -> Any:
            self.complete(environ, status, headers)
            self.log(environ, int(status[:3]), started_at)
            return start_response(status, headers, exc_info)

        with within_deadline():
            answer: Iterable[bytes] = self.wsgi_app(environ, start)
        return answer

    def complete(self, environ: Environ, status: str, headers: Headers) -> None:
        """Add the headers that a response lacks: security, caching, its id, limits."""
        given = {name.lower(): value for name, value in headers}
        if status.startswith("204") or given.get("content-length") == "0":  # there is no content
            headers[:] = [header for header in headers if header[0].lower() != "content-type"]
        headers += [header for header in SECURITY_HEADERS if header[0].lower() not in given]
        if "x-request-id" not in given:
            headers.append(("X-Request-ID", environ[REQUEST_ID]))
        if "content-security-policy" not in given:
            is_docs = (environ["PATH_INFO"], status) == DOCS
            headers.append(DOCS_CONTENT if is_docs else NO_CONTENT)
        if "cache-control" not in given:
            headers.append(PRIVATE)
        if environ["REQUEST_METHOD"] != "OPTIONS":
            vary(headers, given, "Authorization, Origin" if self.has_origins else "Authorization")
        elif self.has_origins:  # to a request that carries no token
            vary(headers, given, "Origin")
        headers += environ.get(RATE_LIMIT_HEADERS, ())


def vary(headers: Headers, given: Mapping[str, str], always: str) -> None:
    """Name in one Vary header what the response depends on (RFC 9110, section 12.5.5)."""
    if "vary" in given:
        others = [value for name, value in headers if name.lower() == "vary"]
        headers[:] = [header for header in headers if header[0].lower() != "vary"]
        always = joined(*others, always)
    headers.append(("Vary", always))


@lru_cache
def joined(*values: str) -> str:
    """Return comma-separated names as one list, each name once."""
    return ", ".join(dict.fromkeys(name.strip() for value in values for name in value.split(",")))
