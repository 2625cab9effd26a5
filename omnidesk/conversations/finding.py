"""Which conversations and messages a list finds."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Select, bindparam, exists, not_, select

from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import FLAGS, SORTS, STATE, Conversation
from omnidesk.db import Filters
from omnidesk.db.scans import Scan, conditions_by, matching_all
from omnidesk.db.search import QUERY, by_words
from omnidesk.db.statements import Statement
from omnidesk.http import PreparedSelect
from omnidesk.http.parameters import one_or_many, values_of
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
    criterion = by_words(Message, filters)
    if "created_since" in filters:
        since = bindparam("created_since", type_=Message.created_at.type)
        conditions = [*criterion.conditions, Message.created_at >= since]
        criterion = criterion._replace(conditions=conditions, exact=False)
    return matching_all(Message, found.order_by(Message.message_id.desc()), [criterion])


# Filters that are conditions of their own, and the order.
SHAPE = ("sort", *FLAGS)
OF_FEW = ("external_chat_id", "client_id")  # filters that few conversations meet
WITHIN_STATE = ("assigned_to", "channel", *STATE)
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


def matching(filters: Filters, *, sort: str = SORTS[0], **flags: bool) -> Select[Conversation]:
    """Select the conversations that meet the filters, latest activity first or sorted.

    Of `unread` and `waiting`, those that are given must be true, or false.
    """
    conditions = conditions_by(Conversation, filters, narrowest(filters))
    found = select(Conversation).where(*conditions)
    for name, wanted in flags.items():
        condition = getattr(Conversation, name)
        found = found.where(condition if wanted else not_(condition))
    return found.order_by(*ordered(sort, waiting=flags.get("waiting")))


def narrowest(filters: Filters) -> list[str]:
    """Return the one filter that fewest conversations meet, where SQLite would choose another."""
    names = [name for name in OF_FEW if name in filters]
    if not names and "assigned_to" in filters and "channel" in filters:
        return ["assigned_to"]
    return names[:1]


def ordered(sort: str, *, waiting: bool | None) -> Iterator[Any]:
    """Yield the ORDER BY clauses; where nobody is waiting, none is for how long."""
    column: Any = getattr(Conversation, sort.removeprefix("-"))
    descending = sort.startswith("-")
    if waiting is not False or column is not Conversation.waiting_since:
        clause = column.desc() if descending else column.asc()
        yield clause.nulls_last() if column.nullable else clause
    row_id: Any = Conversation.conversation_id
    yield row_id.desc() if descending else row_id.asc()


def select_conversations(filters: dict[str, Any]) -> PreparedSelect:
    """Return the conversations that meet the filters."""
    shape = {name: filters.pop(name) for name in SHAPE if name in filters}
    found = with_leavers(filters)
    if (shape or not found.keys().isdisjoint(WITHIN_STATE)) and found.keys().isdisjoint(OF_FEW):
        # An index has these where it is known what is active, and whose turn it is.
        found = {name: [True, False] for name in STATE} | found
    return PreparedSelect(matching, found, **shape)


def with_leavers(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters that for `assigned_to=none` also find what those have who have left."""
    users = values_of(filters.get("assigned_to", 0))
    if None not in users:
        return filters
    leavers = [user_id for (user_id,) in LEAVERS.fetch(active=filters.get("active") is True)]
    return filters | {"assigned_to": one_or_many([*users, *leavers])}
