"""Webhooks that are told of changes once more."""

from typing import Any

import pytest
from sqlalchemy import delete, func, select

from omnidesk.db import MAX_ID, db
from omnidesk.db.change_log import Change
from omnidesk.db.feed_start import delete_through
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.models import Webhook
from tests.conftest import Caller, make_client
from tests.receivers import Receiver, answer, receiver
from tests.webhooks import deliveries, make_webhook, work

PATH = "/api/webhooks/1"


@pytest.fixture
def there() -> Any:
    """A receiver that answers 200."""
    with receiver() as running:
        yield running


@pytest.fixture
def webhook(app: Any, there: Receiver) -> Webhook:
    """A webhook that was told of three new clients."""
    made = make_webhook(there.url, types=["client.*"])
    for _ in range(3):
        make_client()
    work()
    return made


def newest() -> int:
    """Return the seq of the newest change."""
    found = db.session.scalar(select(func.max(Change.seq))) or 0
    db.session.rollback()
    return found


def test_a_span_is_told_again_with_the_same_ids(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    first, _, third = (delivery.seq for delivery in deliveries(webhook))

    answered = admin.post(f"{PATH}/replay", json={"after_seq": first, "to_seq": third})
    work()

    assert (answered.status_code, answered.json) == (200, {"deliveries": 2})
    ids = [request.headers["webhook-id"] for request in there.requests]
    assert ids[3:] == ids[1:3]
    assert [delivery.state for delivery in deliveries(webhook)] == ["sent"] * 3


def test_what_was_before_the_webhook_or_deleted_since_is_made_anew(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    db.session.execute(delete(WebhookDelivery))
    db.session.commit()

    admin.post(f"{PATH}/replay", json={"after_seq": 0, "to_seq": 1000})
    work()

    assert len(there.requests) == 6
    assert {r.headers["webhook-id"] for r in there.requests[3:]} == {
        r.headers["webhook-id"] for r in there.requests[:3]
    }


def test_what_is_pending_stays_as_it_is(admin: Caller, webhook: Webhook, there: Receiver) -> None:
    there.will(answer(500))
    make_client()
    work()
    before = deliveries(webhook)[-1].due_at

    admin.post(f"{PATH}/replay", json={"after_seq": newest() - 1, "to_seq": newest()})

    assert deliveries(webhook)[-1].due_at == before


def test_what_the_worker_has_not_made_yet_is_told_once(
    admin: Caller, webhook: Webhook, there: Receiver
) -> None:
    make_client()

    admin.post(f"{PATH}/replay", json={"after_seq": newest() - 1, "to_seq": newest()})
    work()
    work()

    assert len(there.requests) == 4


def test_a_span_that_the_log_has_no_more_is_410(admin: Caller, webhook: Webhook) -> None:
    last = newest()
    with db.engine.begin() as connection:
        start, _ = delete_through(connection, last - 1)

    gone = admin.post(f"{PATH}/replay", json={"after_seq": start - 1, "to_seq": last})
    there_still = admin.post(f"{PATH}/replay", json={"after_seq": start, "to_seq": last})

    assert gone.status_code == 410
    assert gone.json == {
        "detail": "Gone",
        "errors": {"after_seq": [f"Changes before {start + 1} can no longer be read."]},
        "oldest_seq": start + 1,
    }
    assert there_still.json == {"deliveries": 1}


@pytest.mark.parametrize(
    ("span", "field"),
    [
        ({"after_seq": 1, "to_seq": 1}, "to_seq"),
        ({"after_seq": 2, "to_seq": 1}, "to_seq"),
        ({"after_seq": 0, "to_seq": 10_001}, "to_seq"),
        ({"after_seq": -1, "to_seq": 1}, "after_seq"),
        ({"after_seq": 0, "to_seq": MAX_ID + 1}, "to_seq"),
        ({"after_seq": "0", "to_seq": 1}, "after_seq"),
        ({"to_seq": 1}, "after_seq"),
        ({"after_seq": 1}, "to_seq"),
    ],
)
def test_what_is_no_span_is_refused(admin: Caller, span: Any, field: str) -> None:
    make_webhook()

    refused = admin.post(f"{PATH}/replay", json=span)

    assert refused.status_code == 400
    assert list(refused.json["errors"]) == [field]
