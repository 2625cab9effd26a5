"""What all stand-ins for the providers of channels share: habits, limits, and their records."""

import socket
from collections.abc import Iterator

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
from tests.providers.whatsapp import WhatsApp, send
from tests.providers.whatsapp_errors import error
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


def test_an_error_is_answered_once_or_always(whatsapp: WhatsApp) -> None:
    whatsapp.once(error(131016, Retry_After="7"))
    first, second = send(whatsapp), send(whatsapp)
    whatsapp.always(error(131047))
    third = send(whatsapp)

    assert (first.status_code, first.headers["Retry-After"]) == (503, "7")
    assert [second.status_code, third.status_code] == [200, 400]
    assert len(whatsapp.accepted) == 1


@pytest.mark.parametrize(
    ("habit", "count"),
    [(CUT_BEFORE_BODY, 0), (CUT_BEFORE_ANSWER, 1), (CUT_WITHIN_ANSWER, 1), (HANG, 1)],
)
def test_a_connection_is_cut_before_or_after_the_message_is_accepted(
    whatsapp: WhatsApp, habit: Habit, count: int
) -> None:
    whatsapp.once(habit)

    with pytest.raises(requests.RequestException):
        send(whatsapp, timeout=0.3)

    assert len(whatsapp.requests) == len(whatsapp.accepted) == count


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
