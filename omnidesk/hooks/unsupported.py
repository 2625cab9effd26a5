"""What providers tell and nobody understands: kept as it came for seven days."""

import json
from typing import Any

from sqlalchemy import Select, bindparam, delete, select

from omnidesk.channels.models import Channel, UnsupportedUpdate
from omnidesk.db import Filters, db, utcnow
from omnidesk.providers.parts import storable

MAX_RAW = UnsupportedUpdate.body.type.length  # code points


def keep(channel: Channel, raw: Any, message_id: int | None = None) -> None:
    """Keep an update, and the message that it was stored as; delete those that are too old."""
    too_old = UnsupportedUpdate.received_at < utcnow() - UnsupportedUpdate.MAX_AGE
    db.session.execute(delete(UnsupportedUpdate).where(too_old))
    if text := raw_text(raw):
        db.session.add(
            UnsupportedUpdate(channel_id=channel.channel_id, message_id=message_id, body=text)
        )


def raw_text(raw: Any) -> str:
    """Return what a provider sent as a text that can be stored."""
    try:
        text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False)
    except RecursionError:
        text = "(nested too deep)"
    return storable(text, MAX_RAW)


def matching(filters: Filters) -> Select[UnsupportedUpdate]:
    """Select the updates that were received since a time and meet the filters, newest first."""
    since = UnsupportedUpdate.received_at >= bindparam("received_since")
    found = select(UnsupportedUpdate).where(
        *filters.conditions(UnsupportedUpdate, "received_since"), since
    )
    return found.order_by(UnsupportedUpdate.unsupported_update_id.desc())
