"""Changes of many tickets by one request: all or none, and logged ticket by ticket."""

from typing import Any

import pytest

from tests.conftest import (
    Caller,
    make_client,
    make_ticket,
    recorded_statements,
    version,
)


def bulk(caller: Caller, ticket_ids: list[Any], **fields: Any) -> Any:
    """Change several tickets at once."""
    return caller.patch("/api/tickets", json={"ticket_ids": ticket_ids, "set": fields})


def test_many_tickets_are_changed_by_one_request(agent: Caller) -> None:
    ids = [make_ticket().ticket_id, make_ticket(status="cerrado").ticket_id]
    before = {n: agent.get(f"/api/tickets/{n}").json for n in ids}

    answer = bulk(agent, ids[::-1], status="cerrado", priority="alta", assigned_to=1)

    assert answer.status_code == 200
    assert [ticket["ticket_id"] for ticket in answer.json] == ids[::-1]
    assert answer.json == [agent.get(f"/api/tickets/{n}").json for n in ids[::-1]]
    closed, opened = answer.json
    assert closed["resolved_at"] == before[ids[1]]["resolved_at"]
    assert opened["resolved_at"] is not None
    assert {ticket["priority"] for ticket in answer.json} == {"alta"}
    reopened = bulk(agent, ids, status="en_progreso").json
    assert [ticket["resolved_at"] for ticket in reopened] == [None, None]


def test_a_bulk_change_is_logged_ticket_by_ticket(agent: Caller) -> None:
    ids = [make_ticket().ticket_id, make_ticket(priority="alta").ticket_id]

    bulk(agent, ids, priority="alta")

    first, second = (agent.get(f"/api/tickets/{n}/history").json for n in ids)
    assert (first[0]["op"], first[0]["actor"]) == ("updated", agent.user.user_id)
    assert (first[0]["before"]["priority"], first[0]["after"]["priority"]) == ("media", "alta")
    assert [change["op"] for change in second] == ["created"]
    assert [version(agent.get(f"/api/tickets/{n}")) for n in ids] == [2, 1]


def test_one_missing_ticket_is_named_and_nothing_is_changed(agent: Caller) -> None:
    ticket_id = make_ticket().ticket_id

    answer = bulk(agent, [ticket_id, 424242], subject="Other")

    assert answer.status_code == 400
    assert answer.json["errors"] == {"ticket_ids": {"1": ["No such row."]}}
    assert agent.get(f"/api/tickets/{ticket_id}").json["subject"] == "Cannot login"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"set": {}}, "ticket_ids"),
        ({"ticket_ids": [], "set": {}}, "ticket_ids"),
        ({"ticket_ids": list(range(1, 102)), "set": {}}, "ticket_ids"),
        ({"ticket_ids": [1, 1], "set": {}}, "ticket_ids"),
        ({"ticket_ids": ["1"], "set": {}}, "ticket_ids"),
        ({"ticket_ids": [0], "set": {}}, "ticket_ids"),
        ({"ticket_ids": None, "set": {}}, "ticket_ids"),
        ({"ticket_ids": [1]}, "set"),
        ({"ticket_ids": [1], "set": None}, "set"),
        ({"ticket_ids": [1], "set": {"priority": "urgent"}}, "set"),
        ({"ticket_ids": [1], "set": {"ticket_id": 2}}, "set"),
        ({"ticket_ids": [1], "set": {"assigned_to": 424242}}, "set"),
        ({"ticket_ids": [1], "set": {"client_id": 424242}}, "set"),
        ({"ticket_ids": [1], "set": {}, "more": 1}, "more"),
    ],
)
def test_a_bulk_change_with_a_fault_is_refused_by_name(
    agent: Caller, body: Any, field: str
) -> None:
    make_ticket()

    answer = agent.patch("/api/tickets", json=body)

    assert answer.status_code == 400, answer.json
    assert list(answer.json["errors"]) == [field]


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"assigned_to": 424242}, {"assigned_to": ["No active user has this id."]}),
        ({"client_id": 424242}, {"client_id": ["No such row."]}),
        (
            {"conversation_id": 424242},
            {"conversation_id": ["The client has no such conversation."]},
        ),
    ],
)
def test_the_errors_of_a_bulk_change_nest_as_its_body_does(
    agent: Caller, fields: Any, errors: Any
) -> None:
    ticket_id = make_ticket().ticket_id

    answer = bulk(agent, [ticket_id], **fields)

    assert (answer.status_code, answer.json["errors"]) == (400, {"set": errors})


def test_a_hundred_tickets_cost_as_many_statements_as_one(agent: Caller) -> None:
    client_id = make_client().client_id
    ids = [make_ticket(client_id).ticket_id for _ in range(100)]

    with recorded_statements() as few:
        assert bulk(agent, ids[:1], priority="alta").status_code == 200
    with recorded_statements() as many:
        assert bulk(agent, ids, priority="baja").status_code == 200

    assert len(many) == len(few) == 4


def test_each_ticket_of_a_bulk_change_gets_the_comment(agent: Caller) -> None:
    ids = [make_ticket(status=status).ticket_id for status in ("abierto", "cerrado")]

    answer = bulk(agent, ids, status="cerrado", comment="Done")

    assert answer.json == [agent.get(f"/api/tickets/{n}").json for n in ids]
    comments = [agent.get(f"/api/tickets/{n}/comments").json for n in ids]
    assert [[comment["body"] for comment in some] for some in comments] == [["Done"]] * 2
    assert [version(agent.get(f"/api/tickets/{n}")) for n in ids] == [3, 2]


def test_nothing_is_stored_of_a_bulk_change_that_is_refused(agent: Caller) -> None:
    ticket_id = make_ticket().ticket_id

    answers = [
        bulk(agent, [ticket_id, 424242], comment="x"),
        bulk(agent, [ticket_id], comment="x", client_id=424242),
        bulk(agent, [ticket_id], comment=""),
    ]

    assert [answer.status_code for answer in answers] == [400] * 3
    assert agent.get(f"/api/tickets/{ticket_id}/comments").json == []
