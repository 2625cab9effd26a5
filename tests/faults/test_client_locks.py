"""Clients who are erased while others write about them: who waits for whom."""

import threading
from typing import Any
from zlib import crc32

import pytest
from sqlalchemy import func, select, update

from omnidesk.clients.models import ERASED, Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.tickets.models import Ticket
from tests.conftest import Caller, make_client, make_conversation, make_ticket, on_postgresql
from tests.faults.test_inbound_races import wait_until_waiting
from tests.test_races import ask

IS_OTHER = Client.client_id == 2


@on_postgresql
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/tickets/1", {"client_id": 2}),
        ("PATCH", "/api/tickets/1", {"client_id": 2, "comment": "Is hers"}),
        ("PATCH", "/api/tickets", {"ticket_ids": [1], "set": {"client_id": 2}}),
        ("PATCH", "/api/conversations/1", {"client_id": 2}),
    ],
)
def test_nothing_is_given_to_a_client_who_is_being_erased(
    server: str, agent: Caller, method: str, path: str, body: Any
) -> None:
    ticket = make_ticket(make_client().client_id)
    make_conversation(client_id=ticket.client_id)
    other = make_client().client_id
    answers: list[Any] = []
    give = threading.Thread(
        target=lambda: answers.append(ask(method, f"{server}{path}", agent, body))
    )

    with db.engine.begin() as connection:
        connection.execute(select(Client.client_id).where(IS_OTHER).with_for_update())
        erased = update(Client).where(IS_OTHER).values(erasure="done 0 0 0", active=False)
        connection.execute(erased.values(full_name=ERASED))
        give.start()
        wait_until_waiting(1)
        # Whoever erases waits for the rows of the client.
        for entity in (Ticket, Conversation):
            connection.execute(select(entity.primary_key()).with_for_update(nowait=True))
    give.join()

    (answer,) = answers
    assert (answer.status_code, "The client was erased." in answer.text) == (409, True)
    assert ask("GET", f"{server}/api/tickets?client_id={other}", agent).json() == []
    assert ask("GET", f"{server}/api/conversations?client_id={other}", agent).json() == []


@on_postgresql
def test_an_erasure_locks_tickets_before_conversations(server: str, admin: Caller) -> None:
    ticket = make_ticket(make_client(full_name="Ada").client_id)
    make_conversation(client_id=ticket.client_id)

    with db.engine.begin() as connection:
        connection.execute(select(Ticket.ticket_id).with_for_update())
        erasing, answers = erase(server, admin)
        wait_until_waiting(1)
        conversations = select(Conversation.conversation_id)
        connection.execute(conversations.with_for_update(nowait=True))
    erasing.join()

    assert answers == [200]


@on_postgresql
def test_an_erasure_waits_for_messages_of_a_chat_before_it_locks_the_client(
    server: str, admin: Caller
) -> None:
    make_conversation(client_id=make_client(full_name="Ada").client_id)
    move = update(Conversation).values(updated_at=utcnow())

    with db.engine.begin() as connection:
        name = crc32(b"identity")  # whose lock a body of several messages holds
        connection.execute(select(func.pg_advisory_xact_lock(name)))
        connection.execute(move)
        erasing, answers = erase(server, admin)
        wait_until_waiting(1)
        connection.execute(move)  # at the second change, the client is locked, too
    erasing.join()

    assert answers == [200]


def erase(server: str, admin: Caller) -> tuple[threading.Thread, list[int]]:
    """Begin to erase the client 1, Ada; return who does it, and where the status will be."""
    answers: list[int] = []
    path, body = "/api/clients/1/erase", {"full_name": "Ada"}
    erasing = threading.Thread(
        target=lambda: answers.append(ask("POST", server + path, admin, body).status_code)
    )
    erasing.start()
    return erasing, answers
