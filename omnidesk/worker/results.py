"""What became of a message that was sent to a provider, stored."""

from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from omnidesk.channels.models import Channel
from omnidesk.clients.models import Client
from omnidesk.conversations.deliveries import CANCELLED, FAILED, QUEUED, SENDING, SENT, UNKNOWN
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.providers.outgoing import MAX_REASON, Outcome, Refused, Sent, TryAgain
from omnidesk.worker.outbox import LEASES, ClaimedMessage, log, release
from omnidesk.worker.retries import delay_after, is_over
from omnidesk.worker.transactions import in_time


@in_time()
def record(claimed: ClaimedMessage, outcome: Outcome) -> None:
    """Note what became of a message and give its conversation back; commit it."""
    outcome = kept(outcome, claimed.channel)
    try:
        store(claimed, outcome)
    except IntegrityError:  # another message of the conversation has its id
        db.session.rollback()
        if not isinstance(outcome, Sent):
            raise
        store(claimed, Sent(None))
    db.session.commit()


def store(claimed: ClaimedMessage, outcome: Outcome) -> None:
    """Note it without committing. Locks are taken in the order of all: outbox, message."""
    has_lease = LEASES.renew(claimed.conversation_id, claimed.lease)
    message = db.session.get(Message, claimed.message_id, with_for_update={"key_share": True})
    if message is not None and (has_lease or is_news(message, outcome)):
        with db.session.no_autoflush:  # or the change log would have the error as it came
            note(message, claimed, outcome)
        db.session.flush()
    if not has_lease:
        return
    if message is not None and message.delivery_state == QUEUED and isinstance(outcome, TryAgain):
        attempts = claimed.attempts + 1
        delay = delay_after(attempts, outcome.after)
        LEASES.release(claimed.conversation_id, claimed.lease, delay, attempts=attempts)
    else:
        release(claimed.conversation_id, claimed.lease)


def is_news(message: Message, outcome: Outcome) -> bool:
    """Return whether an answer still counts that came when others had the conversation.

    They have noted that the message is `unknown`. If it is sent again since, only that it was sent
    is news.
    """
    return isinstance(outcome, Sent) or message.delivery_state == UNKNOWN


def kept(outcome: Outcome, channel: Channel) -> Outcome:
    """Return what became of a message with a reason that has no secrets and is not too long."""
    if isinstance(outcome, Sent):
        return outcome
    return replace(outcome, reason=channel.without_secrets(outcome.reason)[:MAX_REASON])


def is_erased(message: Message) -> bool:
    """Return whether the client of a message was erased."""
    theirs = select(Client.erasure).join(Conversation, Conversation.client_id == Client.client_id)
    erasure = theirs.where(Conversation.conversation_id == message.conversation_id)
    return db.session.scalar(erasure) is not None


def note(message: Message, claimed: ClaimedMessage, outcome: Outcome) -> None:
    """Note on a message what became of it, unless more is known already."""
    if isinstance(outcome, Sent):
        if outcome.external_message_id is not None:  # another than before where it is sent again
            message.external_message_id = outcome.external_message_id
        changed = message.note_delivery(SENT)
    elif isinstance(outcome, Refused):
        changed = message.note_delivery(FAILED, outcome.reason)
    elif isinstance(outcome, TryAgain):
        changed = note_try(message, claimed, outcome)
    else:
        changed = message.note_delivery(UNKNOWN, outcome.reason)
    if changed:
        if message.delivery_error is not None and is_erased(message):
            message.delivery_error = None
        fields = {"message_id": message.message_id, "channel_id": claimed.channel.channel_id}
        log(str(message.delivery_state), message.delivery_error, **fields)


def note_try(message: Message, claimed: ClaimedMessage, outcome: TryAgain) -> bool:
    """Note that it will be sent later, or that it was tried for long enough."""
    if message.delivery_state not in {QUEUED, SENDING}:
        return False
    if is_over(claimed.attempts + 1, claimed.queued_at):
        return message.note_delivery(FAILED, outcome.reason)
    if message.deleted_at is not None or is_erased(message) or was_taken_over(message):
        message.set_delivery(CANCELLED)  # as what was queued then
        return True
    message.set_delivery(QUEUED, outcome.reason)
    message.delivery_at = claimed.queued_at  # since when it waits
    return True


def was_taken_over(message: Message) -> bool:
    """Return whether people took the conversation from the bot while its message was being sent.

    A trigger cancels what was queued then. A bot that gave it away itself has sent it before.
    """
    if message.sender != "bot":
        return False
    conversation = db.session.get_one(Conversation, message.conversation_id)
    handed_off_at = conversation.handed_off_at
    gave_it_away = handed_off_at is not None and handed_off_at >= message.created_at
    return not (conversation.handled_by_bot or gave_it_away)
