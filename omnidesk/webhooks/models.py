"""Webhooks: what other systems want to be told of, how far they are, and what they sign with."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

import orjson
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Select,
    String,
    UniqueConstraint,
    bindparam,
    case,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import (
    Base,
    Filters,
    RuleViolation,
    Versioned,
    db,
    enum_type,
    feed_positions,
    json_sql,
    utcnow,
)
from omnidesk.db.change_log import ONE, Change, CommitOrder
from omnidesk.db.clock import NOW
from omnidesk.db.postgresql import advisory_lock
from omnidesk.db.statements import Statement
from omnidesk.egress.signatures import new_secret
from omnidesk.webhooks.deliveries import PENDING, SENT, WebhookDelivery, as_new
from omnidesk.webhooks.event_types import GROUPS, NAMES, LoggedChange, types_of, wanted

MAX_WEBHOOKS = 25
FORMATS = STANDARD, SLACK = "standard", "slack"
MAX_REASON = 200  # code points
BOTH_SIGN = timedelta(hours=24)  # after a rotation
MAX_FAILING = timedelta(days=3)  # without a success
# The tries that they have at least: a clock that was set forward, or a worker that did not run for
# as long, ends nothing.
MIN_FAILURES = 9
TOO_MANY = f"There are {MAX_WEBHOOKS} webhooks, which is the most."


class Webhook(Versioned, Base):
    """Another system that is told of changes, and of which ones."""

    __tablename__ = "webhook"

    webhook_id: Mapped[int] = mapped_column(primary_key=True)
    slot: Mapped[int]  # no two have the same, so that there are never more than slots
    url: Mapped[str] = mapped_column(String(2048))
    types: Mapped[str] = mapped_column(String(1024))  # a JSON array
    format: Mapped[str] = mapped_column(enum_type("format", *FORMATS))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    description: Mapped[str | None] = mapped_column(String(200))
    inactive_reason: Mapped[str | None] = mapped_column(String(MAX_REASON))
    inactive_since: Mapped[datetime | None]
    failing_since: Mapped[datetime | None]  # the first failure since the last success
    warning: Mapped[str | None] = mapped_column(String(MAX_REASON))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    # Signatures are made with them, so that digests would not do.
    secret: Mapped[str] = mapped_column(String(100))
    old_secret: Mapped[str | None] = mapped_column(String(100))
    old_secret_until: Mapped[datetime | None]
    # The last change whose deliveries are made, in the order of commits.
    after_seq: Mapped[int]

    __table_args__ = (
        CheckConstraint(
            f"slot BETWEEN 1 AND {MAX_WEBHOOKS}",
            name="at_most_25",
            info={"field": "webhook_id", "message": TOO_MANY, "conflict": True},
        ),
        CheckConstraint("active = (inactive_since IS NULL)", name="inactive_since"),
        CheckConstraint("inactive_reason IS NULL OR NOT active", name="inactive_reason"),
        UniqueConstraint("slot", info={"field": "webhook_id"}),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def new(cls, types: Iterable[str], **fields: Any) -> Self:
        """Return a new webhook, told of what is changed from now on; raise RuleViolation."""
        advisory_lock("webhooks")
        taken = {*db.session.scalars(select(cls.slot))}
        free = [slot for slot in range(1, MAX_WEBHOOKS + 1) if slot not in taken]
        if not free:
            raise RuleViolation("webhook_id", TOO_MANY, conflict=True)
        row = cls(types=as_json(types), slot=free[0], secret=new_secret(), **fields)
        row.inactive_since = None if row.active else utcnow()
        row.after_seq = db.session.scalars(feed_positions.latest()).one()
        return row

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the webhooks that meet the filters, oldest first."""
        return select(cls).where(*filters.conditions(cls)).order_by(cls.webhook_id)

    def change(self, **fields: Any) -> None:
        """Set these fields; what is active again goes on where it was."""
        if "types" in fields:
            fields["types"] = as_json(fields["types"])
        was_active = self.active
        super().change(**fields)
        if fields.get("active"):
            self.warning = None
        if self.active and not was_active:
            self.activate()
        elif was_active and not self.active:
            self.inactive_since = utcnow()

    def activate(self) -> None:
        """Forget why it was inactive, and let all that is pending be tried from the beginning."""
        self.inactive_reason = self.inactive_since = self.failing_since = None
        pending = update(WebhookDelivery).where(
            WebhookDelivery.webhook_id == self.webhook_id,
            WebhookDelivery.due_at.is_not(None),
            WebhookDelivery.lease.is_(None),
            WebhookDelivery.attempts > 0,  # others are due already
        )
        db.session.execute(
            pending.values(as_new()), execution_options={"synchronize_session": False}
        )

    def deactivate(self, reason: str) -> None:
        """Let nothing be sent any more, until an admin says otherwise."""
        if self.active:
            self.active, self.inactive_since = False, utcnow()
            self.inactive_reason = reason[:MAX_REASON]

    def note_failure(self, error: str, *, is_gone: bool, now: datetime) -> None:
        """Note that it was not told, as the receiver is gone or for another reason."""
        self.failing_since = self.failing_since or now
        if is_gone:
            self.deactivate("It answered 410: it wants to be told nothing more.")
        elif now - self.failing_since >= MAX_FAILING and self.failures() >= MIN_FAILURES:
            self.deactivate(f"It has failed for three days. {error}")

    def failures(self) -> int:
        """Return how many tries have failed, of what was tried since the first failure."""
        cls = WebhookDelivery
        mine = cls.webhook_id == self.webhook_id, cls.state != SENT
        tries = select(func.sum(cls.attempts)).where(*mine, cls.attempted_at >= self.failing_since)
        return db.session.scalar(tries) or 0

    def rotate(self) -> None:
        """Make a new secret; the one so far signs, too, for a day."""
        self.old_secret, self.old_secret_until = self.secret, utcnow() + BOTH_SIGN
        self.secret = new_secret()

    def type_for(self, change: LoggedChange) -> str | None:
        """Return the type of event that the webhook gets for a change; None for none."""
        return type_for(self.types, self.format, change)


def type_for(types: str, format_: str, change: LoggedChange) -> str | None:
    """Return the type of event that a webhook with these types gets for a change; None for none.

    Notes are for staff alone: people who read along in a chat are not told of them.
    """
    names = wanted(types)
    found = next((name for name in types_of(change) if name in names), None)
    return None if found and format_ == SLACK and change.makes_note() else found


def as_json(types: Iterable[str]) -> str:
    """Return names of types as a JSON array, each once."""
    given = {*types}
    return orjson.dumps([name for name in (*GROUPS, *NAMES) if name in given]).decode()


EXISTS = Statement(
    select(Webhook.webhook_id).where(
        Webhook.webhook_id == bindparam("webhook_id", type_=Webhook.webhook_id.type)
    )
)


def oldest_pending() -> Select[str]:
    """Select since when the oldest waits that is to be sent, as JSON; null for none.

    That is a delivery that is due or was tried without success, or a change whose deliveries are
    not made yet. What is tried again has been waiting since it was made.
    """
    theirs = WebhookDelivery.webhook_id == Webhook.webhook_id
    overdue = select(func.min(WebhookDelivery.due_at)).where(theirs, WebhookDelivery.due_at <= NOW)
    tried = select(case((WebhookDelivery.attempts > 0, WebhookDelivery.created_at))).where(
        theirs, WebhookDelivery.state == literal_column(f"'{PENDING}'")
    )
    first = tried.order_by(WebhookDelivery.delivery_id).limit(ONE)
    waiting = [
        select(func.min(each.correlate(Webhook).scalar_subquery()).label("at")).where(
            Webhook.active
        )
        for each in (overdue, first)
    ]
    order, position = CommitOrder.of(Change), select(func.min(Webhook.after_seq))
    after = position.where(Webhook.active).scalar_subquery()
    behind = after.is_not(None), tuple_(order, Change.seq) > tuple_(order.at(after), after)
    made = select(Change.at).where(Change.is_settled(), *behind).order_by(order, Change.seq)
    all_ = union_all(*waiting, select(made.limit(ONE).subquery().c.at)).subquery()
    return select(json_sql.JsonTime(func.min(all_.c.at)).label("oldest"))
