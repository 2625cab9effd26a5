"""Deliveries are sent in batches, each to one webhook by one thread, and recorded together.

A batch ends at the first failure, or where a receiver that has just taken one refuses the next, at
the second in a row: a receiver that does not work is asked for one thing at a time.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from random import uniform
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, select, update

from omnidesk.db import db, sqlite, utcnow
from omnidesk.db.clock import NOW
from omnidesk.db.leases import Leases
from omnidesk.db.request_deadline import within_deadline
from omnidesk.db.statements import Statement
from omnidesk.webhooks.bodies import standard_body
from omnidesk.webhooks.deliveries import FAILED, SENT, WebhookDelivery, message_id
from omnidesk.webhooks.event_types import LoggedChange
from omnidesk.webhooks.feed import READ_TOGETHER, changes_of
from omnidesk.webhooks.models import SLACK, Webhook
from omnidesk.webhooks.reading import InTurn
from omnidesk.webhooks.requests import Outcome, Target
from omnidesk.webhooks.slack import slack_body

# Seconds between the tries: the schedule of Standard Webhooks 1.0.
HOUR = 3600
SCHEDULE = (5, 300, 1800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
JITTER = 0.1  # of each of them, more or less
MAX_WAIT = 24.0 * HOUR
BATCH = 50  # deliveries
BATCH_SECONDS = 2.0  # after which what was sent is recorded: a crash repeats it
MAX_DATABASE_WAIT = 10.0  # seconds for SQLite's write lock
NOT_LOGGED = "The change log no longer has the change."
NOTE_IN_SLACK = "A note is not told in the format slack."
NEVER_TOLD = (NOT_LOGGED, NOTE_IN_SLACK)  # errors that are not the receiver's

logger = logging.getLogger("omnidesk.worker")

TABLE = WebhookDelivery.__table__
LEASES = Leases(TABLE, TABLE.c.webhook_id, MAX_WAIT * (1 + JITTER))
DUE = Statement(
    select(Webhook.webhook_id).where(
        Webhook.active,
        select(TABLE.c.delivery_id)
        .where(TABLE.c.webhook_id == Webhook.webhook_id, LEASES.is_due())
        .exists(),
    )
)


class Batch(NamedTuple):
    """Deliveries of one webhook that are leased with a token."""

    webhook_id: int
    token: str
    deliveries: Sequence[Row[Any]]


def claim(webhook_id: int, count: int, token: str) -> list[Batch]:
    """Return at most so many batches of what is due for a webhook, in the order of its making."""
    rows = LEASES.claim(webhook_id, count * BATCH, token)
    db.session.commit()
    rows = sorted(rows, key=lambda row: row.delivery_id)
    size = -(-len(rows) // count)
    return [
        Batch(webhook_id, token, rows[first : first + size])
        for first in range(0, len(rows), max(1, size))
    ]


def send(batch: Batch, stopping: Event) -> bool:
    """Send what it has to an active webhook, and record it; return whether the receiver works.

    It does if it has taken the last one. When the worker ends, what is not begun is given back.
    """
    target = Target.of(batch.webhook_id)
    may_send = target if target is not None and target.active else None
    outcomes = {} if may_send is None else attempt_all(batch, may_send, stopping)
    record(batch, outcomes)
    log_failure(batch.webhook_id, outcomes)
    *_, last = [True, *(not is_failure(outcome) for outcome in outcomes.values())]
    return last


def is_failure(outcome: Outcome) -> bool:
    """Return whether the receiver was not told, and should have been."""
    return not outcome.ok and outcome.error not in NEVER_TOLD


def log_failure(webhook_id: int, outcomes: Mapping[int, Outcome]) -> None:
    """Log which deliveries were not sent, and why."""
    for delivery_id, outcome in outcomes.items():
        if is_failure(outcome):
            fields = {"delivery_id": delivery_id, "webhook_id": webhook_id}
            message = f"Delivery {delivery_id} to webhook {webhook_id} not sent: {outcome.error}"
            logger.info("%s", message, extra={"fields": fields})


def attempt_all(batch: Batch, target: Target, stopping: Event) -> dict[int, Outcome]:
    """Return what became of the deliveries, up to a failure that ends it or while there is time."""
    outcomes: dict[int, Outcome] = {}
    has_taken_one = False  # the last time
    give_up_at = monotonic() + BATCH_SECONDS
    for delivery, change in with_changes(batch.deliveries):
        outcome = outcomes[delivery.delivery_id] = attempt(delivery, change, target)
        ends = is_failure(outcome) and not (has_taken_one and outcome.is_of_this_one)
        if ends or stopping.is_set() or monotonic() > give_up_at:
            break
        has_taken_one = outcome.ok
    return outcomes


def with_changes(
    deliveries: Sequence[Row[Any]],
) -> Iterator[tuple[Row[Any], LoggedChange | None]]:
    """Yield deliveries with their changes, which are read shortly before."""
    for first in range(0, len(deliveries), READ_TOGETHER):
        some = deliveries[first : first + READ_TOGETHER]
        changes = changes_of([delivery.seq for delivery in some])
        for delivery in some:
            yield delivery, changes.get(delivery.seq)


def attempt(delivery: Row[Any], change: LoggedChange | None, target: Target) -> Outcome:
    """Send a delivery; return what became of it."""
    if change is None:
        return Outcome(None, NOT_LOGGED)
    if target.format == SLACK and change.makes_note():  # the format was another one before
        return Outcome(None, NOTE_IN_SLACK)
    write = slack_body if target.format == SLACK else standard_body
    return target.post(message_id(delivery), write(delivery.type, change))


def record(batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
    """Note what became of deliveries, and give back the others, in one transaction."""
    with within_deadline(), sqlite.waiting_at_most(MAX_DATABASE_WAIT):
        note_all(batch, outcomes)
        db.session.commit()


def note_all(batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
    """Note what became of deliveries, of their webhook, and of those that were not begun."""
    note_success_or_failure(batch.webhook_id, outcomes)
    sent: dict[int | None, list[int]] = {}
    for delivery in batch.deliveries:
        outcome = outcomes.get(delivery.delivery_id)
        if outcome is None:
            LEASES.release(delivery.delivery_id, batch.token, 0)
        elif outcome.ok:
            sent.setdefault(outcome.status_code, []).append(delivery.delivery_id)
        else:
            record_failure(batch.token, delivery, outcome)
    for status_code, delivery_ids in sent.items():
        record_sent(batch.token, delivery_ids, status_code)


def record_sent(token: str, delivery_ids: Sequence[int], status_code: int | None) -> None:
    """Note deliveries as sent."""
    mine = update(TABLE).where(TABLE.c.delivery_id.in_(delivery_ids), TABLE.c.lease == token)
    done = {"state": SENT, "due_at": None, "lease": None, "error": None}
    db.session.execute(mine.values(**done, **attempted(status_code)))


def attempted(status_code: int | None) -> dict[str, Any]:
    """Return what is noted of every try."""
    tries = TABLE.c.attempts + 1
    return {"status_code": status_code, "attempts": tries, "attempted_at": NOW}


def record_failure(token: str, delivery: Row[Any], outcome: Outcome) -> None:
    """Note a failure, and when it is tried again, if at all."""
    values = attempted(outcome.status_code) | {"error": outcome.error}
    delay = delay_after(delivery.attempts, outcome)
    if delay is None:
        last = {"state": FAILED, "due_at": None, "lease": None}
        LEASES.set(delivery.delivery_id, token, **values, **last)
    else:
        LEASES.release(delivery.delivery_id, token, delay, **values)


def delay_after(attempts: int, outcome: Outcome) -> float | None:
    """Return the seconds to the next try after so many before this one; None for no more."""
    is_final = outcome.error in NEVER_TOLD or outcome.is_gone
    if is_final or attempts >= len(SCHEDULE):
        return None
    planned = SCHEDULE[attempts] * uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
    return max(planned, min(outcome.retry_after, MAX_WAIT))


def note_success_or_failure(webhook_id: int, outcomes: Mapping[int, Outcome]) -> None:
    """Note in a webhook whether it works, and set it inactive when it has failed for too long."""
    told = [outcome for outcome in outcomes.values() if outcome.error not in NEVER_TOLD]
    if not told:
        return
    failure = None if told[-1].ok else told[-1]
    if failure is None and not IS_FAILING.fetch(webhook_id=webhook_id):
        return
    webhook = db.session.get(Webhook, webhook_id, with_for_update={"key_share": True})
    if webhook is not None:
        if any(outcome.ok for outcome in told):
            webhook.failing_since = None
        if failure is not None:
            webhook.note_failure(failure.error or "", is_gone=failure.is_gone, now=utcnow())
        db.session.flush()


IS_FAILING = InTurn(
    select(Webhook.webhook_id).where(
        Webhook.webhook_id == bindparam("webhook_id"), Webhook.failing_since.is_not(None)
    )
)


def give_back(batch: Batch) -> None:
    """Let others claim a batch that is not sent."""
    record(batch, {})
