"""Flask with two shortcuts, which answer what Flask would and leave unusual cases to it.

Of paths that are not sent as a route is written, such as `//api/tickets`, none has a route.

Together they save a whole request more than a twentieth: see "Shortcuts" in CONTRIBUTING.
"""

import re
from collections.abc import Iterable
from typing import Any

from flask import Flask, Request, Response
from werkzeug.exceptions import NotFound
from werkzeug.routing import MapAdapter

from omnidesk.http.targets import is_altered

# Hosts that werkzeug takes as they are: nothing to convert, to refuse or to leave out.
PLAIN_HOST = re.compile(r"([a-z0-9-]{1,63}\.){0,9}[a-z0-9-]{1,63}(:(?!80$|443$)[1-9][0-9]{0,3})?")
PLAIN_PATH = re.compile(r"/[!-~]*")
PLAIN_LOCATION = re.compile(r"(/[\w.-]+)*/?", re.ASCII)  # without anything to quote


class WholeResponse(Response):
    """A response that is sent without a further look, where it has all its body and a length."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Send the response."""
        headers = list(self.headers)
        values = {name.lower(): value for name, value in headers}
        is_whole = (
            type(self) is WholeResponse
            and self.status_code in (200, 201)
            and environ["REQUEST_METHOD"] != "HEAD"
            and type(self.response) is list
            and all(type(part) is bytes for part in self.response)
            and not self._on_close
            and "content-length" in values
            and PLAIN_LOCATION.fullmatch(values.get("location", "/"))
            and "content-location" not in values
        )
        if not is_whole:
            return super().__call__(environ, start_response)
        start_response(self.status, headers)
        body: list[bytes] = self.response  # type: ignore[assignment]
        return body


class App(Flask):
    """An app that looks up routes without parsing a plain `Host`, unless its settings need it."""

    response_class = WholeResponse

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches the request's path, and builds addresses; raise NotFound."""
        if request is not None and is_altered(request.environ):
            raise NotFound
        if request is None or self.needs_host(request):
            return super().create_url_adapter(request)
        environ = request.environ
        host, path = environ.get("HTTP_HOST", ""), environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        if not (PLAIN_HOST.fullmatch(host) and PLAIN_PATH.fullmatch(path) and query.isascii()):
            return super().create_url_adapter(request)
        root, scheme = request.root_path or "/", environ["wsgi.url_scheme"]
        method = environ["REQUEST_METHOD"]
        return MapAdapter(self.url_map, host, root, "", scheme, path, method, query)

    def needs_host(self, request: Request) -> bool:
        """Return whether routes or settings depend on the host of a request, or its protocol."""
        config = self.config
        return bool(
            config["SERVER_NAME"]
            or config["TRUSTED_HOSTS"] is not None
            or request.trusted_hosts is not None
            or self.url_map.host_matching
            or self.url_map.default_subdomain
            or self.subdomain_matching
            or "HTTP_UPGRADE" in request.environ  # perhaps to a WebSocket
        )
