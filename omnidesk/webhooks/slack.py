"""A change as a line of text, in the form that Slack and others take."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import orjson
from sqlalchemy import Connection, select

from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User
from omnidesk.webhooks.event_types import LoggedChange

MAX_TITLE = 200  # code points
MAX_TEXT = 1_000
TITLES = {
    "ticket": "subject",
    "comment": "body",
    "message": "content",
    "conversation": "handoff_reason",
    "client": "full_name",
    "event": "title",
}
VERBS = {"handed_off": "was handed off", "delivery": "has news of its delivery"}
PLACES = {"comment": ("on ticket", "ticket_id"), "message": ("in conversation", "conversation_id")}
# Columns that say nothing to people, or too much.
TIMES = ("_at", "_since", "_until")
LEFT_OUT = {*TITLES.values(), "description", "meta", "turn", "unread_count", "read_up_to"}


class Names(NamedTuple):
    """The names of users, and the subjects of tickets, by their ids."""

    users: Mapping[Any, str] = {}
    tickets: Mapping[Any, str] = {}

    @classmethod
    def of(cls, connection: Connection, changes: Sequence[LoggedChange]) -> Self:
        """Return the names that the texts of some changes have."""
        people = {id_ for change in changes for id_ in (change.actor, assignee(change)) if id_}
        tickets = {change.entity_id for change in changes if change.entity == "ticket"}
        users = select(User.user_id, User.full_name).where(User.user_id.in_(people))
        subjects = select(Ticket.ticket_id, Ticket.subject).where(Ticket.ticket_id.in_(tickets))
        return cls(
            {row[0]: row[1] for row in connection.execute(users)},
            {row[0]: row[1] for row in connection.execute(subjects)},
        )


def assignee(change: LoggedChange) -> int | None:
    """Return to whom something is assigned now."""
    found: int | None = change.columns()[1].get("assigned_to")
    return found


def slack_body(type_: str, change: LoggedChange, names: Names) -> bytes:
    """Return the body for a change as it is told."""
    return text_body(line(type_, change, names))


def text_body(text: str) -> bytes:
    """Return the body for a text."""
    return orjson.dumps({"text": escaped(text)})


def escaped(text: str) -> str:
    """Return a text without what Slack takes for more than text, such as links and mentions."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def line(type_: str, change: LoggedChange, names: Names) -> str:
    """Return what has happened: to what, by whom, and what is new."""
    verb = type_.partition(".")[2]
    done = VERBS.get(verb, f"was {verb}")
    who = names.users.get(change.actor)
    by = f" by {who}" if who else ""
    told = details(verb, change.columns()[1], names)
    return shortened(f"{what(change, names)} {done}{by}{': ' if told else ''}{told}.")


def what(change: LoggedChange, names: Names) -> str:
    """Return which row it is, where, and the beginning of its text."""
    before, after = change.columns()
    row, column = {**before, **after}, TITLES[change.entity]
    place, parent = PLACES.get(change.entity, ("", ""))
    where = f" {place} {row[parent]}" if parent in row else ""
    title = row.get(column) or ""
    if change.entity == "ticket" and not title:
        title = names.tickets.get(change.entity_id, "")
    in_brackets = f" ({short(title)})" if title else ""
    return f"{change.entity.capitalize()} {change.entity_id}{where}{in_brackets}"


def details(verb: str, after: Mapping[str, Any], names: Names) -> str:
    """Return what is new: of an assignment to whom, of an update each column."""
    if verb == "assigned":
        return names.users.get(after.get("assigned_to"), "nobody")
    if verb == "tagged":
        return ", ".join(after["tags"]) or "no tags"
    if verb == "delivery":
        return str(after["delivery_state"])
    if verb != "updated":
        return ""
    told = (name for name in after if name not in LEFT_OUT and not name.endswith(TIMES))
    return ", ".join(f"{name} {shown(after[name])}" for name in told)


def shown(value: Any) -> str:
    """Return a value for people."""
    if isinstance(value, str):
        return short(value)
    return "none" if value is None else orjson.dumps(value).decode()


def short(text: str) -> str:
    """Return the beginning of a text on one line."""
    return shortened(" ".join(text.split()), MAX_TITLE)


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """Return a text with an ellipsis for its end, if it is longer."""
    return text if len(text) <= most else text[: most - 1] + "…"
