"""What every request and every response has: hooks of the app, as Flask's manual describes them."""

from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask.json.provider import DefaultJSONProvider

from omnidesk.http import errors
from omnidesk.http.errors import http_error
from omnidesk.http.parsing import StrictRequest
from omnidesk.http.rate_limits import RateLimits, client_address, rate_limit_headers, storage
from omnidesk.http.request_log import log_request

DOCS_PATH = "/api/docs"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "private",
}
# What Swagger UI needs: its own scripts and styles, and the script in its page.
DOCS_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)


def init_app(app: Flask) -> None:
    """Register what holds for every request and response."""
    app.request_class = StrictRequest
    app.json = JsonProvider(app)
    storage.init_app(app)
    app.extensions["rate_limits"] = RateLimits(app)
    if proxies := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ClientAddress(app.wsgi_app, proxies)  # type: ignore[method-assign]
    app.before_request(check_target)
    app.after_request(finish_response)
    errors.init_app(app)


class JsonProvider(DefaultJSONProvider):
    """Flask's JSON, with responses in UTF-8, without white space and with their keys in order."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the response with this body."""
        body = self._prepare_response_obj(args, kwargs)
        text = self.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return current_app.response_class(text, mimetype=self.mimetype)


class ClientAddress:
    """WSGI middleware: `REMOTE_ADDR` is the client's address, not that of a trusted proxy."""

    def __init__(self, wsgi_app: Any, trusted_proxies: list[Any]) -> None:
        self.wsgi_app, self.trusted_proxies = wsgi_app, trusted_proxies

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request."""
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        peer = environ.get("REMOTE_ADDR", "")
        environ["REMOTE_ADDR"] = client_address(self.trusted_proxies, peer, forwarded)
        found: Iterable[bytes] = self.wsgi_app(environ, start_response)
        return found


def check_target() -> None:
    """Refuse a request to no host, or to the address of another server (RFC 9112, section 3.2)."""
    environ = request.environ
    no_host = "HTTP_HOST" not in environ and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    if no_host or environ.get("RAW_URI", "")[:1] not in "/*":
        raise http_error(400)


def finish_response(response: Response) -> Response:
    """Add the headers of every response, and log the request."""
    headers = response.headers
    if request.path == DOCS_PATH and response.status_code == 200:
        headers["Content-Security-Policy"] = DOCS_POLICY
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers["X-Request-ID"] = request.id  # type: ignore[attr-defined]
    if current_app.config["CORS_ORIGINS"]:
        add_vary(response)
    if usage := g.get("rate_limit_usage"):
        headers.extend(rate_limit_headers(usage))
    log_request(response)
    return response


def add_vary(response: Response) -> None:
    """Tell caches that the response depends on the page that asks (Fetch standard, CORS)."""
    if "Vary" in response.headers:
        response.vary.add("Origin")
    else:
        response.headers["Vary"] = "Origin"
