"""What Zendesk and Freshdesk export, as rows that can be imported.

Their JSON has names such as `created_at`. So has their CSV, written `Created at`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

Values = dict[str, Any]
Names = dict[str, tuple[str, ...]]  # of theirs, for each of our fields: the first that has a value

ZENDESK_STATES = {
    **dict.fromkeys(("new", "open"), "abierto"),
    **dict.fromkeys(("pending", "hold", "on-hold"), "en_progreso"),
    **dict.fromkeys(("solved", "closed"), "cerrado"),
}
FRESHDESK_STATES = {
    **dict.fromkeys(("2", "open"), "abierto"),
    **dict.fromkeys(("4", "resolved", "5", "closed"), "cerrado"),
}
PRIORITIES = {
    **dict.fromkeys(("1", "low"), "baja"),
    **dict.fromkeys(("2", "medium", "normal"), "media"),
    **dict.fromkeys(("3", "high", "4", "urgent"), "alta"),
}
ZENDESK: dict[str, Names] = {
    "clients": {
        "external_id": ("id",),
        "full_name": ("name", "email"),
        "email": ("email",),
        "phone": ("phone",),
        "active": ("active",),
        "created_at": ("created_at",),
    },
    "tickets": {
        "external_id": ("id",),
        "client_external_id": ("requester_id", "requester.id"),
        "subject": ("subject", "raw_subject"),
        "description": ("description",),
        "status": ("status",),
        "priority": ("priority",),
        "assigned_to_email": ("assignee.email", "assignee_email"),
        "tags": ("tags",),
        "created_at": ("created_at",),
        "updated_at": ("updated_at",),
        "due_at": ("due_at", "due_date"),
        "resolved_at": ("solved_at", "metric_set.solved_at"),
    },
}
FRESHDESK: dict[str, Names] = {
    "clients": {
        "external_id": ("id", "contact_id"),
        "full_name": ("name", "full_name", "email"),
        "email": ("email",),
        "phone": ("phone", "mobile", "work_phone", "mobile_phone"),
        "created_at": ("created_at", "created_time"),
    },
    "tickets": {
        "external_id": ("display_id", "id", "ticket_id"),
        "client_external_id": ("requester_id", "requester.id", "contact_id"),
        "subject": ("subject",),
        "description": ("description_text", "description"),
        "status": ("status",),
        "priority": ("priority",),
        "assigned_to_email": ("responder.email", "agent_email"),
        "tags": ("tags",),
        "created_at": ("created_at", "created_time"),
        "updated_at": ("updated_at", "last_update_time"),
        "due_at": ("due_by", "due_by_time"),
        "resolved_at": ("stats.resolved_at", "stats.closed_at", "resolved_time", "closed_time"),
    },
}
# What a ticket's comments are called, and which of them are for staff alone.
TALKS: dict[str, tuple[str, Callable[[Values], bool]]] = {
    "zendesk": ("comments", lambda talk: talk.get("public") is False),
    "freshdesk": ("conversations", lambda talk: talk.get("private") is True),
}
OF_TICKETS = ("subject", "requester_id", "requester")  # what comments have not
SYSTEMS = {"zendesk": ZENDESK, "freshdesk": FRESHDESK}


def rows_of(system: str, entity: str, theirs: Values) -> Iterator[Values]:
    """Yield the rows that a record of another system has; several for a ticket with comments."""
    record = unwrapped({re.sub(r"\W+", "_", name).lower(): each for name, each in theirs.items()})
    if names := SYSTEMS[system].get(entity):
        yield finished(system, translated(record, names))
        return
    inside, is_private = TALKS[system]
    is_ticket = not record.keys().isdisjoint(OF_TICKETS)
    talks = record.get(inside, [] if is_ticket else [record])
    for talk in talks if isinstance(talks, list) else []:
        if isinstance(talk, dict) and is_private(talk) == (entity == "comments"):
            yield comment(record, talk) if entity == "comments" else message(record, talk)


def unwrapped(record: Values) -> Values:
    """Return what is inside a record such as `{"ticket": {...}}`."""
    values = [*record.values()]
    return values[0] if len(values) == 1 and isinstance(values[0], dict) else record


def value_of(record: Values, *names: str) -> Any:
    """Return the value of the first of these names that has one, such as `requester.email`."""
    for name in names:
        value: Any = record
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value not in (None, "", []):
            return value
    return None


def translated(record: Values, names: Names) -> Values:
    """Return what a record has of our fields."""
    found = {ours: value_of(record, *theirs) for ours, theirs in names.items()}
    return {
        name: str(value) if name.endswith("external_id") else value
        for name, value in found.items()
        if value is not None
    }


def finished(system: str, row: Values) -> Values:
    """Return a client or a ticket with our states, priorities and tags."""
    states = ZENDESK_STATES if system == "zendesk" else FRESHDESK_STATES
    if "status" in row:
        theirs = str(row["status"]).lower()
        other = "en_progreso" if system == "freshdesk" else theirs  # it has states of one's own
        row["status"] = states.get(theirs, other)
    if row.get("status") != "cerrado":
        row.pop("resolved_at", None)
    if "priority" in row:
        row["priority"] = PRIORITIES.get(str(row["priority"]).lower(), row["priority"])
    if "tags" in row:
        row["tags"] = tags_of(row["tags"], "," if system == "freshdesk" else None)
    if "description" in row:
        row.setdefault("subject", str(row["description"]).strip().partition("\n")[0][:200])
    return row


def tags_of(theirs: Any, separator: str | None) -> list[str]:
    """Return tags with `_` for what ours cannot have."""
    found = theirs if isinstance(theirs, list) else str(theirs).split(separator)
    tags = (re.sub(r"[^\w.:-]+", "_", str(tag).strip()).strip("_.:-") for tag in found)
    return [tag for tag in tags if tag]


def comment(ticket: Values, talk: Values) -> Values:
    """Return a comment of a ticket, or one that says itself on which."""
    return without_none(
        {
            "external_id": value_of(talk, "id"),
            "ticket_external_id": ticket_id(ticket, talk),
            "user_email": author(ticket, talk),
            "body": value_of(talk, "plain_body", "body_text", "body"),
            "created_at": value_of(talk, "created_at"),
        }
    )


def message(ticket: Values, talk: Values) -> Values:
    """Return a public comment as a message of a conversation that has the number of its ticket."""
    client_id = value_of(ticket, "requester_id", "requester.id")
    writer_id = value_of(talk, "author_id", "user_id")
    by_client = talk.get("incoming") is True or (writer_id is not None and writer_id == client_id)
    return without_none(
        {
            "external_id": value_of(talk, "id"),
            "conversation_external_id": ticket_id(ticket, talk),
            "client_external_id": client_id,
            "channel": value_of(ticket, "via.channel"),
            "sender": "client" if by_client else "user",
            "user_email": None if by_client else author(ticket, talk),
            "content": value_of(talk, "plain_body", "body_text", "body"),
            "created_at": value_of(talk, "created_at"),
        }
    )


def ticket_id(ticket: Values, talk: Values) -> Any:
    """Return the number of the ticket that a comment is on."""
    of_ticket = None if talk is ticket else value_of(ticket, "display_id", "id")
    return of_ticket or value_of(talk, "ticket_id")


def author(ticket: Values, talk: Values) -> Any:
    """Return the address of who wrote a comment: its own, or one of the people of the ticket."""
    people = [person for person in ticket.values() if isinstance(person, dict)]
    writer_id = value_of(talk, "author_id", "user_id")
    known = (
        value_of(each, "email") for each in people if writer_id and each.get("id") == writer_id
    )
    return value_of(talk, "author.email", "author_email", "user.email") or next(known, None)


def without_none(values: Values) -> Values:
    """Return the values that there are; ids as texts."""
    return {
        name: str(value) if name.endswith("external_id") else value
        for name, value in values.items()
        if value is not None
    }
