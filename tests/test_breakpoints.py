"""A breakpoint in a view is reached by each request, and once."""

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import flask
import pytest

from tests.conftest import Caller, make_client, make_conversation, make_event, make_ticket


@contextmanager
def breakpoint_in(function: Callable[..., Any]) -> Iterator[list[str]]:
    """Note each time that a function is run, as a debugger that stops in it does."""
    code, stops = inspect.unwrap(function).__code__, []

    def trace(frame: FrameType, _event: str, _argument: object) -> None:
        if frame.f_code is code:
            stops.append(flask.request.path)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield stops
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("tickets.list_tickets", "/api/tickets"),
        ("tickets.list_tickets", "/api/tickets?status=abierto&limit=1"),
        ("tickets.get_ticket", "/api/tickets/1"),
        ("events.list_events", "/api/events"),
        ("conversations.list_messages", "/api/conversations/1/messages"),
        ("users.list_users", "/api/users"),
        ("summary.get_summary", "/api/summary"),
    ],
)
def test_a_breakpoint_in_a_view_is_reached_by_each_request(
    agent: Caller, endpoint: str, path: str
) -> None:
    make_client()
    make_ticket(1)
    make_event()
    make_conversation(client_id=1)

    with breakpoint_in(agent.app.view_functions[endpoint]) as stops:
        answers = [agent.get(path) for _ in range(3)]
        unchanged = {"If-None-Match": answers[0].headers.get("ETag", "none")}
        last = agent.get(path, headers=unchanged)

    assert {answer.status_code for answer in answers} == {200}
    assert last.status_code == (304 if "ETag" in answers[0].headers else 200)
    assert stops == [path.partition("?")[0]] * 4


@pytest.mark.parametrize(
    ("method", "endpoint", "path", "body"),
    [
        ("post", "tickets.create_ticket", "/api/tickets", {"client_id": 1, "subject": "Help"}),
        ("patch", "tickets.update_ticket", "/api/tickets/1", {"subject": "Other"}),
        ("delete", "clients.delete_client", "/api/clients/2", None),
    ],
)
def test_a_breakpoint_in_a_view_that_writes_is_reached_once(
    agent: Caller, method: str, endpoint: str, path: str, body: Any
) -> None:
    make_ticket()
    make_client()

    with breakpoint_in(agent.app.view_functions[endpoint]) as stops:
        answer = getattr(agent, method)(path, json=body)

    assert answer.status_code in (200, 201, 204)
    assert stops == [path]
