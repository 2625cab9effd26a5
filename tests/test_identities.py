"""Identities: what channels call clients."""

from itertools import chain
from typing import Any

import pytest
import requests

from omnidesk.clients.identities import Identity
from tests.conftest import Caller, make_client, make_identity, reload, version
from tests.servers import run_concurrently
from tests.test_races import ask

USER = {"channel": "whatsapp", "external_user_id": "CO.1029384756"}


def address(client: Any) -> str:
    """Return the address of a client's identities."""
    return f"/api/clients/{client.client_id}/identities"


def test_a_client_is_given_an_identity(agent: Caller) -> None:
    client = make_client()

    answer = agent.post(address(client), json=USER)

    assert answer.status_code == 201
    keys = ["identity_id", "client_id", "channel", "external_user_id", "created_at"]
    assert list(answer.json) == keys
    assert USER.items() <= answer.json.items()
    assert agent.get(answer.headers["Location"]).json == answer.json
    assert agent.get(address(client)).json == [answer.json]


def test_an_identity_that_the_client_has_stays_as_it_is(agent: Caller) -> None:
    client = make_client()
    first = agent.post(address(client), json=USER)

    again = agent.post(address(client), json=USER)

    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["ETag"] == first.headers["ETag"]


def test_an_identity_moves_from_another_client(agent: Caller) -> None:
    one, other = make_client(), make_client()
    first = agent.post(address(one), json=USER)

    moved = agent.post(address(other), json=USER)

    assert moved.status_code == 200
    assert moved.json == first.json | {"client_id": other.client_id}
    assert (version(moved), agent.get(address(one)).json) == (2, [])
    (shown,) = agent.get(f"{address(other)}?include=etag").json
    assert shown == moved.json | {"etag": moved.headers["ETag"]}


def test_an_identity_is_taken_away(agent: Caller) -> None:
    client = make_client()
    made = agent.post(address(client), json=USER)

    stale = agent.delete(made.headers["Location"], headers={"If-Match": '"424242"'})
    gone = agent.delete(made.headers["Location"])

    assert (stale.status_code, gone.status_code) == (412, 204)
    assert agent.get(address(client)).json == []
    assert agent.delete(f"/api/clients/{client.client_id}").status_code == 204


def test_a_client_who_has_an_identity_is_not_deleted(agent: Caller) -> None:
    client = make_client()
    make_identity(client)

    answer = agent.delete(f"/api/clients/{client.client_id}")

    assert (answer.status_code, list(answer.json["errors"])) == (409, ["client_id"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channel", None),
        ("channel", "x" * 33),
        ("external_user_id", None),
        ("external_user_id", " "),
        ("external_user_id", "x" * 256),
        ("external_user_id", 5),
        ("identity_id", 1),
        ("client_id", 1),
    ],
)
def test_an_identity_with_a_fault_is_refused_by_name(
    agent: Caller, field: str, value: object
) -> None:
    answer = agent.post(address(make_client()), json=USER | {field: value})

    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/clients/424242/identities"),
        ("POST", "/api/clients/424242/identities"),
        ("GET", "/api/clients/1/identities/424242"),
        ("DELETE", "/api/clients/1/identities/424242"),
        ("GET", "/api/clients/2/identities/1"),
        ("DELETE", "/api/clients/2/identities/1"),
    ],
)
def test_what_a_client_does_not_have_is_404(agent: Caller, method: str, path: str) -> None:
    identity = make_identity(make_client())
    make_client()
    body = {"json": USER} if method == "POST" else {}

    answer = getattr(agent, method.lower())(path, **body)

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})
    assert reload(identity).client_id == 1


def test_of_many_who_give_one_identity_at_once_none_is_refused(server: str, agent: Caller) -> None:
    clients = [make_client() for _ in range(2)]

    def give(n: int) -> int:
        url = f"{server}{address(clients[n % 2])}"
        return requests.post(url, json=USER, headers=agent.headers, timeout=30).status_code

    statuses = run_concurrently(10, give)

    assert sorted(statuses) == [200] * 9 + [201]
    rows = [agent.get(address(client)).json for client in clients]
    assert sorted(map(len, rows)) == [0, 1]


def test_an_identity_is_given_and_taken_away_at_once(server: str, agent: Caller) -> None:
    clients = [make_client() for _ in range(2)]
    urls = [f"{server}{address(client)}" for client in clients]

    def act(n: int) -> list[int]:
        url, statuses = urls[n % 2], []
        for _ in range(10):
            given = ask("POST", url, agent, USER)
            taken = ask("DELETE", f"{url}/{given.json().get('identity_id')}", agent)
            statuses += [given.status_code, taken.status_code]
        return statuses

    statuses = set(chain.from_iterable(run_concurrently(8, act)))

    assert statuses <= {200, 201, 204, 404}


def test_an_identity_may_be_as_long_as_any_channels(agent: Caller) -> None:
    longest = "🔑" * Identity.external_user_id.type.length

    answer = agent.post(address(make_client()), json=USER | {"external_user_id": longest})

    assert (answer.status_code, answer.json["external_user_id"]) == (201, longest)
