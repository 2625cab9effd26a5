"""The stand-in for an operator's own program signs and checks as Standard Webhooks says."""

import base64
import hashlib
import hmac
import time
from collections.abc import Iterator

import pytest
import requests

from tests.providers.habits import answer
from tests.providers.hook import Hook
from tests.providers.operator import SECRET, Operator, update

BODY = update("message", {"to": "ada", "text": "Hello"})


@pytest.fixture
def operator() -> Iterator[Operator]:
    """An operator's program."""
    with Operator() as running:
        yield running


def sign(body: bytes, at: float, secret: str = SECRET) -> dict[str, str]:
    """Return the headers that the specification asks for."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"msg_1.{int(at)}.".encode() + body
    digest = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    signatures = f"v1,bm90aGlu v1,{digest}"  # another secret's stands before it
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at)),
        "webhook-signature": signatures,
    }


def test_an_operator_takes_what_is_signed(operator: Operator) -> None:
    response = requests.post(operator.url, BODY, headers=sign(BODY, time.time()), timeout=5)

    assert response.json() == {"external_message_id": operator.accepted[0].message_id}
    assert operator.sent == [("ada", "Hello")]
    assert operator.webhook_ids == ["msg_1"]


@pytest.mark.parametrize(
    ("signed", "age", "secret", "more"),
    [
        (BODY, 3600, SECRET, {}),
        (BODY, -3600, SECRET, {}),
        (b"another body", 0, SECRET, {}),
        (BODY, 0, "whsec_" + "A" * 32, {}),
        (BODY, 0, SECRET, {"webhook-id": "msg_2"}),
        (BODY, 0, SECRET, {"webhook-id": ""}),
        (BODY, 0, SECRET, {"webhook-timestamp": "today"}),
        (BODY, 0, SECRET, {"webhook-signature": "v1"}),
        (BODY, 0, SECRET, {"webhook-signature": "v1,?"}),
    ],
)
def test_an_operator_refuses_all_else(
    operator: Operator, signed: bytes, age: int, secret: str, more: dict[str, str]
) -> None:
    headers = sign(signed, time.time() - age, secret) | more

    response = requests.post(operator.url, BODY, headers=headers, timeout=5)

    assert response.status_code == 401
    assert not operator.accepted


def test_an_operator_signs_its_updates(operator: Operator) -> None:
    with Hook() as hook:
        operator.hook = hook.url
        operator.notify("message", {"text": "Hi"})

        [request] = hook.requests
    name, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{name}.{at}.".encode() + request.body, hashlib.sha256)
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_an_operator_redirects_and_goes_away(operator: Operator) -> None:
    operator.once(answer(302, Location="http://169.254.169.254/"), answer(410))

    responses = [requests.post(operator.url, BODY, allow_redirects=False, timeout=5) for _ in "12"]

    assert [response.status_code for response in responses] == [302, 410]
    assert responses[0].headers["Location"] == "http://169.254.169.254/"
