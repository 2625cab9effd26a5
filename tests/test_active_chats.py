"""A chat has at most one active conversation, whoever begins or opens them."""

from typing import Any

import pytest
import requests

from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from tests.conftest import Caller, make_client, make_conversation, reload
from tests.security.test_api_tokens import make
from tests.servers import run_concurrently

CHAT = {"channel": "whatsapp", "external_chat_id": "573015550155"}
TAKEN = {"external_chat_id": ["This chat has an active conversation."]}


def close(conversation: Conversation) -> None:
    """Close a conversation."""
    reload(conversation).active = False
    db.session.commit()


def begin(caller: Caller, **fields: Any) -> Any:
    """Return the response to a new conversation of the chat."""
    body = {"client_id": make_client().client_id, **CHAT, **fields}
    return caller.post("/api/conversations", json=body)


def test_a_chat_with_an_active_conversation_gets_no_other(agent: Caller) -> None:
    first = make_conversation(**CHAT)

    answer = begin(agent)

    assert answer.status_code == 409
    shown = agent.get(f"/api/conversations/{first.conversation_id}").json
    assert answer.json == {"detail": "Conflict", "errors": TAKEN, "current": [shown]}
    assert len(agent.get("/api/conversations").json) == 1


def test_a_second_conversation_of_a_chat_is_not_opened(agent: Caller) -> None:
    closed = make_conversation(**CHAT, active=False)
    active = make_conversation(**CHAT)
    address = f"/api/conversations/{closed.conversation_id}"

    answer = agent.patch(address, json={"active": True, "handled_by_bot": True})

    assert (answer.status_code, answer.json["errors"]) == (409, TAKEN)
    shown = agent.get(f"/api/conversations/{active.conversation_id}").json
    assert answer.json["current"] == [shown]
    assert agent.get(address).json["handled_by_bot"] is False


def test_a_chat_goes_on_when_its_conversation_is_closed(agent: Caller) -> None:
    first = make_conversation(**CHAT)
    close(first)

    second = begin(agent)

    assert second.status_code == 201
    agent.patch(second.headers["Location"], json={"active": False})
    again = agent.patch(f"/api/conversations/{first.conversation_id}", json={"active": True})
    assert again.status_code == 200


@pytest.mark.parametrize(
    "other",
    [{"channel": "sms"}, {"external_chat_id": "573015550156"}, {"external_chat_id": None}],
)
def test_other_chats_have_conversations_of_their_own(agent: Caller, other: Any) -> None:
    for fields in (CHAT, CHAT | other):
        make_conversation(**fields, active=False)
        make_conversation(**fields)

    assert begin(agent, channel="web", external_chat_id=None).status_code == 201


def test_a_retry_with_a_key_is_refused_like_its_first_request(agent: Caller) -> None:
    make_conversation(**CHAT)
    body = {"client_id": make_client().client_id, **CHAT}

    answers = [
        agent.post("/api/conversations", json=body, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [409, 409]


def test_who_may_not_read_conversations_is_shown_none(admin: Caller) -> None:
    make_conversation(**CHAT)

    answer = begin(make(admin, "conversations:write"))

    assert (answer.status_code, answer.json) == (409, {"detail": "Conflict", "errors": TAKEN})


def test_of_ten_who_begin_a_chat_at_once_one_does(server: str, agent: Caller) -> None:
    body = {"client_id": make_client().client_id, **CHAT}
    url = f"{server}/api/conversations"

    answers = run_concurrently(
        10, lambda _: requests.post(url, json=body, headers=agent.headers, timeout=30)
    )

    (made,) = [answer.json() for answer in answers if answer.status_code == 201]
    others = [answer.json() for answer in answers if answer.status_code == 409]
    assert len(others) == 9
    assert {row["conversation_id"] for answer in others for row in answer["current"]} == {
        made["conversation_id"]
    }
