"""The queue of messages to clients: each is sent by the provider of its channel.

A connection is made first. Then, in one transaction, the lease is checked and the message is noted
to be `sending`; only then the request is written. So a worker that dies before has sent nothing,
and what it was sending when it died is not sent again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from time import monotonic, sleep
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.conversations.sending import NO_CHAT
from omnidesk.db import db, utcnow
from omnidesk.db.constraints import error_message
from omnidesk.egress import Answer, Connection, NoAnswer, NotConnected, Rules, connect
from omnidesk.providers.outgoing import (
    CannotSend,
    NotConfigured,
    Outcome,
    Refused,
    Request,
    TryAgain,
    Unclear,
)
from omnidesk.providers.sending import PROVIDERS
from omnidesk.worker import outbox
from omnidesk.worker.heartbeat import prune_workers
from omnidesk.worker.outbox import ClaimedMessage
from omnidesk.worker.pacing import Pacer
from omnidesk.worker.results import record
from omnidesk.worker.retries import HOURLY
from omnidesk.worker.transactions import DATABASE_ERRORS

MEND_INTERVAL = 30.0  # seconds between two looks for what is due too late
PRUNED_AT_ONCE = 1000  # rows in a transaction
MAX_BACKOFF = 2.0  # seconds between two tries to store what became of a message
NOT_STORED = (DataError, IntegrityError, ProgrammingError)  # also when it is tried again

logger = logging.getLogger("omnidesk.worker")


class MessageQueue:
    """Messages to clients; a destination is a channel, by its id."""

    name = "messages"

    def __init__(self, settings: Mapping[str, Any], stopping: Event) -> None:
        self.rules, self.stopping, self.pacer = Rules.of(settings), stopping, Pacer()
        self.held_until: dict[int, float] = {}  # channels whose provider wants a pause; monotonic
        self.types: dict[int, str] = {}  # of the channels that something is due for
        self.mend_at = 0.0

    def step(self) -> bool:
        """Bring back what is due too late, now and then."""
        if monotonic() >= self.mend_at:
            outbox.mend()
            self.mend_at = monotonic() + MEND_INTERVAL
        return False

    def due(self) -> list[int]:
        """Return the channels that something is due for, without those that are held."""
        now, self.types = monotonic(), outbox.due()
        return [each for each in self.types if self.held_until.get(each, 0.0) <= now]

    def claim(self, destination: int, count: int) -> Sequence[ClaimedMessage]:
        """Return messages of a channel, no more than its provider takes now."""
        pace = PROVIDERS[self.types[destination]].channel_pace
        if not (room := self.pacer.room(destination, pace, count)):
            return []
        found = outbox.claim(destination, room)
        self.pacer.take(destination, pace, len(found))
        return found

    def send(self, item: ClaimedMessage) -> bool:
        """Send a message; return whether its channel works."""
        provider, chat_id = PROVIDERS[item.channel.type], item.outgoing.chat_id
        try:
            if not chat_id:
                raise CannotSend(NO_CHAT)
            request = provider.request(item.channel, item.outgoing)
        except CannotSend as error:
            return self.note(item, Refused(str(error)))
        except NotConfigured as error:
            return self.note(item, TryAgain(str(error)))
        chat = (item.channel.channel_id, chat_id)
        if wait := self.pacer.wait(chat, provider.chat_pace(chat_id)):
            outbox.give_back(item, wait)
            return True
        return self.post(item, request, provider.outcome)

    def post(
        self, item: ClaimedMessage, request: Request, read: Callable[[Answer], Outcome]
    ) -> bool:
        """Send a request; return whether its channel works."""
        try:
            connection = connect(request.url, self.rules)
        except NotConnected as error:
            return self.note(item, TryAgain(str(error)))
        with connection:
            if self.stopping.is_set():
                self.give_back(item)
                return True
            if not self.begin(item):
                return True
            return self.note(item, self.ask(connection, request, read))

    def begin(self, item: ClaimedMessage) -> bool:
        """Note that a message is being sent; return whether it may be.

        If the database fails, it may have noted that or not. Nothing was sent, so it is queued.
        """
        try:
            return outbox.begin(item)
        except DATABASE_ERRORS as error:
            self.note(item, TryAgain(f"The database failed: {error_message(error)}", after=1.0))
            return False

    @staticmethod
    def ask(connection: Connection, request: Request, read: Callable[[Answer], Outcome]) -> Outcome:
        """Write the request and return what the answer means."""
        try:
            return read(connection.request(request.headers, request.body))
        except NotConnected as error:
            return TryAgain(str(error))
        except NoAnswer as error:
            return Unclear(str(error))

    def note(self, item: ClaimedMessage, outcome: Outcome) -> bool:
        """Store what became of a message, however long that takes; return whether it works."""
        failures = 0
        while True:
            try:
                record(item, outcome)
                break
            except NOT_STORED:  # it stays `sending`, and is `unknown` when its lease has ended
                raise
            except DATABASE_ERRORS as error:
                failures += 1
                if failures == 1:
                    message = "What became of message %s is stored later. %s"
                    logger.warning(message, item.message_id, error_message(error))
                sleep(min(MAX_BACKOFF, 0.05 * 2 ** min(failures, 10)))
        return self.works(item.channel.channel_id, outcome)

    def works(self, channel_id: int, outcome: Outcome) -> bool:
        """Return whether a channel works; note for how long its provider wants nothing more."""
        if not isinstance(outcome, TryAgain):
            return not isinstance(outcome, Unclear)
        if outcome.whose == "chat":
            return True
        if outcome.after is not None:
            self.held_until[channel_id] = monotonic() + min(outcome.after, HOURLY)
        return False

    def give_back(self, item: ClaimedMessage) -> None:
        """Let others claim a message at once."""
        outbox.give_back(item, 0.0)

    def prune(self) -> None:
        """Delete updates that were not understood and are old, and workers that are long gone."""
        prune_workers()
        old = UnsupportedUpdate.received_at < utcnow() - UnsupportedUpdate.MAX_AGE
        key = UnsupportedUpdate.unsupported_update_id
        deleted = PRUNED_AT_ONCE
        while deleted == PRUNED_AT_ONCE:
            some = select(key).where(old).order_by(UnsupportedUpdate.received_at)
            some = some.limit(PRUNED_AT_ONCE)
            done: Any = db.session.execute(delete(UnsupportedUpdate).where(key.in_(some)))
            deleted = done.rowcount
            db.session.commit()
