"""What becomes of deliveries: sent, tried again, failed; and of webhooks that fail for long."""

import logging
import sqlite3
from datetime import datetime, timedelta
from threading import Event
from typing import Any

import pytest
from sqlalchemy import delete, func, select, update

from omnidesk.db import db, sqlite, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.statements import Statement
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.making import make_deliveries
from omnidesk.webhooks.models import Webhook, oldest_pending
from omnidesk.webhooks.queue import WebhookQueue
from omnidesk.webhooks.sending import BATCH, JITTER, SCHEDULE
from tests.conftest import Caller, make_client, on_sqlite, reload
from tests.names import Names
from tests.receivers import Receiver, answer, drip, hang, receiver, redirect
from tests.webhooks import deliveries, make_due, make_webhook, told, work

PATH = "/api/webhooks/1"


@pytest.fixture
def there() -> Any:
    """A receiver that answers 200."""
    with receiver() as running:
        yield running


@pytest.fixture
def webhook(app: Any, there: Receiver) -> Webhook:
    """A webhook of the receiver, which is told of two new clients."""
    made = make_webhook(f"{there.url}/hook")
    make_client()
    make_client()
    return made


def seconds_until(time: datetime | None) -> float:
    """Return in how many seconds a time is."""
    assert time is not None
    return (time - utcnow()).total_seconds()


def test_what_is_sent_is_noted(webhook: Webhook, there: Receiver) -> None:
    assert work() == [True]

    for delivery in deliveries(webhook):
        assert (delivery.state, delivery.status_code, delivery.attempts) == ("sent", 200, 1)
        assert (delivery.due_at, delivery.lease, delivery.error) == (None, None, None)
    assert len(there.requests) == 2
    assert work() == []


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        (answer(500), 500, "It answered 500."),
        (answer(400, b"Ada Lovelace"), 400, "It answered 400."),
        (redirect("http://127.0.0.1:9/"), 307, "It answered 307, and redirects are not followed."),
    ],
)
def test_a_failure_is_noted_and_ends_the_batch(
    webhook: Webhook, there: Receiver, behaviour: Any, status: int, error: str
) -> None:
    there.will(behaviour)

    assert work() == [False]

    first, second = deliveries(webhook)
    assert (first.state, first.status_code, first.error) == ("pending", status, error)
    assert (first.attempts, first.lease, second.lease) == (1, None, None)
    assert second.attempts == 0
    assert seconds_until(second.due_at) <= 0
    assert len(there.requests) == 1
    assert reload(webhook).failing_since is not None


def test_a_receiver_that_is_not_there_is_named_without_its_path(
    webhook: Webhook, there: Receiver
) -> None:
    there.stop()

    work()

    assert deliveries(webhook)[0].error == f"{there.url}: it refused the connection."


@pytest.mark.parametrize("attempt", range(len(SCHEDULE)))
def test_it_is_tried_again_as_the_standard_says(
    webhook: Webhook, there: Receiver, attempt: int
) -> None:
    there.otherwise = answer(503)
    make_deliveries()
    db.session.execute(update(WebhookDelivery).values(attempts=attempt))
    db.session.commit()

    work()

    first = deliveries(webhook)[0]
    planned = SCHEDULE[attempt]
    assert (first.state, first.attempts) == ("pending", attempt + 1)
    assert planned * (1 - JITTER) - 5 <= seconds_until(first.due_at) <= planned * (1 + JITTER)


def test_after_the_last_try_it_has_failed(webhook: Webhook, there: Receiver) -> None:
    there.otherwise = answer(503)
    make_deliveries()
    db.session.execute(update(WebhookDelivery).values(attempts=len(SCHEDULE)))
    db.session.commit()

    work()

    first = deliveries(webhook)[0]
    assert (first.state, first.due_at, first.attempts) == ("failed", None, len(SCHEDULE) + 1)


@pytest.mark.parametrize(
    ("status", "header", "least", "most"),
    [
        (429, "1000", 995, 1000),
        (503, "1000", 995, 1000),
        (429, "1", 0, 6),
        (429, "99999999", 86_000, 86_400),
        (500, "1000", 0, 6),
        (429, "soon", 0, 6),
    ],
)
def test_a_receiver_that_is_overrun_says_when(
    webhook: Webhook, there: Receiver, status: int, header: str, least: int, most: int
) -> None:
    there.will(answer(status, headers={"Retry-After": header}))

    work()

    assert least <= seconds_until(deliveries(webhook)[0].due_at) <= most


def test_a_receiver_that_is_gone_is_told_nothing_more(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    there.will(answer(410))

    work()
    make_due()
    work()

    shown = admin.get(PATH).json
    assert shown["active"] is False
    assert shown["inactive_reason"] == "It answered 410: it wants to be told nothing more."
    assert shown["inactive_since"] is not None
    assert [delivery.state for delivery in deliveries(webhook)] == ["failed", "pending"]
    assert len(there.requests) == 1


def test_three_days_of_failure_end_it_and_a_success_begins_them_anew(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    def fail_since(**ago: float) -> None:
        since = utcnow() - timedelta(**ago)
        db.session.execute(update(Webhook).values(failing_since=since))
        tried = WebhookDelivery.attempts > 0, WebhookDelivery.state == "pending"
        db.session.execute(update(WebhookDelivery).where(*tried).values(attempts=9))
        db.session.commit()
        make_due()
        work()

    there.will(answer(500), answer(500))
    work()
    fail_since(days=2.9)
    assert admin.get(PATH).json["active"] is True
    fail_since(days=3.1)  # but this one is a success
    assert admin.get(PATH).json["failing_since"] is None
    make_client()
    there.will(answer(500), answer(500))
    work()
    fail_since(days=3.1)

    shown = admin.get(PATH).json
    assert shown["active"] is False
    assert shown["inactive_reason"] == "It has failed for three days. It answered 500."


def test_a_second_failure_after_a_long_time_does_not_end_it(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    there.will(answer(500), answer(500))
    work()
    db.session.execute(update(Webhook).values(failing_since=utcnow() - timedelta(days=4)))
    db.session.commit()
    make_due()

    work()

    assert admin.get(PATH).json["active"] is True
    assert len(there.requests) == 2


def test_a_receiver_that_refuses_some_is_told_of_all_others_at_once(
    webhook: Webhook, there: Receiver
) -> None:
    for number in range(6):
        make_client(full_name=f"Ada {number}")
    there.will(*[answer(200), answer(500)] * 2)

    assert work() == [True]

    states = ["sent", "pending"] * 2 + ["sent"] * 4
    assert [delivery.state for delivery in deliveries(webhook)] == states
    assert reload(webhook).failing_since is None


@pytest.mark.parametrize(
    "second",
    [hang, answer(410), answer(503, headers={"Retry-After": "60"})],
    ids=["silent", "gone", "busy"],
)
def test_a_receiver_that_takes_nothing_more_is_asked_once(
    webhook: Webhook, there: Receiver, second: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnidesk.webhooks.requests.MAX_SECONDS", 1.2)
    make_client()
    there.will(answer(200), second)

    assert work() == [False]

    assert [delivery.attempts for delivery in deliveries(webhook)] == [1, 1, 0]


def test_what_is_active_again_goes_on_where_it_stopped(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    there.will(answer(410))
    work()
    make_client()
    work()

    answered = admin.patch(PATH, json={"active": True}).json
    work()

    assert (answered["inactive_reason"], answered["failing_since"]) == (None, None)
    assert [delivery.state for delivery in deliveries(webhook)][1:] == ["sent"] * 2


def test_a_change_that_the_log_has_no_more_has_failed(webhook: Webhook, there: Receiver) -> None:
    make_deliveries()
    first = db.session.scalar(select(func.min(WebhookDelivery.seq)))
    db.session.execute(delete(Change).where(Change.seq == first))
    db.session.commit()

    assert work() == [True]

    gone, sent = deliveries(webhook)
    assert (gone.state, gone.error) == ("failed", "The change log no longer has the change.")
    assert sent.state == "sent"
    assert reload(webhook).failing_since is None


def test_a_webhook_that_is_deleted_meanwhile_is_told_nothing(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    queue = WebhookQueue(Event())
    queue.step()
    (batch,) = queue.claim(webhook.webhook_id, 1)
    admin.delete(PATH)

    assert queue.send(batch) is True
    assert there.requests == []


def test_a_worker_that_ends_gives_back_what_it_has_not_begun(
    webhook: Webhook, there: Receiver
) -> None:
    stopping = Event()
    queue = WebhookQueue(stopping)
    queue.step()
    (batch,) = queue.claim(webhook.webhook_id, 1)
    stopping.set()

    queue.send(batch)

    assert [delivery.state for delivery in deliveries(webhook)] == ["sent", "pending"]
    assert work() == [True]
    assert [delivery.attempts for delivery in deliveries(webhook)] == [1, 1]


def test_what_a_dead_worker_had_is_sent_by_another(webhook: Webhook, there: Receiver) -> None:
    dead = WebhookQueue(Event())
    dead.step()
    dead.claim(webhook.webhook_id, 1)
    assert work() == []

    make_due()  # the lease has ended

    assert work() == [True]
    assert len(there.requests) == 2


@pytest.mark.parametrize(("first", "then", "state"), [(200, 500, "sent"), (500, 200, "pending")])
def test_who_has_lost_a_lease_notes_nothing(
    webhook: Webhook, there: Receiver, first: int, then: int, state: str
) -> None:
    slow = WebhookQueue(Event())
    slow.step()
    (batch,) = slow.claim(webhook.webhook_id, 1)
    make_due()
    there.otherwise = answer(first)
    work()
    there.otherwise = answer(then)

    slow.send(batch)

    assert {delivery.state for delivery in deliveries(webhook)} == {state}
    assert {delivery.attempts for delivery in deliveries(webhook)} <= {0, 1}


def test_many_are_claimed_together_and_shared_among_threads(webhook: Webhook) -> None:
    for _ in range(2 * BATCH):
        make_client()
    queue = WebhookQueue(Event())
    queue.step()

    batches = queue.claim(webhook.webhook_id, 3)

    assert [len(batch.deliveries) for batch in batches] == [34, 34, 34]


@on_sqlite
def test_nothing_is_locked_to_look_for_what_is_due_too_late(webhook: Webhook) -> None:
    db.session.remove()
    writer = sqlite3.connect(str(db.engine.url.database), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    with sqlite.waiting_at_most(0.1):
        found = WebhookQueue(Event()).due()

    assert found == []
    writer.close()


def test_a_clock_that_was_set_back_delays_nothing(webhook: Webhook, there: Receiver) -> None:
    make_deliveries()
    later = utcnow() + timedelta(days=400)
    db.session.execute(update(WebhookDelivery).values(due_at=later))
    db.session.commit()

    assert len(told(there)) == 2


def test_a_delivery_is_sent_again_when_asked(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    work()

    answered = admin.post(f"{PATH}/deliveries/1/retry")
    work()

    assert (answered.status_code, answered.json["state"]) == (200, "pending")
    assert [delivery.state for delivery in deliveries(webhook)] == ["sent", "sent"]
    assert len(there.requests) == 3


@pytest.mark.parametrize("asks", ["a retry", "a webhook that is active again"])
def test_a_clock_that_is_ahead_of_the_databases_delays_nothing(
    admin: Caller, webhook: Webhook, there: Receiver, monkeypatch: Any, asks: str
) -> None:
    there.otherwise = answer(500)
    work()
    there.otherwise = answer(200)
    ahead = utcnow() + timedelta(hours=1)
    monkeypatch.setattr("omnidesk.webhooks.deliveries.utcnow", lambda: ahead)

    if asks == "a retry":
        admin.post(f"{PATH}/deliveries/1/retry")
    else:
        admin.patch(PATH, json={"active": False})
        admin.patch(PATH, json={"active": True})
    work()

    assert deliveries(webhook)[0].state == "sent"


def test_a_delivery_that_is_being_sent_is_not_begun_again(admin: Caller, webhook: Webhook) -> None:
    queue = WebhookQueue(Event())
    queue.step()
    queue.claim(webhook.webhook_id, 1)

    answered = admin.post(f"{PATH}/deliveries/1/retry")

    assert answered.status_code == 409
    assert answered.json["errors"] == {"delivery_id": ["It is being sent now."]}
    documented = admin.get("/api/openapi.json").json["paths"]
    path = "/api/webhooks/{webhook_id}/deliveries/{delivery_id}/retry"
    assert "409" in documented[path]["post"]["responses"]


def test_deliveries_are_found_by_their_state(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    there.will(answer(200), answer(500))
    work()

    def ids(query: str) -> list[int]:
        return [row["delivery_id"] for row in admin.get(f"{PATH}/deliveries{query}").json]

    assert ids("") == [2, 1]
    assert (ids("?state=sent"), ids("?state=pending"), ids("?state=failed")) == ([1], [2], [])
    assert ids("?state=sent,pending") == [2, 1]
    seq = deliveries(webhook)[0].seq
    assert ids(f"?seq={seq}") == [1]


def waits() -> bool:
    """Return whether something waits that is to be sent."""
    ((oldest,),) = Statement(oldest_pending()).fetch()
    return oldest is not None


def test_what_waits_for_a_worker_or_a_receiver_is_known(webhook: Webhook, there: Receiver) -> None:
    make_webhook(active=False)
    waiting = [waits()]
    make_deliveries()
    waiting.append(waits())
    there.will(answer(500))
    work()
    waiting.append(waits())
    make_due()
    work()
    waiting.append(waits())

    assert waiting == [True, True, True, False]
    make_client()
    assert waits()


def test_what_is_tried_again_has_been_waiting_since_it_was_made(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    there.will(answer(500), answer(500))
    work()
    work()
    made = utcnow() - timedelta(hours=1)
    db.session.execute(update(WebhookDelivery).values(created_at=made))
    db.session.commit()

    assert admin.get("/api/summary").json["oldest_queued_at"] == f"{made:%Y-%m-%dT%H:%M:%SZ}"
    assert admin.get("/readyz").json["oldest_queued_seconds"] in range(3600, 3660)
    assert admin.patch(PATH, json={"active": False}).status_code == 200
    assert admin.get("/api/summary").json["oldest_queued_at"] is None


def test_each_failed_try_is_a_line_in_the_log(
    webhook: Webhook, there: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    there.will(answer(500), answer(503))

    with caplog.at_level(logging.INFO):
        work()
        work()
        work()

    lines = [record.getMessage() for record in caplog.records if "worker" in record.name]
    assert lines == [
        "Delivery 1 to webhook 1 not sent: It answered 500.",
        "Delivery 2 to webhook 1 not sent: It answered 503.",
    ]


def test_a_name_that_gets_a_private_address_later_is_not_connected_to(
    admin: Caller, there: Receiver, names: Names
) -> None:
    names.found = [["93.184.215.14"]]
    url = f"http://moves.example:{there.port}/hook"
    new = {"url": url, "types": ["client.*"]}
    assert admin.post("/api/webhooks", json=new).status_code == 201
    make_client()

    names.found = [["10.0.0.1"]]
    work()

    (delivery,) = deliveries(db.session.get_one(Webhook, 1))
    assert delivery.error == "moves.example has an address that is not public."
    assert there.connections == 0


@pytest.mark.parametrize("behaviour", [hang, drip])
def test_a_receiver_that_takes_too_long_is_left(
    webhook: Webhook, there: Receiver, monkeypatch: pytest.MonkeyPatch, behaviour: Any
) -> None:
    monkeypatch.setattr("omnidesk.webhooks.requests.MAX_SECONDS", 1.2)
    there.will(behaviour)

    work()

    assert deliveries(webhook)[0].error == f"{there.url}: it took too long."
