"""What is sent twice is done once and answered alike (the Idempotency-Key header, IETF draft)."""

import hmac
import re
from collections.abc import Callable

import orjson
from flask import Response, current_app, request
from sqlalchemy.exc import OperationalError

from omnidesk.api.encoding import json
from omnidesk.api.errors import failure
from omnidesk.db import db
from omnidesk.idempotency import IdempotencyKey

LOCK_NOT_AVAILABLE = "55P03"
KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "A name for this request, 1 to 255 visible ASCII characters. Sent again with "
    "the same body within a day, it is answered as before, with Idempotent-Replayed: true",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "0d5c64d2-6b67-4cb7-9b3e-0f2a3f4f1f6e",
}


def once(user_id: int, make: Callable[[], Response]) -> Response:
    """Answer what `make` gives, or, where the request's key was used before, what was given then.

    What is made and the answer are committed together. Raises 422 for a key that was used for
    another body, 409 for one whose first request is still running, 400 for one that is none.
    """
    key = request.headers["Idempotency-Key"]
    if not re.fullmatch("[!-~]{1,255}", key):
        raise failure(400, {"Idempotency-Key": ["Must be 1 to 255 visible ASCII characters."]})
    # Keyed, since a body may hold a password, which a plain digest would let others guess at.
    secret = current_app.config["JWT_SECRET_KEY"].encode()
    fingerprint = hmac.digest(secret, request.get_data(), "sha256").hex()
    place = claim(user_id, key, fingerprint)
    if place.fingerprint != fingerprint:
        raise failure(422, {"Idempotency-Key": ["Was used for another body."]})
    if place.status is not None:
        return replay(place)
    answer = make()
    headers = {
        name: answer.headers[name] for name in ("Location", "ETag") if name in answer.headers
    }
    place.status, place.body = answer.status_code, answer.get_data(as_text=True)
    place.headers = orjson.dumps(headers).decode()
    return answer


def claim(user_id: int, key: str, fingerprint: str) -> IdempotencyKey:
    """Give the place of a key; raises 409 while another request has it for long."""
    try:
        return IdempotencyKey.claim(user_id, request.path, key, fingerprint)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == LOCK_NOT_AVAILABLE:
            db.session.rollback()
            raise failure(409, {"Idempotency-Key": ["Its first request is running."]}) from None
        raise


def replay(place: IdempotencyKey) -> Response:
    """Give an answer again."""
    answer = json(place.body or "")
    answer.status_code = place.status or 200
    answer.headers.extend(orjson.loads(place.headers or "{}"))
    answer.headers["Idempotent-Replayed"] = "true"
    return answer
