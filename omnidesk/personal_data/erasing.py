"""Clients who are erased: at once, or in steps where they have very many rows.

The first step empties the client, their identities and what channels call their conversations. From
then on, triggers refuse whatever would be written about the client. How far the steps have come is
in `client.erasure`, so that the next call goes on there, also after a crash.
"""

from collections.abc import Iterator
from itertools import islice
from time import monotonic, sleep
from typing import NamedTuple, Self

import orjson
from sqlalchemy import delete, update

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import ERASED, Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.models import Conversation
from omnidesk.db import RuleViolation, db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.session import acting_user, logging_as
from omnidesk.personal_data import traces
from omnidesk.personal_data.emptying import (
    QUIETLY,
    cancel_queued,
    count_answers,
    empty_answers,
    empty_records,
    empty_rows,
    lock_rows,
)
from omnidesk.personal_data.rows import (
    CONVERSATIONS,
    IDENTITIES,
    KINDS,
    TEXT_COLUMNS,
    RowKind,
    all_clients,
    clients,
    erased,
    owners,
)

MAX_AT_ONCE = 20_000  # rows that one transaction empties
STEP = 500  # rows that one transaction empties of a client who has more
MAX_SECONDS = 6.0  # after which a request leaves the rest to the next one
ANSWERS, TRACES, DONE = "answer", "traces", "done"
STAGES = (*(kind.name for kind in KINDS), ANSWERS, TRACES, DONE)
COMMENTS = str(Comment.logged_as)
NAMES = ("client", IDENTITIES.name, CONVERSATIONS.name, *STAGES[: STAGES.index(TRACES)])
COUNT_ERASURE = update(DatabaseId).values(erasures=DatabaseId.erasures + 1)
Counts = dict[str, int]


class Progress(NamedTuple):
    """How far an erasure has come: the stage, the last row in it, and whether comments stay."""

    stage: str
    parent_id: int = 0
    row_id: int = 0
    keeps_comments: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what a client's `erasure` says."""
        stage, parent_id, row_id, keeps = text.split()
        return cls(stage, int(parent_id), int(row_id), keeps == "1")

    def __str__(self) -> str:
        return f"{self.stage} {self.parent_id} {self.row_id} {int(self.keeps_comments)}"

    def for_request(self, *, keep_comments: bool) -> Self:
        """Return where a request goes on: comments that were kept can be erased later."""
        if not self.is_at(ANSWERS):
            return self._replace(keeps_comments=keep_comments)
        if self.keeps_comments and not keep_comments:
            return self._replace(stage=COMMENTS, parent_id=0, row_id=0, keeps_comments=False)
        return self

    def is_at(self, stage: str) -> bool:
        """Return whether it has come to a stage."""
        return STAGES.index(self.stage) >= STAGES.index(stage)


def find(client_id: int, full_name: str) -> Client | None:
    """Return the client, locked so that nobody adds to them, or None for none.

    Raises RuleViolation for another name than the client has, unless it is erased already, and for
    a client who was merged into another one.
    """
    client = db.session.get(Client, client_id, with_for_update=True)
    if client is None:
        return None
    require(
        client.full_name if client.erasure is None else full_name, client.merged_into, full_name
    )
    return client


def require(name: str, merged_into: int | None, given: str) -> None:
    """Raise RuleViolation for a client who was merged, or who has another name than is given."""
    if merged_into is not None:
        raise RuleViolation("client_id", "Was merged into another client.", conflict=True)
    if name != given:
        raise RuleViolation("full_name", "Must be exactly the name of the client.")


def count_all(client: Client, *, keep_comments: bool) -> Counts:
    """Return how many rows of each kind there are to be erased."""
    if client.erasure is not None:
        progress = Progress.parse(client.erasure).for_request(keep_comments=keep_comments)
        if progress.stage == DONE:
            return dict.fromkeys(NAMES, 0)
    kinds = (IDENTITIES, CONVERSATIONS, *KINDS)
    counts = {kind.name: kind.count(client.client_id) for kind in kinds}
    counts |= {ANSWERS: count_answers(owners(client.client_id))}
    if keep_comments:
        counts[COMMENTS] = 0
    return {"client": len(db.session.scalars(clients(client.client_id)).all())} | counts


class Erasure:
    """The erasure of a client, from where it has come to; `counts` are what it has emptied."""

    def __init__(self, client: Client, *, keep_comments: bool) -> None:
        self.client, self.counts = client, dict.fromkeys(NAMES, 0)
        self.gives_up_at = monotonic() + MAX_SECONDS
        found = client.erasure and Progress.parse(client.erasure)
        self.begins = not found
        start = found or Progress(KINDS[0].name)
        self.progress = start.for_request(keep_comments=keep_comments)
        total = sum(count_all(client, keep_comments=keep_comments).values())
        self.in_steps = total > MAX_AT_ONCE

    def run(self) -> bool:
        """Erase, and commit; return whether all is done."""
        if self.progress.stage == DONE:
            return True
        if self.begins:
            cancel_queued(self.client.client_id)
        with logging_as("erased"):
            if self.begins:
                self.begin()
            for _ in self.steps():
                if self.in_steps:
                    self.commit()
                    if monotonic() > self.gives_up_at:
                        return False
            self.finish()
        return self.remove_traces()

    def begin(self) -> None:
        """Empty the client, and those who were merged into it; forget what channels call them."""
        client_id = self.client.client_id
        people = [*db.session.scalars(clients(client_id))]
        answers = count_answers(owners(client_id))
        identities = [*db.session.scalars(IDENTITIES.of(client_id, Identity.identity_id))]
        empty_records(Identity, [*identities, *db.session.scalars(IDENTITIES.deleted(client_id))])
        gone = delete(Identity).where(Identity.identity_id.in_(identities))
        db.session.execute(gone, execution_options=QUIETLY)
        empty_answers({"identity_id": identities})  # that name whoever had them before
        chats = [*db.session.scalars(CONVERSATIONS.of(client_id, Conversation.conversation_id))]
        empty_rows(Conversation, chats)
        empty_rows(Client, people, active=False, erasure=str(Progress(DONE)))
        empty_records(Client, [*{*db.session.scalars(all_clients(client_id))}.difference(people)])
        self.counts |= {
            "client": len(people),
            IDENTITIES.name: len(identities),
            CONVERSATIONS.name: len(chats),
            # Those that are found again in the end are counted then.
            ANSWERS: answers - count_answers(owners(client_id)),
        }
        self.note()

    def steps(self) -> Iterator[None]:
        """Empty the client's rows kind by kind, and yield after each step."""
        for kind in KINDS:
            if kind.name == self.progress.stage:
                yield from self.empty(kind)
                following = STAGES[STAGES.index(kind.name) + 1]
                self.progress = self.progress._replace(stage=following, parent_id=0, row_id=0)
                self.note()

    def empty(self, kind: RowKind) -> Iterator[None]:
        """Empty the client's rows of a kind, and those that were deleted."""
        if kind.name == COMMENTS and self.progress.keeps_comments:
            return
        client_id, since = self.client.client_id, self.progress[1:3]
        rows = kind.walk(client_id, since)
        while step := [*islice(rows, STEP)]:
            row_ids = [row_id for _, row_id in step]
            if self.in_steps:  # else all that others lock is locked since the beginning
                lock_rows(kind.entity, kind.entity.primary_key().in_(row_ids))
            self.counts[kind.name] += empty_rows(kind.entity, row_ids)
            parent_id, row_id = step[-1]
            self.progress = self.progress._replace(parent_id=parent_id, row_id=row_id)
            self.note()
            yield
        empty_records(kind.entity, [*db.session.scalars(kind.deleted(client_id))])

    def finish(self) -> None:
        """Empty the kept answers, and log the erasure."""
        if self.progress.stage == ANSWERS:
            self.counts[ANSWERS] += empty_answers(owners(self.client.client_id))
            self.progress = self.progress._replace(stage=TRACES)
            self.note()
            db.session.add(change_of(self.client.client_id))
        self.commit()

    def remove_traces(self) -> bool:
        """Remove what the files of SQLite still have; return whether that is done."""
        if not traces.remove(self.gives_up_at):
            return False
        self.progress = self.progress._replace(stage=DONE)
        with logging_as("erased"):
            self.note()
            self.commit()
        return True

    def note(self) -> None:
        """Note how far it has come."""
        here = update(Client).where(Client.client_id == self.client.client_id)
        noted = here.values(erasure=str(self.progress))
        db.session.execute(noted, execution_options=QUIETLY)

    def commit(self) -> None:
        """Commit a step; lists have another ETag then. In steps, others get as much time."""
        began = monotonic()
        db.session.execute(COUNT_ERASURE)
        db.session.commit()
        if self.in_steps:
            sleep(min(0.05, monotonic() - began))


def change_of(client_id: int) -> Change:
    """Return the change that says that a client was erased, with what the client holds now."""
    texts = {name: erased(column, ERASED) for name, column in TEXT_COLUMNS[Client].items()}
    after = orjson.dumps(texts | {"active": False}).decode()
    made = {"entity": "client", "entity_id": client_id, "op": "erased"}
    return Change(**made, at=utcnow(), actor=acting_user(), after=after)
