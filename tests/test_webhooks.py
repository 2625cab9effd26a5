"""Webhooks over REST: made, changed and deleted by admins; their secrets are shown once."""

import json
from typing import Any

import pytest
import requests
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from omnidesk.db import db
from omnidesk.webhooks.making import make_deliveries
from omnidesk.webhooks.models import MAX_WEBHOOKS, Webhook
from tests.conftest import Caller, make_ticket, on_sqlite, version
from tests.receivers import receiver
from tests.servers import run_concurrently
from tests.webhooks import EVERYTHING, deliveries, make_webhook, told

URL = "https://93.184.215.14/hook"
NEW = {"url": URL, "types": ["ticket.closed", "comment.*"]}
PATH = "/api/webhooks/1"


def make(admin: Caller, **fields: Any) -> Any:
    """Make a webhook over REST; return the answer."""
    return admin.post("/api/webhooks", json=NEW | fields)


def test_a_new_webhook_is_shown_with_its_secret_once(admin: Caller) -> None:
    answer = make(admin, description="Data warehouse")

    assert answer.status_code == 201
    assert answer.headers["Location"] == PATH
    assert answer.headers["Cache-Control"] == "no-store"
    shown = answer.json
    assert shown.pop("secret").startswith("whsec_")
    assert shown == admin.get(PATH).json == admin.get("/api/webhooks").json[0]
    assert shown == {
        "webhook_id": 1,
        "url": URL,
        "types": ["comment.*", "ticket.closed"],
        "format": "standard",
        "active": True,
        "description": "Data warehouse",
        **dict.fromkeys(("inactive_reason", "inactive_since", "failing_since", "warning")),
        "created_at": shown["created_at"],
    }


def test_a_request_that_is_sent_again_shows_no_secret(admin: Caller) -> None:
    headers = {"Idempotency-Key": "once"}
    secret = admin.post("/api/webhooks", json=NEW, headers=headers).json["secret"]

    again = admin.post("/api/webhooks", json=NEW, headers=headers)

    assert again.json["secret"] is None
    assert len(admin.get("/api/webhooks").json) == 1
    assert secret not in again.get_data(as_text=True)


def test_no_answer_but_the_first_has_a_secret(admin: Caller) -> None:
    secrets = [make(admin).json["secret"], admin.post(f"{PATH}/rotate").json["secret"]]
    stale = {"If-Match": '"0"'}

    answers = [
        admin.get("/api/webhooks"),
        admin.get("/api/webhooks", headers={"Accept": "text/csv"}),
        admin.get(PATH),
        admin.patch(PATH, json={"active": False}),
        admin.patch(PATH, json={"active": False}, headers=stale),
        admin.post(f"{PATH}/rotate", headers=stale),
        admin.delete(PATH, headers=stale),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 412, 400, 412]
    texts = [answer.get_data(as_text=True) for answer in answers]
    assert not any(secret in text for secret in secrets for text in texts)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"url": "http://example.com/"}, "url", "has no address"),
        ({"url": "https://10.0.0.1/"}, "url", "10.0.0.1 has an address that is not public."),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "url", "not public"),
        ({"url": "https://169.254.169.254/latest"}, "url", "not public"),
        ({"url": "ftp://93.184.215.14/"}, "url", "Must begin with https://."),
        ({"url": "https://user:pass@93.184.215.14/"}, "url", "Not a URL"),
        ({"url": ""}, "url", "Length"),
        ({"url": "https://93.184.215.14/" + "x" * 2048}, "url", "Length"),
        ({"types": []}, "types", "Length must be between 1"),
        ({"types": ["ticket.gone"]}, "types", "Must be one of"),
        ({"types": ["user.created"]}, "types", "Must be one of"),
        ({"types": ["*"]}, "types", "Must be one of"),
        ({"format": "xml"}, "format", "Must be one of"),
        ({"active": "yes"}, "active", "Not a valid boolean"),
        ({"description": "x" * 201}, "description", "Length"),
        ({"secret": "whsec_x"}, "secret", "Unknown field"),
    ],
)
@on_sqlite
def test_what_cannot_be_a_webhook_is_refused(
    admin: Caller, monkeypatch: Any, fields: Any, field: str, message: str
) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise OSError

    if "example.com" in fields.get("url", ""):
        monkeypatch.setattr("socket.getaddrinfo", nowhere)
    make_webhook(URL)

    answers = make(admin, **fields), admin.patch(PATH, json=fields)

    for refused in answers:
        assert refused.status_code == 400
        assert message in json.dumps(refused.json["errors"][field])
    assert len(admin.get("/api/webhooks").json) == 1


def test_a_webhook_that_is_missing_is_404(admin: Caller) -> None:
    span = {"after_seq": 0, "to_seq": 1}
    make_webhook()

    answers = [
        admin.get("/api/webhooks/2"),
        admin.patch("/api/webhooks/2", json={"active": False}),
        admin.delete("/api/webhooks/2"),
        admin.post("/api/webhooks/2/rotate"),
        admin.post("/api/webhooks/2/test"),
        admin.post("/api/webhooks/2/replay", json=span),
        admin.get("/api/webhooks/2/deliveries"),
        admin.post("/api/webhooks/2/deliveries/1/retry"),
        admin.post("/api/webhooks/1/deliveries/1/retry"),
    ]

    assert [answer.status_code for answer in answers] == [404] * len(answers)


def test_a_webhook_is_changed_only_as_the_admin_knows_it(admin: Caller) -> None:
    known = make(admin).headers["ETag"]
    admin.patch(PATH, json={"active": False})

    answer = admin.patch(PATH, json={"types": ["client.*"]}, headers={"If-Match": known})

    assert answer.status_code == 412
    assert answer.json["current"]["active"] is False


def test_what_an_admin_sets_inactive_says_since_when(admin: Caller) -> None:
    make(admin)

    stopped = admin.patch(PATH, json={"active": False}).json
    begun = admin.patch(PATH, json={"active": True}).json

    assert (stopped["inactive_reason"], stopped["inactive_since"] is None) == (None, False)
    assert (begun["inactive_since"], begun["active"]) == (None, True)


def test_a_new_webhook_that_is_inactive_says_so(admin: Caller) -> None:
    assert make(admin, active=False).json["inactive_since"] is not None


def test_a_deleted_webhook_takes_its_deliveries_along(admin: Caller) -> None:
    webhook = make_webhook()
    make_ticket()
    make_deliveries()
    assert deliveries(webhook)

    assert admin.delete(PATH).status_code == 204

    assert deliveries(webhook) == []


def test_what_the_worker_moves_is_no_new_version(admin: Caller) -> None:
    with receiver() as there:
        before = version(make(admin, url=there.url, types=EVERYTHING))
        make_ticket()
        assert told(there)

    assert version(admin.get(PATH)) == before


def test_the_twenty_sixth_webhook_is_refused_until_one_is_deleted(admin: Caller) -> None:
    for _ in range(MAX_WEBHOOKS):
        make_webhook(URL)

    refused = make(admin)
    admin.delete("/api/webhooks/7")
    accepted = make(admin)

    assert refused.status_code == 409
    assert refused.json["errors"] == {"webhook_id": ["There are 25 webhooks, which is the most."]}
    assert (accepted.status_code, accepted.json["webhook_id"]) == (201, MAX_WEBHOOKS + 1)


def test_of_thirty_made_at_once_twenty_five_are_there(admin: Caller, four_workers: str) -> None:
    headers = {"Authorization": f"Bearer {admin.token}"}

    def post(_: int) -> int:
        answer = requests.post(
            f"{four_workers}/api/webhooks", json=NEW, headers=headers, timeout=30
        )
        return answer.status_code

    statuses = run_concurrently(30, post)

    assert sorted(statuses) == [201] * MAX_WEBHOOKS + [409] * 5


def test_the_database_holds_that_there_are_no_more(app: Any) -> None:
    make_webhook()
    values = {
        c.name: getattr(db.session.get_one(Webhook, 1), c.name) for c in Webhook.__table__.columns
    }
    db.session.rollback()

    for slot in (1, 0, MAX_WEBHOOKS + 1):
        with pytest.raises(IntegrityError), db.engine.begin() as connection:
            connection.execute(insert(Webhook).values(values | {"webhook_id": 2, "slot": slot}))
