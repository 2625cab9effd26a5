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
INSERT = f"""\
\\set client random(1, {CLIENTS})
INSERT INTO ticket (client_id, subject, priority, status, created_at)
VALUES (:client, 'x', 'alta', 'abierto', now());
"""
UPGRADE = """
from omnidesk import create_app, migrations
with create_app().app_context():
    migrations.upgrade({!r})
"""


def measure(desks: Desks, plan: Plan) -> list[tuple[float, float]]:
    """Return the commits a second at the old revision and at the newest, round by round."""
    urls = [at_revision(desks, "commits_old", OLD), at_revision(desks, "commits_new", "head")]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "insert.sql"
        script.write_text(INSERT)
        for number in range(-plan.warm, plan.rounds):
            old, new = (commits(url, script, ceil(plan.seconds)) for url in urls)
            if number >= 0:
                found.append((old, new))
    return found


def at_revision(desks: Desks, name: str, revision: str) -> str:
    """Create a database at a revision of the schema, with clients, and return its URL."""
    url = desks.create(name)
    run(desks.checkout, url, "python", "-c", UPGRADE.format(revision))
    with closing(connect(url)) as connection:
        connection.execute(
            "INSERT INTO client (full_name, active, created_at) "
            f"SELECT 'Client', true, now() FROM generate_series(1, {CLIENTS})"
        )
        connection.commit()
    return url


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
