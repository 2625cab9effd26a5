"""The stand-ins for the providers of channels do what the documentation says."""

import hashlib
import hmac
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.providers import whatsapp_updates as updates
from tests.providers.habits import (
    CUT_BEFORE_ANSWER,
    CUT_BEFORE_BODY,
    CUT_WITHIN_ANSWER,
    HANG,
    Habit,
    answer,
)
from tests.providers.hook import Hook
from tests.providers.limits import Limit, Limiter
from tests.providers.whatsapp import WhatsApp
from tests.providers.whatsapp_errors import error
from tests.providers.whatsapp_updates import HIDDEN, SHEENA
from tests.servers import RawConnection, run_concurrently


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


def send(whatsapp: WhatsApp, text: str = "Hello", **fields: Any) -> requests.Response:
    """Send a text, or what the fields say, to a user of WhatsApp."""
    message = {"messaging_product": "whatsapp", "to": "16505551234", "type": "text"}
    return requests.post(
        f"{whatsapp.url}/v23.0/106540352242922/messages",
        json={**message, "text": {"body": text}, **fields},
        headers={"Authorization": f"Bearer {whatsapp.access_token}"},
        timeout=1,
    )


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


def test_an_error_is_answered_once_or_always(whatsapp: WhatsApp) -> None:
    whatsapp.once(error(131016, Retry_After="7"))
    first, second = send(whatsapp), send(whatsapp)
    whatsapp.always(error(131047))
    third = send(whatsapp)

    assert (first.status_code, first.headers["Retry-After"]) == (503, "7")
    assert [second.status_code, third.status_code] == [200, 400]
    assert len(whatsapp.accepted) == 1


@pytest.mark.parametrize(
    ("habit", "accepted"),
    [(CUT_BEFORE_BODY, 0), (CUT_BEFORE_ANSWER, 1), (CUT_WITHIN_ANSWER, 1), (HANG, 1)],
)
def test_a_connection_is_cut_before_or_after_the_message_is_accepted(
    whatsapp: WhatsApp, habit: Any, accepted: int
) -> None:
    whatsapp.once(habit)

    with pytest.raises(requests.RequestException):
        send(whatsapp)

    assert len(whatsapp.accepted) == accepted


def test_a_message_whose_body_ends_early_is_not_accepted(whatsapp: WhatsApp) -> None:
    with RawConnection(whatsapp.url) as connection:
        connection.send(b"POST /v23.0/1/messages HTTP/1.1\r\nContent-Length: 99\r\n\r\n{}")
        connection.socket.shutdown(socket.SHUT_WR)
        answered = connection.receive()

    assert not answered
    assert not whatsapp.requests


def test_an_answer_comes_byte_by_byte(whatsapp: WhatsApp) -> None:
    whatsapp.once(Habit(drip=0.001))

    assert send(whatsapp).json()["messages"]


def test_messages_are_taken_concurrently(whatsapp: WhatsApp) -> None:
    whatsapp.limits = {}

    run_concurrently(20, lambda number: send(whatsapp, to=str(number)))

    assert {to for to, _ in whatsapp.sent} == {str(number) for number in range(20)}
    assert not whatsapp.doubled


def test_a_habit_may_be_about_one_recipient(whatsapp: WhatsApp) -> None:
    whatsapp.always(answer(500), to="1")

    assert [send(whatsapp, to=to).status_code for to in ("1", "2")] == [500, 200]


def test_a_stand_in_refuses_connections_and_listens_again(whatsapp: WhatsApp) -> None:
    whatsapp.refuse()
    with pytest.raises(requests.ConnectionError):
        send(whatsapp)

    whatsapp.listen()

    assert send(whatsapp).ok


def test_what_was_accepted_twice_is_told(whatsapp: WhatsApp) -> None:
    for text in ("one", "two", "one"):
        send(whatsapp, text)

    assert whatsapp.doubled == {("16505551234", "one"): 2}
    assert whatsapp.texts("16505551234") == ["one", "two", "one"]


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


def test_an_update_is_sent_until_it_is_stored(whatsapp: WhatsApp, hook: Hook) -> None:
    hook.once(answer(503), CUT_BEFORE_ANSWER)

    attempts = whatsapp.insist(updates.notification({}))

    assert attempts == 3


def test_a_limit_is_a_burst_and_then_one_at_a_time() -> None:
    now = [0.0]
    limiter, limit = Limiter(lambda: now[0]), Limit(burst=2, seconds=3.0)

    waits = [limiter.wait({"chat": limit}) for _ in range(3)]
    now[0] = 3.0

    assert waits == [0.0, 0.0, 3.0]
    assert limiter.wait({"chat": limit}) == 0.0
