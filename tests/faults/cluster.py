"""A PostgreSQL cluster of our own, on loopback: Patroni on three nodes, and HAProxy in front.

Each node is an etcd, a Patroni and the PostgreSQL that Patroni keeps. HAProxy sends everybody to
the node that Patroni calls the primary.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import requests
import yaml

from tests.postgres import binaries, free_port
from tests.servers import BIN

HOST = "127.0.0.1"
NODES = 3
USER = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
# It may read what is root's, such as this checkout.
AS_USER = [
    *("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]
PROGRAMS = BIN.parent / "patroni/bin"
HAPROXY = """
global
  maxconn 400
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout check 1500ms
  retries 1
  default-server inter 1s fastinter 500ms downinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
listen primary
  bind 127.0.0.1:{port}
  option httpchk OPTIONS /primary
  http-check expect status 200
{servers}
"""  # noqa: E501 - a line of HAProxy's is not broken
TIMES = {"ttl": 13, "loop_wait": 2, "retry_timeout": 5, "primary_start_timeout": 0}  # seconds


class Node:
    """A member of the cluster."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name, self.folder = f"node{number}", folder
        self.data = folder / "data" / self.name
        self.port, self.api, self.etcd, self.peer = (free_port() for _ in range(4))
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, nodes: list["Node"]) -> None:
        """Start the etcd and the Patroni of this node, which has been stopped."""
        settings = self.folder / f"{self.name}.yml"
        settings.write_text(yaml.safe_dump(self.settings(nodes)))
        patroni = [PROGRAMS / "patroni", settings]
        self.running.clear()
        for command in (self.etcd_command(nodes), patroni):
            self.running.append(self.run(command))

    def run(self, command: list[Any]) -> subprocess.Popen[bytes]:
        """Start a program of this node."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            command = [*(AS_USER if USER else ()), *command]
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def etcd_command(self, nodes: list["Node"]) -> list[Any]:
        """Return the command of this node's etcd."""
        client, peer = f"http://{HOST}:{self.etcd}", f"http://{HOST}:{self.peer}"
        members = ",".join(f"{node.name}=http://{HOST}:{node.peer}" for node in nodes)
        return [
            *("etcd", "--name", self.name, "--data-dir", f"{self.data}.etcd", "--logger=zap"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", members, "--heartbeat-interval=100", "--election-timeout=1000"),
        ]

    def settings(self, nodes: list["Node"]) -> dict[str, Any]:
        """Return the settings of this node's Patroni."""
        users = {"superuser": "postgres", "replication": "replicator", "rewind": "rewinder"}
        everybody = [f"host {what} all {HOST}/32 trust" for what in ("all", "replication")]
        parameters = {"max_connections": 100, "shared_buffers": "32MB", "max_wal_size": "256MB"}
        # Patroni's own settings for all nodes: what was committed is on two nodes.
        cluster = TIMES | {"synchronous_mode": True, "maximum_lag_on_failover": 1_048_576}
        own = {
            "listen": f"{HOST}:{self.port}",
            "connect_address": f"{HOST}:{self.port}",
            "data_dir": str(self.data),
            "bin_dir": str(binaries()),
            "pgpass": f"{self.data}.pgpass",
            "authentication": {role: {"username": user} for role, user in users.items()},
            "parameters": {"unix_socket_directories": str(self.folder)},
            "pg_hba": ["local all all trust", *everybody],
            "remove_data_directory_on_rewind_failure": True,
            "remove_data_directory_on_diverged_timelines": True,
        }
        return {
            "scope": "omnidesk",
            "name": self.name,
            "etcd3": {"hosts": [f"{HOST}:{node.etcd}" for node in nodes]},
            "restapi": {"listen": f"{HOST}:{self.api}", "connect_address": f"{HOST}:{self.api}"},
            "bootstrap": {
                "dcs": cluster | {"postgresql": {"use_pg_rewind": True, "parameters": parameters}},
                "initdb": ["data-checksums", {"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
            },
            "postgresql": own,
        }

    def has_role(self, role: str) -> bool:
        """Return whether Patroni says that this node is a primary, replica or sync."""
        with suppress(requests.RequestException):
            return requests.get(f"http://{HOST}:{self.api}/{role}", timeout=2).status_code == 200
        return False

    def postmaster(self) -> int | None:
        """Return the process of the PostgreSQL that runs in this node's folder."""
        with suppress(OSError, ValueError, IndexError):
            number = int((self.data / "postmaster.pid").read_text().split()[0])
            if Path(f"/proc/{number}/cwd").readlink() == self.data:
                return number
        return None

    def kill_postmaster(self) -> None:
        """Kill PostgreSQL; its Patroni lives."""
        if process := self.postmaster():
            os.kill(process, signal.SIGKILL)

    def is_dead(self) -> bool:
        """Return whether a program of this node has ended."""
        return any(process.poll() is not None for process in self.running)

    def kill(self) -> None:
        """Kill all that runs on this node, Patroni before its PostgreSQL."""
        for process in reversed(self.running):
            process.kill()
            process.wait()
        self.kill_postmaster()


class Cluster:
    """The nodes, and the proxy in front of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.nodes = [Node(number, folder) for number in range(NODES)]
        self.url = f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        """Start all nodes and the proxy; return when the cluster can lose a node."""
        (self.folder / "data").mkdir(mode=0o700)
        if USER:
            shutil.chown(self.folder / "data", USER)
        for node in self.nodes:
            node.start(self.nodes)
        self.settle()
        servers = "\n".join(
            f"  server {node.name} {HOST}:{node.port} check port {node.api}" for node in self.nodes
        )
        settings = self.folder / "haproxy.cfg"
        settings.write_text(HAPROXY.format(port=self.port, servers=servers))
        program = shutil.which("haproxy") or "/usr/sbin/haproxy"
        with (self.folder / "haproxy.log").open("wb") as log:
            command: list[Any] = [program, "-db", "-f", settings]
            self.proxy = subprocess.Popen(command, stdout=log, stderr=log)
        time.sleep(2)  # it takes every server for healthy until its first checks have failed
        wait_until(self.writes, 30)

    def primary(self) -> Node:
        """Return the node that is written to."""
        found: Node = wait_until(lambda: self.of_role("primary"), 60)
        return found

    def of_role(self, role: str) -> Node | None:
        """Return the first node of a role, None if there is none."""
        return next((node for node in self.nodes if node.has_role(role)), None)

    def settle(self) -> None:
        """Return when a primary, a synchronous standby and another replica run."""
        self.primary()
        wait_until(lambda: self.of_role("sync"), 90)
        wait_until(lambda: sum(node.has_role("replica") for node in self.nodes) == NODES - 1, 90)

    def writes(self) -> bool:
        """Return whether the proxy leads to a primary."""
        with suppress(psycopg.Error), psycopg.connect(self.url, connect_timeout=3) as connection:
            return connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        return False

    def switch_over(self) -> None:
        """Make another node the primary, as planned work does."""
        command: list[Any] = [PROGRAMS / "patronictl", "-c", self.folder / "node0.yml"]
        done = subprocess.run(
            [*command, "switchover", "omnidesk", "--force"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def stop(self) -> None:
        """End all that runs."""
        if hasattr(self, "proxy"):
            self.proxy.kill()
            self.proxy.wait()
        for node in self.nodes:
            node.kill()


def wait_until(condition: Callable[[], Any], seconds: float) -> Any:
    """Return what a condition returns as soon as it is true; raise TimeoutError."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(0.1)
    return found


@contextmanager
def running() -> Iterator[Cluster]:
    """Start a cluster in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="omnidesk-cluster-"))
    folder.chmod(0o755)
    if USER:
        shutil.chown(folder, USER)
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    except TimeoutError as error:
        logs = "\n\n".join(log.read_text()[-3000:] for log in sorted(folder.glob("*.log")))
        raise TimeoutError(logs) from error
    finally:
        cluster.stop()
        shutil.rmtree(folder)
