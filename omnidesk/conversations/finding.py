"""Which conversations and messages a list finds."""

from typing import Any

from sqlalchemy import Select, bindparam, exists, not_, select

from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import ASKED, Conversation
from omnidesk.db import Filters
from omnidesk.db.scans import Scan, seek
from omnidesk.db.search import QUERY, by_words
from omnidesk.db.statements import Statement
from omnidesk.http import PreparedSelect
from omnidesk.users.models import User


def searched(filters: Filters, *, notes: bool) -> Select[Any] | Scan:
    """Select the messages with the words of a query that meet the filters, newest first.

    `client_id` is that of their conversations. Without `notes`, what is for staff is left out.
    """
    compared = ("client_id", "created_since", *QUERY)
    found = select(Message).where(*filters.conditions(Message, *compared))
    if not notes:
        found = found.where(not_(Message.is_note))
    if "client_id" in filters:
        client = filters.condition("client_id", Conversation.client_id)
        found = found.join(Conversation).where(client)
    sought = by_words(Message, filters)
    if "created_since" in filters:
        since = bindparam("created_since", type_=Message.created_at.type)
        conditions = [*sought.conditions, Message.created_at >= since]
        sought = sought._replace(conditions=conditions)
    return seek(Message, found.order_by(Message.message_id.desc()), [sought])


# Filters that are conditions of their own, and the order.
SHAPE = ("sort", *ASKED)
# Whoever has left with conversations: with active ones, or with any.
LEAVERS = Statement(
    select(User.user_id)
    .where(
        User.active.is_(False),
        exists().where(
            Conversation.assigned_to == User.user_id,
            Conversation.active.in_((True, bindparam("active"))),
        ),
    )
    .order_by(User.user_id)
)


def select_conversations(filters: dict[str, Any]) -> PreparedSelect:
    """Return the conversations that meet the filters."""
    shape = {name: filters.pop(name) for name in SHAPE if name in filters}
    found = with_leavers(filters)
    if shape or "assigned_to" in found:  # an index has these where it is known what is active
        found = {"active": [True, False], **found}
    return PreparedSelect(Conversation.matching, found, **shape)


def with_leavers(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters that for `assigned_to=none` also find what those have who have left."""
    asked = filters.get("assigned_to", 0)
    users = asked if isinstance(asked, list) else [asked]
    if None not in users:
        return filters
    leavers = [user_id for (user_id,) in LEAVERS.fetch(active=filters.get("active") is True)]
    found = [*dict.fromkeys([*users, *leavers])]
    return filters | {"assigned_to": found if len(found) > 1 else found[0]}
