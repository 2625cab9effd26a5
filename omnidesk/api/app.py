"""Flask, without what every request would pay for and none needs; with what every answer has."""

import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from time import time
from typing import Any

from flask import Flask, Request, Response, g, request
from flask.sessions import NullSession, SessionInterface
from werkzeug.exceptions import BadRequest
from werkzeug.routing import Map, MapAdapter, Rule

from omnidesk.api.limits import Rate, behind, headers
from omnidesk.api.parsing import StrictRequest
from omnidesk.logs import REQUEST_ID, iso, noter

Headers = list[tuple[str, str]]

DOCS = "/api/docs", "200 OK"
ON_ALL = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer")]
CLOSED = ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
# What Swagger UI needs: its own scripts and styles, and the script in its page.
SWAGGER = (
    "default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src 'self' data:; "
    "script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'"
)
OPEN = ("Content-Security-Policy", SWAGGER)
PRIVATE, VARY = ("Cache-Control", "private"), ("Vary", "Origin")
SANE = re.compile("[A-Za-z0-9._-]{1,64}")


class NoSessions(SessionInterface):
    """No cookies: every request has the same session, which holds nothing and never will."""

    nothing = NullSession()

    def open_session(self, *_: Any) -> NullSession:
        """Give the session that holds nothing."""
        return self.nothing


@lru_cache(maxsize=512)
def routed(routes: Map, path: str, method: str) -> tuple[Rule, dict[str, Any]]:
    """Give the rule of a path, and what is in it: front ends ask for the same again and again."""
    found: Any = MapAdapter(routes, "", "", "", "http", path, method).match(return_rule=True)
    return found  # type: ignore[no-any-return]


class Routes(MapAdapter):
    """The routes as one request sees them."""

    def match(self, *args: Any, **kwargs: Any) -> Any:
        """Give the rule of this request's path; where anything else is asked, that."""
        if args or kwargs != {"return_rule": True}:
            return super().match(*args, **kwargs)
        rule, values = routed(self.map, self.path_info, self.default_method)
        return rule, dict(values)


class App(Flask):
    """An app without sessions and coroutines, whose routes know no hosts.

    Each resource looks at its own requests; what Flask would ask beside that, nobody answers here.
    """

    request_class = StrictRequest
    session_interface = NoSessions()

    def ensure_sync(self, func: Any) -> Any:
        """Give a function as it is: none of ours is a coroutine."""
        return func

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Route by path and method alone: the Host header is whatever a client wrote."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        path = environ["PATH_INFO"].encode("latin1").decode(errors="replace")
        place = request.root_path, "", "http", path, environ["REQUEST_METHOD"]
        return Routes(self.url_map, "", *place)

    def preprocess_request(self) -> None:
        """Refuse a request to no host, or to another server's address (RFC 9112, section 3.2)."""
        environ = request.environ
        nowhere = "HTTP_HOST" not in environ and environ["SERVER_PROTOCOL"] == "HTTP/1.1"
        if nowhere or environ.get("RAW_URI", "")[:1] not in "/*":
            raise BadRequest
        for admit in self.before_request_funcs.get(request.blueprint, ()):
            admit()

    def process_response(self, response: Response) -> Response:
        """Show an answer to those who asked to see it before it is sent, where there are any."""
        asked = self.after_request_funcs
        seen = None in asked or request.blueprint in asked
        return super().process_response(response) if seen else response

    def do_teardown_request(self, *exc: Any) -> None:
        """Do nothing: none of ours waits for the end of a request, but for that of its context."""

    def wsgi_app(self, environ: Any, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request with what belongs on every answer, and note it in the log."""
        began = time()
        environ[REQUEST_ID] = named(environ.get("HTTP_X_REQUEST_ID"))
        if trusted := self.config["TRUSTED_PROXIES"]:
            forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
            environ["REMOTE_ADDR"] = behind(trusted, environ.get("REMOTE_ADDR", ""), forwarded)

        def start(status: str, answer: Headers, exc_info: Any = None) -> Any:
            known = g._get_current_object()
            self.complete(environ, status, answer, known.get("rate"))
            self.note(environ, status, began, known.get("user"))
            return start_response(status, answer, exc_info)

        return super().wsgi_app(environ, start)

    def complete(self, environ: Any, status: str, answer: Headers, rate: Rate | None) -> None:
        """Give an answer the headers that every answer has."""
        names = {name for name, _ in answer}
        answer += ON_ALL
        answer.append(OPEN if (environ["PATH_INFO"], status) == DOCS else CLOSED)
        answer.append(("X-Request-ID", environ[REQUEST_ID]))
        if "Cache-Control" not in names:
            answer.append(PRIVATE)
        if "Vary" not in names and self.config["CORS_ORIGINS"]:
            answer.append(VARY)
        if rate is not None:
            answer += headers(rate)

    def note(self, environ: Any, status: str, began: float, user: Any) -> None:
        """Write into the log whose request of which route was answered how, and how soon."""
        rule, now = environ["werkzeug.request"].url_rule, time()
        noter(self.config["ENV"])(
            {
                "time": iso(now),
                "request_id": environ[REQUEST_ID],
                "method": environ["REQUEST_METHOD"],
                "route": rule and rule.rule,
                "status": int(status[:3]),
                "ms": round(1000 * (now - began), 2),
                "user_id": user and user.user_id,
            }
        )

    def log_exception(self, exc_info: Any) -> None:
        """Say in the log which request met a fault of ours."""
        self.logger.error("Request %s failed", request.environ[REQUEST_ID], exc_info=exc_info)


def named(given: str | None) -> str:
    """Give the name of a request: the client's own, where it is sane, or a new one."""
    return given if given and SANE.fullmatch(given) else os.urandom(8).hex()
