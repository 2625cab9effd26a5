"""A PgBouncer of our own, on loopback, in front of a PostgreSQL of our own."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
SETTINGS = """
[databases]
* = host={host} port={port} user=desk
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 30
"""


@contextmanager
def running(database_url: str, mode: str, own_port: int) -> Iterator[str]:
    """Start a PgBouncer in a pool mode; yield the URL of the database behind it."""
    url = make_url(database_url)
    folder = Path(tempfile.mkdtemp(prefix="omnidesk-pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    text = SETTINGS.format(host=url.host, port=url.port, own_port=own_port, mode=mode)
    settings.write_text(text)
    user = "postgres" if os.getuid() == 0 else None  # PgBouncer refuses to run as root
    folder.chmod(0o755)
    with (folder / "log").open("wb") as log:
        bouncer = subprocess.Popen([PROGRAM, settings], stdout=log, stderr=log, user=user)
    try:
        behind = url.set(port=own_port).render_as_string(hide_password=False)
        wait_for(behind)
        yield behind
    finally:
        bouncer.terminate()
        bouncer.wait(20)
        shutil.rmtree(folder)


def wait_for(url: str) -> None:
    """Return when the database answers."""
    for _ in range(100):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)
