"""JSON as it leaves: UTF-8, without blanks, in the order it was written in."""

from typing import Any

import orjson
from flask import Response
from flask.json.provider import DefaultJSONProvider


class Json(DefaultJSONProvider):
    """Flask's JSON, but that answers are encoded by orjson."""

    sort_keys = False

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Give the answer with this body."""
        body = orjson.dumps(self._prepare_response_obj(args, kwargs))
        return Response(body, mimetype=self.mimetype)
