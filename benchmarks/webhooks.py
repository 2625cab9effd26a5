"""Measure webhooks: `python -m benchmarks.webhooks`, or in small with `--smoke`.

Ten webhooks, a hundred changes a second: each is wanted by one of them, and then by all ten. Does
one worker keep up, and how long after a change is its receiver told?
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import requests
from sqlalchemy import delete

from benchmarks.endurance import memory
from omnidesk import migrations
from omnidesk.clients.models import Client
from omnidesk.db import db
from omnidesk.webhooks.models import Webhook
from tests import postgres
from tests.conftest import KEY, dispose_engines, make_app, save
from tests.postgres import free_port
from tests.servers import BIN, ROOT, environ, wait_for

WEBHOOKS, RATE = 10, 100
WHOLE, SMOKE = 30.0, 0.2  # seconds
PATIENCE = 120.0  # seconds until all have arrived


class Desk:
    """A desk whose webhooks are told by one receiver."""

    def __init__(self, url: str) -> None:
        self.app, self.port = make_app(url), free_port()
        self.settings = {"DATABASE_URL": url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"}
        with self.app.app_context():
            migrations.upgrade()

    def begin(self, wanting: int) -> None:
        """Have ten webhooks, so many of which want each change."""
        with self.app.app_context():
            db.session.execute(delete(Webhook))
            for number in range(WEBHOOKS):
                types = ["client.created"] if number < wanting else ["ticket.*"]
                url = f"http://127.0.0.1:{self.port}/"
                save(Webhook.new(url=url, types=types, format="standard", active=True))

    @contextmanager
    def processes(self, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a receiver and a worker; yield the worker."""
        worker = [BIN / "flask", "--app", "wsgi", "worker"]
        receiver = [sys.executable, "-m", "benchmarks.receivers", str(self.port)]
        with (folder / "log").open("ab") as log, ExitStack() as stack:
            for command in (receiver, worker):
                options = {"cwd": ROOT, "stdout": log, "stderr": log}
                running = subprocess.Popen(command, env=environ(self.settings), **options)  # type: ignore[call-overload]
                stack.callback(running.wait, 40)
                stack.callback(running.terminate)
            wait_for(f"http://127.0.0.1:{self.port}/", folder / "log")
            sleep(2)  # until the worker has begun
            yield running

    def change(self, seconds: float) -> int:
        """Make a hundred changes a second; return how many."""
        began, made = monotonic(), 0
        with self.app.app_context():
            while monotonic() - began < seconds:
                save(Client(full_name=f"{time()}", active=True))
                made += 1
                sleep(max(0.0, began + made / RATE - monotonic()))
        return made

    def told(self) -> dict[str, float]:
        """Return what the receiver was told so far."""
        found: dict[str, float] = requests.get(f"http://127.0.0.1:{self.port}/", timeout=10).json()
        return found


def measure(name: str, desk: Desk, wanting: int, seconds: float, folder: Path) -> None:
    """Measure and print what was found."""
    desk.begin(wanting)
    with desk.processes(folder) as worker:
        made = desk.change(seconds)
        ended = monotonic()
        while (told := desk.told())["count"] < made * wanting and monotonic() < ended + PATIENCE:
            sleep(0.05)
        behind, megabytes = monotonic() - ended, memory(worker.pid, "Rss")
    median, most = 1000 * told["median"], 1000 * told["most"]
    print(f"{name}: of {made} changes, each for {wanting}, {told['count']} were told")
    print(f"  the last {behind:.1f} s after the end, half within {median:.0f} ms", end="; ")
    print(f"all within {most:.0f} ms; the worker has {megabytes:.0f} MB")


def databases(stack: ExitStack, folder: str) -> dict[str, Any]:
    """Return the URL of an empty database of either kind."""
    url = stack.enter_context(postgres.running(("max_connections=100",)))
    return {"SQLite": f"sqlite:///{folder}/desk.db", "PostgreSQL": url}


def main() -> None:
    """Measure on both databases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a little of everything")
    seconds = SMOKE if parser.parse_args().smoke else WHOLE
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp"))
        for name, url in databases(stack, folder).items():
            desk = Desk(url)
            for wanting in (1, WEBHOOKS):
                measure(name, desk, wanting, seconds, Path(folder))
            with desk.app.app_context():
                dispose_engines()
                for engine in db.engines.values():
                    engine.dispose()


if __name__ == "__main__":
    main()
