"""Cross-origin requests (CORS, Fetch standard): which pages may call, and what they may read."""

from flask import Flask
from flask_cors import CORS

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
REQUEST_HEADERS = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "X-Request-ID",
]
RESPONSE_HEADERS = [
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Total-Count",
]


def init_app(app: Flask) -> None:
    """Let the pages of the origins in the settings call the app, if there are any."""
    if origins := app.config["CORS_ORIGINS"]:
        CORS(
            app,
            origins=origins,
            methods=METHODS,
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
            always_send=False,
        )
