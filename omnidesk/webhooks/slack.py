"""A change as a line of text, in the form that Slack and others take."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Integer, bindparam, column, select, table

from omnidesk.db.statements import Statement
from omnidesk.webhooks.event_types import LoggedChange
from omnidesk.webhooks.reading import InTurn

# What begins a mention, but no e-mail address has; and what joins a text to its link.
SPECIAL = re.compile(r"\B@|\](?=\()")
NO_WIDTH = "\u200b"  # a space
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
# Without their models, which would bring those of tickets, comments and more into the worker.
USER = table("app_user", column("user_id"), column("full_name"))
TICKET = table("ticket", column("ticket_id"), column("subject"))
VERBS = {"handed_off": "was handed off", "delivery": "has news of its delivery"}
PLACES = {"comment": ("on ticket", "ticket_id"), "message": ("in conversation", "conversation_id")}
# Columns that say nothing to people, or too much.
TIMES = ("_at", "_since", "_until")
LEFT_OUT = {*TITLES.values(), "description", "meta", "turn", "unread_count", "read_up_to"}


USER_NAME = InTurn(
    select(USER.c.full_name).where(USER.c.user_id == bindparam("id", type_=Integer()))
)
SUBJECT = InTurn(
    select(TICKET.c.subject).where(TICKET.c.ticket_id == bindparam("id", type_=Integer()))
)


def name_in(statement: Statement, row_id: int | None) -> str:
    """Return the name of a row by its id; an empty text for none."""
    found = statement.fetch(id=row_id) if row_id is not None else ()
    return str(found[0][0]) if found else ""


def slack_body(type_: str, change: LoggedChange) -> bytes:
    """Return the body for a change as it is told."""
    return text_body(line(type_, change))


def text_body(text: str) -> bytes:
    """Return the body for a text."""
    return orjson.dumps({"text": escaped(text)})


def escaped(text: str) -> str:
    """Return a text without what Slack, or Markdown as Mattermost reads it, takes for more.

    Such as a mention, or a link that shows another text than its address.
    """
    text = SPECIAL.sub(rf"\g<0>{NO_WIDTH}", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def line(type_: str, change: LoggedChange) -> str:
    """Return what has happened: to what, by whom, and what is new."""
    verb = type_.partition(".")[2]
    done = VERBS.get(verb, f"was {verb}")
    who = name_in(USER_NAME, change.actor)
    by = f" by {who}" if who else ""
    told = details(verb, change.columns()[1])
    return shortened(f"{what(change)} {done}{by}{': ' if told else ''}{told}.")


def what(change: LoggedChange) -> str:
    """Return which row it is, where, and the beginning of its text."""
    before, after = change.columns()
    row, column = {**before, **after}, TITLES[change.entity]
    place, parent = PLACES.get(change.entity, ("", ""))
    where = f" {place} {row[parent]}" if parent in row else ""
    title = row.get(column) or ""
    if change.entity == "ticket" and not title:
        title = name_in(SUBJECT, change.entity_id)
    in_brackets = f" ({short(title)})" if title else ""
    return f"{change.entity.capitalize()} {change.entity_id}{where}{in_brackets}"


def details(verb: str, after: Mapping[str, Any]) -> str:
    """Return what is new: of an assignment to whom, of an update each column."""
    if verb == "assigned":
        return name_in(USER_NAME, after.get("assigned_to")) or "nobody"
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
