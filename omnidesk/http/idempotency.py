"""Requests that are sent again are not done again: the Idempotency-Key header (IETF draft)."""

import hmac
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Self

import orjson
from flask import Response, current_app, g, request
from sqlalchemy import ForeignKey, Index, String, Text, bindparam, delete, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, db, utcnow
from omnidesk.db.inserts import insert_or_conflict
from omnidesk.http.errors import http_error
from omnidesk.http.etags import json_response

# Visible ASCII without the comma, by which servers join two headers of one name (RFC 9110, 5.2).
KEY = "[!-+.-~-]{1,255}"
MAX_AGE = timedelta(hours=24)  # of a kept response
LOCK_NOT_AVAILABLE = "55P03"  # a SQLSTATE of PostgreSQL
HEADER = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "A name for this request, 1 to 255 visible ASCII characters without a comma. "
    "Sent again with the same body within a day, it is answered as before, with "
    "Idempotent-Replayed: true",
    "schema": {"type": "string", "pattern": f"^{KEY}$"},
}
REPLAYED = {
    "Idempotent-Replayed": {
        "description": "true where the request was answered before, under the same Idempotency-Key",
        "schema": {"type": "string"},
        "example": "true",
    },
}


class IdempotencyKey(Base):
    """A key that a user sent to a route, with the response to it once there is one."""

    __tablename__ = "idempotency_key"

    user_id: Mapped[int] = mapped_column(ForeignKey("app_user.user_id"), primary_key=True)
    route: Mapped[str] = mapped_column(String(255), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    status: Mapped[int | None]
    headers: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (Index(None, "created_at"),)

    @classmethod
    def claim(cls, user_id: int, route: str, key: str, fingerprint: str) -> Self:
        """Return the key's row: new and locked until we commit, or with the response to it.

        A concurrent request with the same key waits until we have committed or rolled back.
        """
        now, row_id = utcnow(), {"user_id": user_id, "route": route, "key": key}
        values = row_id | {"fingerprint": fingerprint, "created_at": now}
        claimed = claim_statement(db.engine.name), values | {"oldest": now - MAX_AGE}
        is_new = db.session.execute(*claimed).first()
        return cls(**values) if is_new else db.session.get_one(cls, row_id)

    @classmethod
    def prune(cls) -> int:
        """Delete the keys that are older than a day; return how many."""
        old = delete(cls).where(cls.created_at < utcnow() - MAX_AGE).returning(cls.key)
        return len(db.session.execute(old).all())

    def keep(self, response: Response, shown_once: str | None = None) -> None:
        """Store the response, in the transaction of what the request has done.

        The field named `shown_once` is stored as null.
        """
        names = [name for name in ("Location", "ETag") if name in response.headers]
        headers = orjson.dumps({name: response.headers[name] for name in names}).decode()
        body = response.get_data(as_text=True)
        if shown_once is not None:
            body = orjson.dumps(orjson.loads(body) | {shown_once: None}).decode()
        row_id = {f"of_{column.name}": getattr(self, column.name) for column in ROW_ID}
        kept = {"status": response.status_code, "headers": headers, "body": body}
        db.session.execute(KEEP, row_id | kept)

    def replay(self) -> Response:
        """Return the kept response again."""
        response = json_response(self.body or "")
        response.status_code = self.status or 200
        response.headers.extend(orjson.loads(self.headers or "{}"))
        response.headers["Idempotent-Replayed"] = "true"
        return response


# Built once: SQLAlchemy takes longer to build a statement than to run it.
ROW_ID = IdempotencyKey.__table__.primary_key
KEEP = update(IdempotencyKey.__table__).where(
    *(column == bindparam(f"of_{column.name}") for column in ROW_ID)
)


@cache
def claim_statement(database: str) -> Any:
    """Return the insert of a key, or of one in place of one that is older than a day.

    It returns a row where it inserts one.
    """
    table = IdempotencyKey.__table__
    new = insert_or_conflict(table, database)
    unanswered = dict.fromkeys(("status", "headers", "body"))
    return new.on_conflict_do_update(
        index_elements=ROW_ID,
        set_={name: new.excluded[name] for name in ("fingerprint", "created_at")} | unanswered,
        where=table.c.created_at < bindparam("oldest"),
    ).returning(table.c.key)


def respond_once(
    respond: Callable[[], Response], *, body: bytes = b"null", shown_once: str | None = None
) -> Response:
    """Return the response that is kept under the request's key, or else a new one, and keep it.

    `body` is the request's JSON, if its view reads one. Raises 422 for a key that was used with
    another body, 409 while its first request is still running, and 400 for a key that is not well
    formed, or two. The field named `shown_once` is not kept.
    """
    key = request.headers["Idempotency-Key"]
    if not re.fullmatch(KEY, key):
        message = "Must be one key of 1 to 255 visible ASCII characters, without a comma."
        raise http_error(400, {"Idempotency-Key": [message]})
    row = claim(g.user.user_id, key, fingerprint(body))
    if row.status is not None:
        return row.replay()
    response = respond()
    row.keep(response, shown_once)
    return response


def fingerprint(body: bytes) -> str:
    """Return a keyed digest of a body: a plain one would let others guess a password in it.

    White space and the order of the fields make no difference.
    """
    secret = current_app.config["JWT_SECRET_KEY"].encode()
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    return hmac.digest(secret, canonical.encode(), "sha256").hex()


def claim(user_id: int, key: str, digest: str) -> IdempotencyKey:
    """Return the row of a key; raise 409 or 422 where it cannot be used."""
    try:
        row = IdempotencyKey.claim(user_id, request.path, key, digest)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        db.session.rollback()
        raise http_error(409, {"Idempotency-Key": ["Its first request is running."]}) from None
    if row.fingerprint != digest:
        raise http_error(422, {"Idempotency-Key": ["Was used for another body."]})
    return row
