"""All routes of the app that read, and a row for each of their addresses."""

import re
from typing import Any

from flask import Flask
from sqlalchemy import select

from omnidesk.auth.models import ApiToken
from omnidesk.db import Base, db
from omnidesk.http.rate_limits.storage import RateLimitWindow
from tests.conftest import (
    make_channel,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_identity,
    make_message,
    make_tag,
    make_ticket,
    save,
)
from tests.webhooks import make_webhook


def make_rows(user: Any) -> None:
    """Store a row of each kind, whose id is 1, in a database that has no rows but users."""
    make_identity(make_client())
    make_tag(make_ticket(1))
    make_event(created_by=user.user_id)
    make_comment(ticket_id=1, user_id=user.user_id)
    make_message(make_conversation(client_id=1))
    make_channel()
    make_webhook()
    save(ApiToken.new(user.user_id, "Relay", ["tickets:read"], None))


SEARCHES = ("/api/messages", "/api/search")  # which need a query


def reads(app: Flask) -> list[str]:
    """Return the addresses of all routes below `/api/` that read, for the rows with the id 1.

    Hooks are left out, which answer their provider alone.
    """
    rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    ours = [rule.rule for rule in rules if not rule.endpoint.startswith(("api-docs", "assets"))]
    return sorted(
        re.sub("<[^>]*>", "1", rule) + ("?q=hello" if rule in SEARCHES else "")
        for rule in ours
        if rule.startswith("/api/") and not rule.startswith("/api/hooks/")
    )


def contents() -> dict[str, Any]:
    """Return all rows of all tables, but not how often and when somebody has called."""
    found: dict[str, Any] = {}
    for table in Base.metadata.sorted_tables:
        columns = [column for column in table.columns if column is not LAST_USE]
        if table is not RateLimitWindow.__table__:
            rows = db.session.execute(select(*columns).order_by(*table.primary_key))
            found[table.name] = rows.all()
    db.session.rollback()
    return found


LAST_USE = ApiToken.__table__.c.last_used_at
