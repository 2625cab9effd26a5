"""Measure the worker: `python -m benchmarks.worker`, or in small with `--smoke`.

The receiver is a stand-in on this machine that answers at once and has no limits, so that the
figures are the worker's own: messages a second, how long a claim takes with few and with many
waiting conversations, the time from a POST to the request at the receiver, and memory.
"""

import argparse
import json
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from time import perf_counter, sleep
from typing import Any, NamedTuple

import requests
from sqlalchemy import delete, insert, select

from benchmarks.endurance import memory
from omnidesk import migrations
from omnidesk.channels.models import Channel
from omnidesk.conversations.deliveries import Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.worker import outbox
from omnidesk.worker.messages import MessageQueue
from tests import postgres
from tests.conftest import KEY, Caller, dispose_engines, make_app, make_client, make_user, save
from tests.providers.operator import SECRET, Operator
from tests.servers import BIN, ROOT, environ, gunicorn


class Plan(NamedTuple):
    """How much of everything."""

    sends: int
    waiting: int
    claims: int
    posts: int


STEP = 500  # conversations
WHOLE, SMOKE = Plan(2_000, 100_000, 50, 50), Plan(20, 200, 3, 3)


class Desk:
    """A desk with a channel to a stand-in."""

    def __init__(self, url: str, folder: Path, receiver: Operator) -> None:
        self.folder, self.receiver, self.app = folder, receiver, make_app(url)
        self.settings = {"DATABASE_URL": url, "SECRET_KEY": KEY, "OMNIDESK_ENV": "development"}
        self.settings |= {"SIGNING_SECRET": SECRET}
        with self.app.app_context():
            migrations.upgrade()
            self.headers = Caller(self.app, make_user(role="admin")).headers
            self.client_id = make_client().client_id
            settings = json.dumps({"url": receiver.url})
            secrets = json.dumps({"signing_secret": "SIGNING_SECRET"})
            kind = {"channel": "app", "type": "webhook", "active": True, "bot_first": False}
            self.channel_id = save(Channel(**kind, settings=settings, secrets=secrets)).channel_id

    def fill(self, count: int) -> None:
        """Store conversations with a queued message each, a few in a transaction."""
        for begun in range(0, count, STEP):
            self.fill_some(min(STEP, count - begun))

    def fill_some(self, count: int) -> None:
        """Store some conversations in one transaction."""
        now = utcnow()
        with self.app.app_context():
            first = (
                db.session.scalar(select(Conversation.conversation_id).order_by(NEWEST)) or 0
            ) + 1
            times = {"created_at": now, "updated_at": now}
            usual = {"client_id": self.client_id, "channel": "app", "active": True, **times}
            usual |= {"handled_by_bot": False, "turn": 0, "unread_count": 0}
            ids = range(first, first + count)
            conversations = [
                {"conversation_id": n, "external_chat_id": f"chat-{n}", **usual} for n in ids
            ]
            queued = {"delivery_state": "queued", "delivery_at": now, "created_at": now}
            text = {
                "sender": "user",
                "content": "Hello",
                "kind": "text",
                "words": "hello",
                **queued,
            }
            db.session.execute(insert(Conversation.__table__), conversations)
            rows = [{"conversation_id": n, **text, "content": f"Hello {n}"} for n in ids]
            db.session.execute(insert(Message.__table__), rows)
            db.session.commit()

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker."""
        with (self.folder / "worker.log").open("wb") as log:
            running = subprocess.Popen(
                [BIN / "flask", "--app", "wsgi", "worker"],
                env=environ(self.settings),
                cwd=ROOT,
                stderr=log,
            )
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(40)

    def close(self) -> None:
        """Close its connections."""
        with self.app.app_context():
            dispose_engines()
            for engine in db.engines.values():
                engine.dispose()


NEWEST = Conversation.conversation_id.desc()


def sends_a_second(desk: Desk, count: int) -> tuple[float, list[float]]:
    """Return how many messages a worker sends in a second, and its memory then: PSS and RSS."""
    desk.fill(count)
    before = len(desk.receiver.accepted)
    with desk.worker() as worker:
        desk.receiver.wait_for(before + 1, timeout=60)
        started_at = perf_counter()
        desk.receiver.wait_for(before + count, timeout=600)
        seconds = perf_counter() - started_at
        sleep(1)
        return (count - 1) / seconds, [memory(worker.pid, kind) for kind in ("Pss", "Rss")]


def claim_milliseconds(desk: Desk, count: int) -> float:
    """Return the median time of a claim of one conversation."""
    queue, found = MessageQueue(desk.app.config, Event()), []
    for _ in range(count):
        with desk.app.app_context():
            started_at = perf_counter()
            queue.due()
            (item,) = queue.claim(desk.channel_id, 1)
            found.append(perf_counter() - started_at)
            outbox.give_back(item, 0.0)
    return 1000 * statistics.median(found)


def latency_milliseconds(desk: Desk, count: int) -> float:
    """Return the median time from the beginning of a POST to the request at the receiver."""
    with desk.app.app_context():
        ids = db.session.scalars(select(Conversation.conversation_id).limit(count)).all()
    found = []
    with desk.worker(), gunicorn(desk.settings, desk.folder) as address:
        session = requests.Session()
        for number in ids:
            seen = len(desk.receiver.requests)
            sleep(0.3)
            started_at = perf_counter()
            path = f"{address}/api/conversations/{number}/messages"
            session.post(path, json={"content": "Now"}, headers=desk.headers, timeout=30)
            desk.receiver.wait_for_requests(seen + 1)
            found.append(perf_counter() - started_at)
    return 1000 * statistics.median(found)


def measure(name: str, desk: Desk, plan: Plan) -> None:
    """Measure on one database and print what was found."""
    speed, (pss, rss) = sends_a_second(desk, plan.sends)
    print(f"{name}: {speed:.0f} messages a second, then {pss:.0f} MB (PSS; RSS {rss:.0f})")
    print(f"{name}: {latency_milliseconds(desk, plan.posts):.0f} ms from POST to the receiver")
    with desk.app.app_context():
        db.session.execute(delete(Outbox))
        db.session.commit()
    for waiting in (1, plan.waiting):
        desk.fill(waiting)
        milliseconds = claim_milliseconds(desk, plan.claims)
        print(f"{name}: {milliseconds:.1f} ms for a claim with {waiting:,} waiting")


@contextmanager
def databases() -> Iterator[Any]:
    """Yield the URL of an empty database of either kind."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp"))
        url = stack.enter_context(postgres.running(("max_connections=100",)))
        yield {"SQLite": f"sqlite:///{folder}/desk.db", "PostgreSQL": url}


def main() -> None:
    """Measure on both databases."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a little of everything")
    plan = SMOKE if parser.parse_args().smoke else WHOLE
    with databases() as urls, tempfile.TemporaryDirectory() as folder:
        for name, url in urls.items():
            with Operator() as receiver:
                desk = Desk(url, Path(folder), receiver)
                measure(name, desk, plan)
                desk.close()


if __name__ == "__main__":
    main()
