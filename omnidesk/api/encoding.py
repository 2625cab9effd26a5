"""JSON as it leaves: UTF-8, without blanks, in the order it was written in."""

from typing import Any

import orjson
from flask import Response, current_app
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
    return current_app.response_class(body, mimetype="application/json")
