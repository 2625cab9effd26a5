"""What every request and every response has, beside the routes."""

from typing import Any

from flask import Flask, Response, current_app, request
from flask.json.provider import DefaultJSONProvider

from omnidesk.http import errors
from omnidesk.http.errors import http_error
from omnidesk.http.middleware import ClientAddress, HeadersAndLog
from omnidesk.http.parsing import StrictRequest
from omnidesk.http.rate_limits import RateLimits, storage


def init_app(app: Flask) -> None:
    """Register what holds for every request and response."""
    app.request_class = StrictRequest
    app.json = JsonProvider(app)
    storage.init_app(app)
    app.extensions["rate_limits"] = RateLimits(app)
    app.wsgi_app = HeadersAndLog(app.wsgi_app, app.config)  # type: ignore[method-assign]
    if proxies := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ClientAddress(app.wsgi_app, proxies)  # type: ignore[method-assign]
    app.before_request(check_target)
    errors.init_app(app)


class JsonProvider(DefaultJSONProvider):
    """Flask's JSON, with responses in UTF-8, without white space and with their keys in order."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the response with this body."""
        body = self._prepare_response_obj(args, kwargs)
        text = self.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return current_app.response_class(text, mimetype=self.mimetype)


def check_target() -> None:
    """Refuse a request to no host, or to the address of another server (RFC 9112, section 3.2)."""
    environ = request.environ
    no_host = "HTTP_HOST" not in environ and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    if no_host or environ.get("RAW_URI", "")[:1] not in "/*":
        raise http_error(400)
