"""Requests that wait for rows that others have locked."""

import threading
from time import sleep
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from omnidesk.clients.models import Client
from omnidesk.db import db
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.models import Webhook
from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_ticket,
    on_postgresql,
)
from tests.faults.test_inbound_races import wait_until_waiting
from tests.test_races import ask
from tests.webhooks import make_webhook

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


@on_postgresql
def test_no_ticket_is_kept_locked_while_the_next_is_waited_for(server: str, agent: Caller) -> None:
    first, taken = (make_ticket(priority=name).ticket_id for name in ("media", "alta"))
    answers: list[Any] = []
    take = threading.Thread(
        target=lambda: answers.append(ask("POST", f"{server}/api/tickets/next", agent))
    )

    with db.engine.begin() as connection:
        connection.execute(update(Ticket).where(Ticket.ticket_id == first).values(subject="Other"))
        with db.engine.begin() as others:
            mine = update(Ticket).where(Ticket.ticket_id == taken)
            others.execute(mine.values(assigned_to=agent.user.user_id))
            take.start()
            wait_until_waiting(1)
        sleep(0.5)
        wait_until_waiting(1)
        connection.execute(
            select(Ticket.ticket_id).where(Ticket.ticket_id == taken).with_for_update(nowait=True)
        )
    take.join()

    (answer,) = answers
    assert (answer.status_code, answer.json()["ticket_id"]) == (200, first)


@on_postgresql
def test_a_replay_does_not_wait_for_what_is_being_sent(server: str, admin: Caller) -> None:
    make_webhook("http://127.0.0.1:9/", types=["client.*"])
    make_client()
    body = {"after_seq": 0, "to_seq": 1_000}
    url = f"{server}/api/webhooks/1/replay"
    assert ask("POST", url, admin, body).json() == {"deliveries": 1}

    with db.engine.begin() as connection:
        connection.execute(select(WebhookDelivery.delivery_id).with_for_update())
        answer = ask("POST", url, admin, body)

    assert (answer.status_code, answer.json()) == (200, {"deliveries": 1})


@on_postgresql
def test_a_replay_for_a_webhook_that_is_being_deleted_is_404(server: str, admin: Caller) -> None:
    make_webhook("http://127.0.0.1:9/", types=["client.*"])
    make_client()
    answers: list[Any] = []
    url, body = f"{server}/api/webhooks/1/replay", {"after_seq": 0, "to_seq": 1_000}
    tell = threading.Thread(target=lambda: answers.append(ask("POST", url, admin, body)))

    with db.engine.begin() as connection:
        connection.execute(delete(Webhook))
        tell.start()
        wait_until_waiting(1)
    tell.join()

    assert [answer.status_code for answer in answers] == [404]


@on_postgresql
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/tokens", {"name": "Bot", "scopes": ["tickets:read"], "password": PASSWORD}),
        ("/api/me/password", {"old_password": PASSWORD, "password": "another horse"}),
    ],
)
def test_whoever_is_being_deactivated_is_not_told_of_a_wrong_password(
    server: str, agent: Caller, path: str, body: Any
) -> None:
    answers: list[Any] = []
    prove = threading.Thread(target=lambda: answers.append(ask("POST", server + path, agent, body)))

    with db.engine.begin() as connection:
        connection.execute(update(User).values(active=False))
        prove.start()
        wait_until_waiting(1)
    prove.join()

    (answer,) = answers
    assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
