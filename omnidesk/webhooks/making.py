"""Deliveries are made from the change log, each once, whatever commits meanwhile.

Changes are read before anything is locked. Then one transaction locks the webhooks that are still
where they were, stores their deliveries and moves them on: of two workers one finds them moved.
Webhooks at the same position share a reading; one that is behind stops where others are, and goes
on with them.
"""

from collections.abc import Container, Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import bindparam, select, update

from omnidesk.db import db
from omnidesk.db.clock import NOW
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.inserts import insert_or_conflict
from omnidesk.webhooks.deliveries import PENDING, WebhookDelivery
from omnidesk.webhooks.event_types import LoggedChange
from omnidesk.webhooks.feed import AT_ONCE, Position, changes_after, positions
from omnidesk.webhooks.models import Webhook, type_for

TABLE = Webhook.__table__
MISSED = "It was not told of changes up to {}, which the change log no longer has."
# Others that are locked are being changed, or moved by another worker: later.
STILL_THERE = (
    select(TABLE.c.webhook_id, TABLE.c.types, TABLE.c.format, DatabaseId.value().label("id"))
    .where(
        TABLE.c.webhook_id.in_(bindparam("webhook_ids", expanding=True)),
        TABLE.c.after_seq == bindparam("after"),
        TABLE.c.active,
    )
    .order_by(TABLE.c.webhook_id)
    .with_for_update(of=TABLE, skip_locked=True, key_share=True)
)


def make_deliveries() -> bool:
    """Make the deliveries of the next changes; return whether there are more at once."""
    groups: dict[int, list[int]] = {}
    for place in positions():
        groups.setdefault(from_start(place), []).append(place.webhook_id)
    more = False
    while groups:
        after = min(groups)
        webhook_ids = groups.pop(after)
        page = up_to_others(changes_after(after), groups)
        if not page:
            continue
        move(webhook_ids, after, page)
        groups.get(page[-1].seq, []).extend(webhook_ids)
        more = more or len(page) == AT_ONCE
    return more


def from_start(place: Position) -> int:
    """Return where a webhook goes on; where the log has not all changes any more, say so in it."""
    if place.after_seq >= place.start:
        return place.after_seq
    webhook = db.session.get(Webhook, place.webhook_id, with_for_update={"key_share": True})
    if webhook is not None and webhook.after_seq < place.start:
        webhook.after_seq, webhook.warning = place.start, MISSED.format(place.start)
    db.session.commit()
    return place.start


def up_to_others(page: Sequence[LoggedChange], others: Container[int]) -> Sequence[LoggedChange]:
    """Return the changes up to the first where other webhooks are."""
    for number, change in enumerate(page, start=1):
        if change.seq in others:
            return page[:number]
    return page


def move(webhook_ids: Sequence[int], after: int, page: Sequence[LoggedChange]) -> None:
    """Store the deliveries of changes for the webhooks that are there still, and move these on."""
    found = db.session.execute(STILL_THERE, {"webhook_ids": webhook_ids, "after": after}).all()
    rows = [
        row_of(webhook.webhook_id, webhook.id, change, type_)
        for webhook in found
        for change in page
        if (type_ := type_for(webhook.types, webhook.format, change))
    ]
    store(rows)
    moved = [webhook.webhook_id for webhook in found]
    on = update(TABLE).where(TABLE.c.webhook_id.in_(moved)).values(after_seq=page[-1].seq)
    db.session.execute(on)  # no new version, as nobody sees it
    db.session.commit()


def row_of(webhook_id: int, database_id: str, change: LoggedChange, type_: str) -> dict[str, Any]:
    """Return the values of a new delivery."""
    made = {"webhook_id": webhook_id, "seq": change.seq, "type": type_}
    return made | {"database_id": database_id, "state": PENDING}


def store(rows: Iterable[dict[str, Any]]) -> None:
    """Store new deliveries; one that is there already, of a replay, stays."""
    if rows := [*rows]:
        db.session.execute(insert_new(db.engine.name), rows)


@cache
def insert_new(database: str) -> Any:
    """Return the insert of deliveries that are due now."""
    new = insert_or_conflict(WebhookDelivery.__table__, database).values(due_at=NOW)
    return new.on_conflict_do_nothing(index_elements=["webhook_id", "seq"])
