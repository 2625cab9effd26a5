"""Cross-origin requests (CORS, Fetch standard): which pages may call, and what they may read."""

import re

from flask import Flask, Response, current_app, request
from flask_cors.core import get_cors_options, set_cors_headers

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
MAX_AGE = 7200  # seconds that a browser remembers a preflight; Chromium caps it at this
RESPONSE_HEADERS = [
    "Allow",
    "Content-Disposition",
    "Date",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
    "X-Total-Count",
]


def init_app(app: Flask) -> None:
    """Let the pages of the origins in the settings call the app, if there are any.

    They may send any header: libraries add some of their own, for tracing or against caches.
    """
    config = app.config
    patterns = [re.escape(origin) for origin in config["CORS_ORIGINS"]]
    patterns += filter(None, [config["LOCAL_ORIGINS"]])
    if not patterns:
        return
    app.before_request(answer_preflight)
    options = {
        # flask-cors takes a text with some characters, as [::1] has, for a pattern.
        "origins": [re.compile(rf"(?:{pattern})\Z") for pattern in patterns],
        "methods": METHODS,
        "expose_headers": RESPONSE_HEADERS,
        "max_age": MAX_AGE,
        "always_send": False,
    }
    computed = get_cors_options(app, options)

    @app.after_request
    def add_headers(response: Response) -> Response:
        """Let the page that asks read the response; most callers are no pages."""
        if "HTTP_ORIGIN" in request.environ:
            set_cors_headers(response, computed)
        return response


def answer_preflight() -> Response | None:
    """Answer a preflight for any path, so that a page can read what the request itself gets."""
    environ = request.environ
    if environ["REQUEST_METHOD"] != "OPTIONS" or "HTTP_ORIGIN" not in environ:
        return None
    if "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ:
        return None
    current_app.extensions["rate_limits"].count_preflight(request.remote_addr)
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response
