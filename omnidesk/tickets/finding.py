"""Which tickets filters find, and what they say of what is searched for."""

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    GenerativeSelect,
    Select,
    and_,
    bindparam,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import aliased

from omnidesk.db import Filters
from omnidesk.db.filters import parameter_values
from omnidesk.db.scans import Criterion, Scan, conditions_by, matching_all
from omnidesk.db.search import QUERY, by_words
from omnidesk.db.statements import Statement
from omnidesk.db.words import SearchQuery, words
from omnidesk.http import may_read
from omnidesk.tickets.lists import (
    NEWEST_FIRST,
    first_order,
    not_overdue,
    ordered,
    overdue_conditions,
)
from omnidesk.tickets.models import STATUSES, Ticket
from omnidesk.tickets.tags import TicketTag
from omnidesk.tickets.times import TIME_FILTERS, by_times

OPEN = tuple(status for status in STATUSES if status != "cerrado")
NARROW = ("conversation_id", "client_id", "assigned_to")  # the first has fewest tickets
COMPARED_OTHERWISE = ("conversation_id", "tag", "now", "other_than", *QUERY, *TIME_FILTERS)


def matching(
    filters: Filters,
    *,
    sort: tuple[str, ...] = NEWEST_FIRST,
    overdue: bool | None = None,
    comments: bool = False,
) -> Select[Ticket] | Scan:
    """Select the tickets that meet the filters, of those that are overdue or of the others.

    `q` is words of the ticket itself or, where `comments` may be read, of one of its comments.
    """
    order, tags = first_order(sort), filters.items("tag")
    # An index has the tickets of a tag in each order, but not those of a chat.
    by_tag = tags and "conversation_id" not in filters
    table: Any = TicketTag if by_tag else Ticket
    tickets = select(Ticket).order_by(*ordered(sort, Ticket, table))
    if table is TicketTag:
        first, *tags = tags
        tickets = tickets.join(TicketTag).where(TicketTag.tag == first)
    if "other_than" in filters:
        tickets = tickets.where(table.ticket_id != bindparam("other_than"))
    narrowest = [name for name in NARROW if name in filters][:1]
    tickets = tickets.where(*conditions_by(table, filters, narrowest, *COMPARED_OTHERWISE))
    conditions, by_time = by_times(filters, Ticket, table, order)
    criteria = [words_of_ticket(filters, comments=comments), with_tags(tags, filters), *by_time]
    if overdue and order == "due_at":
        conditions += overdue_conditions(table)
    elif overdue:
        criteria.append(is_overdue())
    elif overdue is not None:
        conditions.append(not_overdue(Ticket))
    return matching_all(Ticket, tickets.where(*conditions), criteria)


def is_overdue() -> Criterion:
    """Return the criterion that a ticket is overdue."""
    conditions = overdue_conditions(Ticket)
    # Without it, SQLite would look among closed tickets, too.
    is_open = Ticket.status.in_([literal_column(f"'{status}'") for status in OPEN])
    return Criterion(conditions, select(Ticket.ticket_id).where(is_open, *conditions).limit)


def words_of_ticket(filters: Filters, *, comments: bool) -> Criterion:
    """Return the criterion that a ticket, or a comment on it, has the words of a query."""
    own_words = by_words(Ticket, filters)
    if not comments or not own_words.conditions:
        return own_words
    comment = Ticket.comments.property.mapper.class_
    others = by_words(comment, filters, found="ticket_id")
    own, in_comment = and_(*own_words.conditions), Ticket.comments.any(and_(*others.conditions))

    def candidates(most: ColumnElement[int]) -> GenerativeSelect:
        return union_all(own_words.candidates(most), others.candidates(most)).limit(most)

    return Criterion([or_(own, in_comment)], candidates, exact=own_words.exact)


def with_tags(tags: list[Any], filters: Filters) -> Criterion:
    """Return the criterion that a ticket has these tags."""
    has = (aliased(TicketTag) for _ in tags)
    conditions = [
        select(each).where(each.ticket_id == Ticket.ticket_id, each.tag == tag).exists()
        for each, tag in zip(has, tags, strict=True)
    ]
    copied = filters.conditions(TicketTag, *COMPARED_OTHERWISE)
    tagged = select(TicketTag.ticket_id).where(TicketTag.tag.in_(tags[:1]), *copied)
    return Criterion(conditions, tagged.limit)


def texts_found(rows: list[dict[str, Any]], query: SearchQuery) -> list[Any]:
    """Return what tickets say of what is searched for: themselves, or the first comment.

    One whose number is searched for need not say anything, and its comments are not for everybody.
    """
    own = [{name: row[name] for name in ("subject", "description")} for row in rows]
    others = [
        row["ticket_id"]
        for row, texts in zip(rows, own, strict=True)
        if may_read("comments") and not query.is_met_by(words(*texts.values()))
    ]
    said = dict(comments_with(query.terms, others)) if others else {}
    return [
        {"comment": said[row["ticket_id"]]} if row["ticket_id"] in said else texts
        for row, texts in zip(rows, own, strict=True)
    ]


def comments_with(terms: tuple[str, ...], ticket_ids: list[int]) -> list[tuple[int, str]]:
    """Return the texts of the comments on some tickets that have all terms, the first last."""
    most = 2 ** (len(ticket_ids) - 1).bit_length()  # few statements serve all numbers of ids
    values = {"ticket_id": ticket_ids + ticket_ids[:1] * (most - len(ticket_ids)), "q": terms}
    return [*comment_statement(Filters(**values)).fetch(**parameter_values(values))]


@lru_cache
def comment_statement(filters: Filters) -> Statement:
    """Return the statement of the comments that meet the filters, by their ticket, newest first."""
    comment = Ticket.comments.property.mapper.class_
    meeting = [filters.condition("ticket_id", comment.ticket_id), *by_words(comment, filters)[0]]
    newest_first = comment.comment_id.desc()
    return Statement(select(comment.ticket_id, comment.body).where(*meeting).order_by(newest_first))
