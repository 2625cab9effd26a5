"""Requests that wait for rows that others have locked."""

import threading
from typing import Any

import pytest
from sqlalchemy import select, update

from omnidesk.clients.models import Client
from omnidesk.db import db
from omnidesk.tickets.models import Ticket
from tests.conftest import Caller, make_client, make_ticket, on_postgresql
from tests.faults.test_inbound_races import wait_until_waiting
from tests.test_races import ask

CHANGE = {"comment": "Called back", "priority": "alta"}


@on_postgresql
@pytest.mark.parametrize(
    ("path", "body"),
    [("/1", CHANGE), ("", {"ticket_ids": [1], "set": CHANGE})],
)
def test_a_comment_with_a_change_locks_the_client_before_the_ticket(
    server: str, agent: Caller, path: str, body: Any
) -> None:
    make_ticket(make_client().client_id)
    statuses: list[int] = []

    def change() -> None:
        answer = ask("PATCH", f"{server}/api/tickets{path}", agent, body)
        statuses.append(answer.status_code)

    changing = threading.Thread(target=change)

    with db.engine.begin() as connection:
        connection.execute(select(Client.client_id).with_for_update())
        changing.start()
        wait_until_waiting(1)
        connection.execute(select(Ticket.ticket_id).with_for_update(nowait=True))
    changing.join()

    assert statuses == [200]


@on_postgresql
@pytest.mark.parametrize(("taken", "status"), [(False, 200), (True, 204)])
def test_the_last_ticket_is_waited_for_while_others_change_it(
    server: str, agent: Caller, taken: bool, status: int
) -> None:
    ticket_id = make_ticket().ticket_id
    answers: list[Any] = []
    take = threading.Thread(
        target=lambda: answers.append(ask("POST", f"{server}/api/tickets/next", agent))
    )

    with db.engine.begin() as connection:
        user_id = agent.user.user_id if taken else None
        connection.execute(update(Ticket).values(assigned_to=user_id, subject="Changed"))
        take.start()
        wait_until_waiting(1)
    take.join()

    (answer,) = answers
    assert answer.status_code == status
    assert taken or answer.json()["ticket_id"] == ticket_id
