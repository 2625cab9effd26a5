"""Clients who are erased while others write about them: who waits for whom."""

import threading
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import ERASED, Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_identity,
    make_message,
    make_ticket,
    on_postgresql,
)
from tests.faults.test_hook_races import post
from tests.faults.test_inbound_races import wait_until_waiting
from tests.hooks import make_channel
from tests.providers.whatsapp_updates import SHEENA, notification, text, written_by
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
            lock_at_once(connection, entity)
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
        lock_at_once(connection, Conversation)
    erasing.join()

    assert answers == [200]


@on_postgresql
@pytest.mark.parametrize("active", [True, False])
def test_who_changes_a_conversation_twice_locks_its_client_before(
    server: str, admin: Caller, active: bool
) -> None:
    channel = make_channel("whatsapp")
    chat = {"channel": "whatsapp", "external_chat_id": SHEENA.wa_id, "active": active}
    conversation = make_conversation(**chat)
    writer = conversation if active else make_client()  # as in a group
    make_identity(writer, channel="whatsapp", external_user_id=SHEENA.wa_id)
    make_message(conversation)
    several = (text(SHEENA, "One"), text(SHEENA, "Two")) if active else (text(SHEENA, "One"),)
    body = notification(written_by(SHEENA, *several))
    statuses: list[int] = []
    telling = threading.Thread(target=lambda: statuses.append(post(server, channel, body)))

    with db.engine.begin() as connection:  # as an erasure begins
        is_erased = Client.client_id == conversation.client_id
        connection.execute(select(Client.client_id).where(is_erased).with_for_update())
        telling.start()
        wait_until_waiting(1)
        lock_at_once(connection, Conversation)
    telling.join()

    assert statuses == [200]


@on_postgresql
def test_an_identity_that_is_being_erased_is_given_anew(server: str, admin: Caller) -> None:
    identity = make_identity(make_client())
    other, user = make_client().client_id, {"channel": "web", "external_user_id": "user-1"}
    answers: list[Any] = []
    give = threading.Thread(
        target=lambda: answers.append(
            ask("POST", f"{server}/api/clients/{other}/identities", admin, user)
        )
    )

    with db.engine.begin() as connection:
        connection.execute(delete(Identity))
        give.start()
        wait_until_waiting(1)
    give.join()

    (answer,) = answers
    assert (answer.status_code, answer.json()["client_id"]) == (201, other)
    assert answer.json()["identity_id"] != identity.identity_id


def erase(server: str, admin: Caller) -> tuple[threading.Thread, list[int]]:
    """Begin to erase the client 1, Ada; return who does it, and where the status will be."""
    answers: list[int] = []
    path, body = "/api/clients/1/erase", {"full_name": "Ada"}
    erasing = threading.Thread(
        target=lambda: answers.append(ask("POST", server + path, admin, body).status_code)
    )
    erasing.start()
    return erasing, answers


def lock_at_once(connection: Connection, entity: type[Base]) -> None:
    """Lock all rows of a kind; raise OperationalError where somebody else has locked one."""
    connection.execute(select(entity.primary_key()).with_for_update(nowait=True))
