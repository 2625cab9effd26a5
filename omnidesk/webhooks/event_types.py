"""The types of events that webhooks ask for, and which of them a change is."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

Columns = Mapping[str, Any]  # what changed, by the names of the columns
CLOSED = "cerrado"


def always(_before: Columns, _after: Columns) -> bool:
    """Return that every change is one."""
    return True


def closes(_before: Columns, after: Columns) -> bool:
    """Return whether a ticket is closed now."""
    return after.get("status") == CLOSED


def reopens(before: Columns, after: Columns) -> bool:
    """Return whether a ticket was closed before, and is not now."""
    return before.get("status") == CLOSED and "status" in after


def assigns(before: Columns, after: Columns) -> bool:
    """Return whether somebody else has a ticket now, or nobody any more."""
    return before.get("assigned_to") != after.get("assigned_to")


def tags(before: Columns, after: Columns) -> bool:
    """Return whether a ticket has other tags now."""
    return (before.get("tags") or []) != (after.get("tags") or [])


def says_more(_before: Columns, after: Columns) -> bool:
    """Return whether a ticket has more to tell than when it was changed, as after a comment."""
    return after.keys() != {"updated_at"}


def delivers(_before: Columns, after: Columns) -> bool:
    """Return whether a message's delivery has another state; `sending` lasts too short to tell."""
    return after.get("delivery_state") not in (None, "sending")


def hands_off(_before: Columns, after: Columns) -> bool:
    """Return whether a bot gives a conversation to people."""
    return after.get("handed_off_at") is not None


class EventType(NamedTuple):
    """A type: the operations of the change log that it can be, and what must hold."""

    name: str
    operations: tuple[str, ...]
    holds: Callable[[Columns, Columns], bool] = always

    @property
    def entity(self) -> str:
        """The kind of row."""
        return self.name.partition(".")[0]


MADE, CHANGED = ("created",), ("updated",)
# Of each entity the most specific first: a delivery has the first one that its webhook asks for.
EVENT_TYPES = (
    EventType("ticket.created", MADE),
    EventType("ticket.closed", MADE + CHANGED, closes),
    EventType("ticket.reopened", CHANGED, reopens),
    EventType("ticket.assigned", MADE + CHANGED, assigns),
    EventType("ticket.tagged", MADE + CHANGED, tags),
    EventType("ticket.updated", CHANGED, says_more),
    EventType("comment.created", MADE),
    EventType("comment.updated", CHANGED),
    EventType("comment.deleted", ("deleted",)),
    EventType("message.created", MADE),
    EventType("message.delivery", CHANGED, delivers),
    EventType("conversation.created", MADE),
    EventType("conversation.handed_off", CHANGED, hands_off),
    EventType("conversation.updated", CHANGED),
    EventType("client.created", MADE),
    EventType("client.updated", CHANGED),
    EventType("client.deleted", ("deleted",)),
    EventType("client.erased", ("erased",)),
    EventType("event.created", MADE),
    EventType("event.updated", CHANGED),
    EventType("event.deleted", ("deleted",)),
)
NAMES = tuple(each.name for each in EVENT_TYPES)
# All types of an entity, also those that later versions add.
GROUPS = tuple(dict.fromkeys(f"{each.entity}.*" for each in EVENT_TYPES))


class LoggedChange(NamedTuple):
    """What the change log has of a change; `before` and `after` are JSON."""

    seq: int
    at: str
    actor: int | None
    entity: str
    entity_id: int
    op: str
    before: str | None
    after: str | None

    def columns(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the changed columns held before, and what they hold now."""
        return orjson.loads(self.before or "{}"), orjson.loads(self.after or "{}")

    def makes_note(self) -> bool:
        """Return whether it is a new note, which is for staff alone."""
        is_message = (self.entity, self.op) == ("message", "created")
        return is_message and self.columns()[1].get("kind") == "note"


def types_of(change: LoggedChange) -> list[str]:
    """Return the types that a change is, the most specific first; none for other changes."""
    found = [
        each
        for each in EVENT_TYPES
        if each.entity == change.entity and change.op in each.operations
    ]
    columns = change.columns() if any(each.holds is not always for each in found) else ({}, {})
    return [each.name for each in found if each.holds(*columns)]


@lru_cache
def wanted(types: str) -> frozenset[str]:
    """Return the names of all types that a webhook asks for in its JSON array."""
    given = orjson.loads(types)
    return frozenset(name for name in NAMES if name in given or f"{name.split('.')[0]}.*" in given)
