"""JSON as it leaves: UTF-8, without blanks, in the order it was written in."""

from collections.abc import Iterable
from typing import Any

import orjson
from flask import Response
from flask.json.provider import DefaultJSONProvider


class Json(DefaultJSONProvider):
    """Flask's JSON, but that answers are encoded by orjson."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Give the answer with this body."""
        answer = self._prepare_response_obj(args, kwargs)
        return json(orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS))


def json(body: str | bytes) -> Response:
    """Give the answer whose body is JSON already."""
    return Whole(body, content_type="application/json")


class Whole(Response):
    """An answer that is all there, and need not be looked through for what it might lack."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Send it: as it is if it has a body, else as werkzeug knows to."""
        if self.status_code != 200 or environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        start_response(self.status, list(self.headers))
        return self.response  # type: ignore[return-value]
