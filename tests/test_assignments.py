"""Who has what: a leaver's work is given to others, and the next ticket is taken once."""

from typing import Any

import pytest

from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_ticket,
    make_user,
    reload,
    version,
)
from tests.servers import run_concurrently
from tests.test_races import ask


@pytest.fixture
def work(agent: Caller) -> list[int]:
    """The ids of an agent's tickets: two that are not closed, and one that is."""
    client_id, user_id = make_client().client_id, agent.user.user_id
    states = ("abierto", "en_progreso", "cerrado")
    return [make_ticket(client_id, status=s, assigned_to=user_id).ticket_id for s in states]


def assignees(caller: Caller, ids: list[int]) -> list[int | None]:
    """Return who has each of some tickets."""
    return [caller.get(f"/api/tickets/{ticket_id}").json["assigned_to"] for ticket_id in ids]


@pytest.mark.parametrize("to_somebody", [True, False])
def test_what_a_leaver_has_to_do_is_given_away(
    agent: Caller, admin: Caller, work: list[int], to_somebody: bool
) -> None:
    to, leaver = admin.user.user_id if to_somebody else None, agent.user.user_id
    others = make_ticket(1, assigned_to=make_user("other").user_id).ticket_id
    assert admin.patch(f"/api/users/{leaver}", json={"active": False}).status_code == 200
    before = [admin.get(f"/api/tickets/{n}") for n in work]
    chats = [make_conversation(assigned_to=leaver, active=active) for active in (True, False)]

    answer = admin.post(f"/api/users/{leaver}/release", json={"to": to})

    assert (answer.status_code, answer.json) == (200, {"tickets": 2, "conversations": 1})
    assert [reload(each).assigned_to for each in chats] == [to, leaver]
    assert assignees(admin, [*work, others]) == [to, to, leaver, assignees(admin, [others])[0]]
    after = [admin.get(f"/api/tickets/{n}") for n in work]
    assert [version(b) - version(a) for a, b in zip(before, after, strict=True)] == [1, 1, 0]
    newest, *_ = admin.get(f"/api/tickets/{work[0]}/history").json
    assert (newest["actor"], newest["after"]["assigned_to"]) == (admin.user.user_id, to)


@pytest.mark.parametrize(
    ("user_id", "body", "status", "field"),
    [
        (424242, {"to": None}, 404, None),
        (1, {"to": 1}, 400, "to"),
        (1, {"to": 424242}, 400, "to"),
        (1, {"to": 3}, 400, "to"),
        (1, {}, 400, "to"),
        (1, {"to": "2"}, 400, "to"),
        (1, {"to": None, "tickets": True}, 400, "tickets"),
    ],
)
def test_nothing_is_given_to_nobody_who_could_do_it(
    agent: Caller,
    admin: Caller,
    work: list[int],
    user_id: int,
    body: Any,
    status: int,
    field: str | None,
) -> None:
    make_user("off1", active=False)

    answer = admin.post(f"/api/users/{user_id}/release", json=body)

    assert (answer.status_code, next(iter(answer.json.get("errors", [])), None)) == (status, field)
    assert assignees(admin, work) == [1, 1, 1]


def test_the_oldest_of_the_highest_priority_is_taken_next(agent: Caller) -> None:
    client_id = make_client().client_id
    make_ticket(client_id, priority="alta", status="cerrado")
    make_ticket(client_id, priority="alta", assigned_to=agent.user.user_id)
    wanted = [
        make_ticket(client_id, priority=priority, status=status).ticket_id
        for priority, status in (
            ("baja", "abierto"),
            ("media", "en_progreso"),
            ("alta", "abierto"),
            ("alta", "en_progreso"),
        )
    ]
    before = {n: agent.get(f"/api/tickets/{n}").json for n in wanted}

    answers = [agent.post("/api/tickets/next") for _ in range(5)]

    taken = [answer.json["ticket_id"] for answer in answers[:4]]
    assert taken == [wanted[2], wanted[3], wanted[1], wanted[0]]
    for answer in answers[:4]:
        now = agent.get(f"/api/tickets/{answer.json['ticket_id']}")
        assert (answer.status_code, answer.json) == (200, now.json)
        assert answer.headers["ETag"] == now.headers["ETag"]
        was = before[answer.json["ticket_id"]]
        mine = {"assigned_to": agent.user.user_id, "updated_at": now.json["updated_at"]}
        assert now.json == was | mine
    assert (answers[4].status_code, answers[4].data) == (204, b"")


@pytest.mark.parametrize("body", [None, b"no JSON", b"[" * 10_000])
def test_a_request_for_the_next_ticket_that_is_sent_again_takes_no_second(
    agent: Caller, body: bytes | None
) -> None:
    client_id = make_client().client_id
    wanted, other = (make_ticket(client_id).ticket_id for _ in range(2))
    key = {"Idempotency-Key": "a-click"}

    first, again = (agent.post("/api/tickets/next", data=body, headers=key) for _ in range(2))

    assert (first.status_code, first.json["ticket_id"]) == (200, wanted)
    assert (again.status_code, again.data) == (200, first.data)
    assert again.headers["ETag"] == first.headers["ETag"]
    assert (again.headers["Idempotent-Replayed"], first.headers.get("Idempotent-Replayed")) == (
        "true",
        None,
    )
    assert agent.get(f"/api/tickets/{other}").json["assigned_to"] is None


def test_that_there_was_no_next_ticket_is_answered_again_too(agent: Caller) -> None:
    key = {"Idempotency-Key": "a-click"}

    answers = [agent.post("/api/tickets/next", headers=key) for _ in range(2)]

    assert [(answer.status_code, answer.data) for answer in answers] == [(204, b"")] * 2
    assert [answer.content_type for answer in answers] == [answers[0].content_type] * 2
    assert answers[1].headers["Idempotent-Replayed"] == "true"


def test_agents_who_take_at_once_get_different_tickets(four_workers: str, agent: Caller) -> None:
    client_id = make_client().client_id
    agents = [agent, *(Caller(agent.app, make_user(f"agent-{n}")) for n in range(3))]
    priorities = ["alta"] * 6 + ["media"] * 6 + ["baja"] * 8
    ids = [make_ticket(client_id, priority=each).ticket_id for each in priorities]

    def take(n: int) -> Any:
        return agents[n % 4].user.user_id, ask(
            "POST", f"{four_workers}/api/tickets/next", agents[n % 4]
        )

    answers = run_concurrently(20, take)

    assert sorted(answer.json()["ticket_id"] for _, answer in answers) == ids
    assert all(answer.json()["assigned_to"] == user_id for user_id, answer in answers)
    assert ask("POST", f"{four_workers}/api/tickets/next", agent).status_code == 204
