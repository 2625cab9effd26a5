"""Whoever merges clients, or erases one, waits for nobody who waits for them."""

import threading
from typing import Any

import pytest
from sqlalchemy import select

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
