"""Commit new tickets on PostgreSQL from 16 clients at once, at two revisions of the schema."""

import re
import subprocess
import tempfile
from contextlib import closing
from math import ceil
from pathlib import Path

from benchmarks.desks import Desks, Plan, connect, run
from tests.postgres import binaries

OLD = "0010_tagged"
CLIENTS = 200
OLD_INSERT = f"""\
\\set client random(1, {CLIENTS})
INSERT INTO ticket (client_id, subject, priority, status, created_at)
VALUES (:client, 'x', 'alta', 'abierto', now());
"""
NEW_INSERT = f"""\
\\set client random(1, {CLIENTS})
INSERT INTO ticket (client_id, subject, priority, status, created_at, updated_at, words)
VALUES (:client, 'x', 'alta', 'abierto', now(), now(), ' x ');
"""
UPGRADE = """
from omnidesk import create_app, migrations
with create_app().app_context():
    migrations.upgrade({!r})
"""


def measure(desks: Desks, plan: Plan) -> list[tuple[float, float]]:
    """Return the commits a second at the old revision and at the newest, round by round."""
    old, new = desks.create("commits_old"), desks.create("commits_new", desks.empty())
    run(desks.checkout, old, "python", "-c", UPGRADE.format(OLD))
    for url in (old, new):
        add_clients(url)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        scripts = {old: Path(folder) / "old.sql", new: Path(folder) / "new.sql"}
        scripts[old].write_text(OLD_INSERT)
        scripts[new].write_text(NEW_INSERT)
        for number in range(-plan.warm, plan.rounds):
            rates = [commits(url, script, ceil(plan.seconds)) for url, script in scripts.items()]
            if number >= 0:
                found.append((rates[0], rates[1]))
    return found


def add_clients(database_url: str) -> None:
    """Add the clients whose tickets are committed."""
    with closing(connect(database_url)) as connection:
        connection.execute(
            "INSERT INTO client (full_name, active, created_at) "
            f"SELECT 'Client', true, now() FROM generate_series(1, {CLIENTS})"
        )
        connection.commit()


def commits(database_url: str, script: Path, seconds: int) -> float:
    """Return the commits a second of 16 clients, each of which adds one ticket a transaction."""
    said = subprocess.run(
        [binaries() / "pgbench", "-n", "-c16", "-j2", f"-T{seconds}", "-f", script, database_url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (rate,) = re.findall(r"^tps = ([0-9.]+)", said, re.MULTILINE)
    if "number of failed transactions: 0" not in said:
        raise RuntimeError(said)
    return float(rate)
