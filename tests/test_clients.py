"""Clients: who asks for help."""

import pytest

from tests.conftest import Caller, make_client

KEYS = [
    "client_id",
    "full_name",
    "email",
    "phone",
    "external_id",
    "active",
    "created_at",
    "merged_into",
]


def test_a_client_needs_only_a_name(agent: Caller) -> None:
    answer = agent.post("/api/clients", json={"full_name": "Ada Lovelace"})

    assert answer.status_code == 201
    assert list(answer.json) == KEYS
    assert answer.json["active"] is True
    assert answer.json["email"] is answer.json["phone"] is answer.json["external_id"] is None
    assert agent.get(answer.headers["Location"]).json == answer.json


def test_a_client_keeps_what_was_given(agent: Caller) -> None:
    given = {
        "full_name": "Ada Lovelace",
        "email": "ada@example.com",
        "phone": "+57 601 555 0155",
        "external_id": "crm-55",
        "active": False,
    }

    answer = agent.post("/api/clients", json=given)

    assert answer.json == answer.json | given


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("full_name", None),
        ("full_name", ""),
        ("email", "nobody"),
        ("phone", "x" * 33),
        ("external_id", ""),
        ("active", "true"),
        ("active", 1),
        ("active", None),
        ("client_id", 1),
        ("created_at", "2025-10-29T08:00:00Z"),
    ],
)
def test_a_client_with_a_fault_is_refused_by_name(agent: Caller, field: str, value: object) -> None:
    answer = agent.post("/api/clients", json={"full_name": "Ada", field: value})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


def test_clients_are_listed_as_they_came(agent: Caller) -> None:
    ids = [make_client().client_id for _ in range(3)]

    assert [client["client_id"] for client in agent.get("/api/clients").json] == ids
