"""Flask, without what every request would pay for and none needs."""

from typing import Any

from flask import Flask, Request
from flask.sessions import NullSession, SessionInterface
from werkzeug.routing import MapAdapter


class NoSessions(SessionInterface):
    """No cookies: every request has the same session, which holds nothing and never will."""

    nothing = NullSession()

    def open_session(self, *_: Any) -> NullSession:
        """Give the session that holds nothing."""
        return self.nothing


class App(Flask):
    """An app without sessions and coroutines, whose routes know no hosts."""

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
        return MapAdapter(self.url_map, "", *place)
