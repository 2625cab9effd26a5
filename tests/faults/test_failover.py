"""Two hosts over a cluster whose primary dies, is replaced, or is a standby: nothing is lost."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy.engine import make_url

from tests.conftest import KEY
from tests.faults import cluster
from tests.faults.cluster import Cluster, Node
from tests.faults.writers import Writer, Writers, rows_of
from tests.relay import Relay, relay
from tests.reliability import record
from tests.servers import flask, gunicorn

USERS = ("admin", "user1", "agent2")
MAX_WAIT = 12  # seconds for one response


@pytest.fixture(scope="module")
def patroni() -> Iterator[Cluster]:
    """A cluster with the demo."""
    with cluster.running() as running:
        made = flask(environment(running.url), "init-db", "--demo")
        assert made.returncode == 0, made.stderr
        yield running


def environment(url: str) -> dict[str, str]:
    """Return the settings of a server on a database."""
    limits = dict.fromkeys(("RATE_LIMIT_TOKEN", "RATE_LIMIT_LOGIN"), "90000 per minute")
    return {"DATABASE_URL": url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"} | limits


@pytest.fixture(scope="module")
def hosts(patroni: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The addresses of two servers over the cluster."""
    folders = [tmp_path_factory.mktemp("host") for _ in range(2)]
    with ExitStack() as stack:
        yield [
            stack.enter_context(gunicorn(environment(patroni.url), folder)) for folder in folders
        ]
    for folder in folders:
        assert "Traceback" not in (folder / "gunicorn.log").read_text()


FAULTS: dict[str, Callable[[Cluster, Node], None]] = {
    "planned change of the primary": lambda patroni, _: patroni.switch_over(),
    "PostgreSQL killed on the primary": lambda _, primary: primary.kill_postmaster(),
    "all killed on the primary's node": lambda _, primary: primary.kill(),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_cluster_that_loses_its_primary_loses_no_row(
    patroni: Cluster, hosts: list[str], fault: str
) -> None:
    users = [Writer.log_in(hosts[0], user) for user in USERS]
    writers, primary = Writers(hosts, users), patroni.primary()

    with writers.writing():
        writers.write_more(50, 30)
        FAULTS[fault](patroni, primary)
        writers.write_more(50, 60)
        time.sleep(2)

    found = writers.faults(rows_of(patroni.url))
    record("fault", fault, *writers.figures(found))
    assert set(found.values()) == {0}, found
    assert set(writers.statuses) <= {200, 201, 503}, writers.statuses
    assert writers.slowest < MAX_WAIT
    repair(patroni, primary)


def repair(patroni: Cluster, primary: Node) -> None:
    """Let a node that was killed join the cluster again."""
    if primary.is_dead():
        primary.start(patroni.nodes)
    patroni.settle()


@pytest.fixture
def network(patroni: Cluster) -> Iterator[Relay]:
    """What leads to the primary at first."""
    with relay(patroni.primary().port) as running:
        yield running


def test_a_primary_that_became_read_only_is_left_at_once(
    patroni: Cluster, network: Relay, tmp_path: Path
) -> None:
    url = make_url(patroni.url).set(port=network.port).render_as_string(hide_password=False)
    with gunicorn(environment(url), tmp_path) as address:
        user = Writer.log_in(address, "user1")
        assert [write(address, user) for _ in range(8)] == [201] * 8
        primary, standby = network.target, patroni.of_role("sync")
        assert standby

        lead(network, standby.port)
        on_standby = [write(address, user) for _ in range(8)]
        reads = {read(address, user) for _ in range(8)}
        network.target = primary  # new connections lead there; those that are open do not end

        assert set(on_standby) == {503}
        assert reads == {200}
        assert [write(address, user) for _ in range(8)] == [201] * 8


def lead(network: Relay, port: int) -> None:
    """Close the connections, and let new ones lead elsewhere."""
    network.refuse()
    network.target = port
    network.listen()


def write(address: str, user: Writer) -> int:
    """Return the status of a new ticket."""
    body: Any = {"client_id": 55, "subject": "Help"}
    url = f"{address}/api/tickets"
    return requests.post(url, json=body, headers=user.headers, timeout=30).status_code


def read(address: str, user: Writer) -> int:
    """Return the status of a list."""
    url = f"{address}/api/tickets"
    return requests.get(url, headers=user.headers, timeout=30).status_code
