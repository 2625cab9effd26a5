"""A PostgreSQL of our own, on loopback, for as long as the tests run."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

# autovacuum: its ANALYZE, at any moment, would change plans and hold transactions up.
FAST = (
    *("fsync=off", "synchronous_commit=off", "full_page_writes=off"),
    *("max_connections=100", "autovacuum=off"),
)


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def binaries() -> Path:
    """Return the folder of initdb and postgres, the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]))
    initdb = shutil.which("initdb") or (found and found[-1])
    assert initdb, "PostgreSQL is not installed: run .ci/need test"
    return Path(initdb).resolve().parent


@contextmanager
def running(settings: tuple[str, ...] = FAST) -> Iterator[str]:
    """Start a server in a folder of its own; yield the URL of its database."""
    folder = Path(tempfile.mkdtemp(prefix="omnidesk-pg-"))
    user = "postgres" if os.getuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    programs = binaries()
    make: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "desk",
        "-A",
        "trust",
        "--no-sync",
    ]
    subprocess.run([*make, "-E", "UTF8"], check=True, capture_output=True, user=user, cwd=folder)
    options = [part for setting in settings for part in ("-c", setting)]
    listen: list[str | Path] = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", folder]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, *listen, *options],
            stdout=log,
            stderr=log,
            user=user,
            cwd=folder,
        )
    try:
        url = f"postgresql://desk@127.0.0.1:{port}/postgres"
        wait_for(url)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown, which ends open connections
        server.wait(30)
        shutil.rmtree(folder)


def wait_for(url: str) -> None:
    """Return when the server answers."""
    engine = create_engine(url)
    for _ in range(300):
        try:
            engine.connect().close()
        except OperationalError:
            time.sleep(0.1)
        else:
            return engine.dispose()
    raise TimeoutError(url)


def new_database(url: str) -> str:
    """Make an empty database beside the given one and give its URL."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS new"))
        connection.execute(text("CREATE DATABASE new"))
    engine.dispose()
    return url.replace("/postgres", "/new")
