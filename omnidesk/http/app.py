"""What every request and every response has, beside the routes."""

from typing import Any

from flask import Flask, Request, Response, current_app, request
from flask.json.provider import DefaultJSONProvider

from omnidesk.http import errors
from omnidesk.http.blueprint import authenticated
from omnidesk.http.errors import http_error
from omnidesk.http.middleware import HeadersAndLog
from omnidesk.http.parsing import StrictRequest
from omnidesk.http.proxies import Proxies
from omnidesk.http.rate_limits import RateLimits, storage
from omnidesk.http.targets import has_no_host, is_malformed


def init_app(app: Flask) -> None:
    """Register what holds for every request and response."""
    app.request_class = StrictRequest
    app.json = JsonProvider(app)
    storage.init_app(app)
    app.extensions["rate_limits"] = RateLimits(app)
    app.wsgi_app = HeadersAndLog(app.wsgi_app, app.config)  # type: ignore[method-assign]
    if app.config["TRUSTED_PROXIES"] or app.config["SCRIPT_NAME"]:
        app.wsgi_app = Proxies(app.wsgi_app, app.config)  # type: ignore[method-assign]
    app.before_request(admit)
    errors.init_app(app)


class JsonProvider(DefaultJSONProvider):
    """Flask's JSON, with responses in UTF-8, without white space and with their keys in order."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the response with this body."""
        body = self._prepare_response_obj(args, kwargs)
        text = self.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return current_app.response_class(text, mimetype=self.mimetype)


def admit() -> None:
    """Refuse a request to no host, to another server's address, or to a malformed path.

    Of others, count those that no resource counts; raise 400, or 429 for too many.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    sent: Request = request._get_current_object()  # type: ignore[attr-defined]
    if has_no_host(sent.environ) or is_malformed(sent.environ):
        app.extensions["rate_limits"].count_request(None, sent.remote_addr)
        raise http_error(400)
    view = app.view_functions.get(sent.endpoint or "")
    if sent.method == "OPTIONS" or "_apidoc" not in getattr(view, "__dict__", ()):
        count_unrouted(app.extensions["rate_limits"])


def count_unrouted(rate_limits: RateLimits) -> None:
    """Count a request that no resource counts; raise 429 for too many.

    These are unknown paths, methods that a path does not support, documents and preflights.
    """
    asks = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in request.environ
    if asks and request.method == "OPTIONS":
        rate_limits.count_preflight(request.remote_addr)
    elif rate_limits.requests:
        user, _ = authenticated(request.environ.get("HTTP_AUTHORIZATION", ""))
        rate_limits.count_request(user, request.remote_addr)
