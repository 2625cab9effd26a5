"""The stand-in for WhatsApp's Cloud API does what the documentation says."""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.providers import whatsapp_updates as updates
from tests.providers.hook import Hook
from tests.providers.limits import Limit
from tests.providers.whatsapp import WhatsApp, send
from tests.providers.whatsapp_updates import HIDDEN, SHEENA


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A hook that stores everything."""
    with Hook() as running:
        yield running


@pytest.fixture
def whatsapp(hook: Hook) -> Iterator[WhatsApp]:
    """WhatsApp's Cloud API."""
    with WhatsApp() as running:
        running.hook = f"{hook.url}/hooks/whatsapp/1"
        yield running


def statuses(hook: Hook) -> list[str]:
    """Return the statuses that arrived, in order."""
    values = [change["value"] for body in hook.bodies for change in body["entry"][0]["changes"]]
    return [status["status"] for value in values for status in value["statuses"]]


def test_whatsapp_accepts_a_text_and_answers_with_its_id(whatsapp: WhatsApp) -> None:
    body = send(whatsapp, "Your parcel is here").json()

    assert body["contacts"] == [{"input": "16505551234", "wa_id": "16505551234"}]
    assert body["messages"] == [{"id": whatsapp.accepted[0].message_id}]
    assert whatsapp.sent == [("16505551234", "Your parcel is here")]


def test_whatsapp_sends_to_a_user_without_a_number(whatsapp: WhatsApp) -> None:
    body = send(whatsapp, to=None, recipient=HIDDEN.user_id).json()

    assert body["contacts"] == [{"input": HIDDEN.user_id, "user_id": HIDDEN.user_id}]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"messaging_product": "sms"}, 100),
        ({"to": None}, 100),
        ({"type": "fax"}, 100),
        ({"type": "location", "location": {}}, 131008),
        ({"text": {"body": ""}}, 100),
        ({"text": {"body": "x" * 4097}}, 100),
        ({"type": "image", "image": {}}, 100),
        ({"type": "image", "image": {"link": "ftp://a/b"}}, 131009),
        ({"biz_opaque_callback_data": "x" * 513}, 100),
    ],
)
def test_whatsapp_refuses_what_is_wrong(
    whatsapp: WhatsApp, fields: dict[str, Any], code: int
) -> None:
    response = send(whatsapp, **fields)

    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert not whatsapp.accepted


def test_whatsapp_refuses_another_token(whatsapp: WhatsApp) -> None:
    whatsapp.access_token = "new"
    address = f"{whatsapp.url}/v23.0/106540352242922/messages"

    response = requests.post(address, headers={"Authorization": "Bearer old"}, timeout=1)

    assert (response.status_code, response.json()["error"]["code"]) == (401, 190)


def test_whatsapp_limits_messages_to_one_user(whatsapp: WhatsApp) -> None:
    whatsapp.limits = {"pair": Limit(2, 60)}

    codes = [send(whatsapp, to=to).status_code for to in ("1", "1", "1", "2")]

    assert codes == [200, 200, 429, 200]


def test_whatsapp_signs_the_raw_body(whatsapp: WhatsApp, hook: Hook) -> None:
    whatsapp.write(updates.text(SHEENA, "¿Cuánto? 1/2"))

    [request] = hook.requests
    digest = hmac.digest(whatsapp.app_secret.encode(), request.body, hashlib.sha256).hex()
    assert request.headers["X-Hub-Signature-256"] == f"sha256={digest}"
    assert b"\\u00bf" in request.body
    assert b"1\\/2" in request.body


def test_whatsapp_asks_the_hook_to_prove_itself(whatsapp: WhatsApp, hook: Hook) -> None:
    response = whatsapp.challenge("secret")

    assert response.text == "1158201444"
    assert hook.requests[0].query["hub.verify_token"] == "secret"


def test_a_user_may_have_no_number(whatsapp: WhatsApp, hook: Hook) -> None:
    whatsapp.write(updates.text(HIDDEN, "Hi"), user=HIDDEN)

    value = hook.bodies[0]["entry"][0]["changes"][0]["value"]
    assert value["contacts"][0]["profile"]["username"] == "pablo.m"
    assert "wa_id" not in value["contacts"][0]
    assert "from" not in value["messages"][0]


def test_statuses_arrive_in_the_order_that_a_test_says(whatsapp: WhatsApp, hook: Hook) -> None:
    send(whatsapp, biz_opaque_callback_data="81")

    whatsapp.report(whatsapp.accepted[0], "read", "sent", "sent")

    assert statuses(hook) == ["read", "sent", "sent"]
    value = hook.bodies[0]["entry"][0]["changes"][0]["value"]
    assert value["statuses"][0]["biz_opaque_callback_data"] == "81"


def test_statuses_say_who_a_user_without_a_number_is(whatsapp: WhatsApp, hook: Hook) -> None:
    send(whatsapp, to=None, recipient=HIDDEN.user_id)

    whatsapp.report(whatsapp.accepted[0], "delivered")

    value = hook.bodies[0]["entry"][0]["changes"][0]["value"]
    assert value["contacts"][0]["user_id"] == HIDDEN.user_id
    assert value["statuses"][0]["recipient_user_id"] == HIDDEN.user_id
    assert "recipient_id" not in value["statuses"][0]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", updates.reply(SHEENA, "Yes", "wamid.1")),
        ("image", updates.media(SHEENA, "image", "image/jpeg", caption="Look")),
        ("audio", updates.media(SHEENA, "audio", "audio/ogg; codecs=opus", voice=True)),
        ("location", updates.location(SHEENA)),
        ("contacts", updates.contacts(SHEENA)),
        ("reaction", updates.reaction(SHEENA, "wamid.1", "")),
        ("interactive", updates.button(SHEENA, "Cancel", "wamid.1")),
        ("order", updates.order(SHEENA)),
        ("unsupported", updates.unsupported(SHEENA)),
        ("edit", updates.edit(SHEENA, "wamid.1", "Hello")),
        ("revoke", updates.revoke(SHEENA, "wamid.1")),
        ("request_welcome", updates.message(SHEENA, "request_welcome")),
    ],
)
def test_a_message_of_each_kind_arrives(
    whatsapp: WhatsApp, hook: Hook, kind: str, message: dict[str, Any]
) -> None:
    whatsapp.write(message)

    [found] = hook.bodies[0]["entry"][0]["changes"][0]["value"]["messages"]
    assert (found["type"], found["from"]) == (kind, "16505551234")
    assert found.get(kind) == message.get(kind)


def test_a_changed_number_and_an_echo_have_no_contacts(whatsapp: WhatsApp, hook: Hook) -> None:
    whatsapp.write(updates.number_changed(SHEENA, "12195555358"))
    whatsapp.notify(
        updates.echoes(HIDDEN, updates.text(HIDDEN, "From the app")), field="smb_message_echoes"
    )

    changes = [body["entry"][0]["changes"][0] for body in hook.bodies]
    assert not any("contacts" in change["value"] for change in changes)
    assert changes[0]["value"]["messages"][0]["system"]["wa_id"] == "12195555358"
    [echo] = changes[1]["value"]["message_echoes"]
    assert (echo["from"], echo["to_user_id"]) == ("15550783881", HIDDEN.user_id)


def test_statuses_follow_a_message_by_themselves(whatsapp: WhatsApp, hook: Hook) -> None:
    whatsapp.reports = ("delivered", "delivered")
    send(whatsapp)

    hook.wait_for_requests(2)

    assert statuses(hook) == ["delivered", "delivered"]


def test_a_message_that_was_accepted_fails_later(whatsapp: WhatsApp, hook: Hook) -> None:
    whatsapp.failures["16505551234"] = 131047
    send(whatsapp)

    hook.wait_for_requests(1)

    value = hook.bodies[0]["entry"][0]["changes"][0]["value"]
    assert value["statuses"][0]["errors"][0]["code"] == 131047
