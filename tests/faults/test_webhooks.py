"""Webhooks whose worker is killed, and whose receivers die, hang, drip, redirect and give up."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from omnidesk import migrations
from omnidesk.db import db, utcnow
from omnidesk.webhooks.deliveries import WebhookDelivery
from omnidesk.webhooks.models import Webhook
from omnidesk.webhooks.sending import BATCH
from omnidesk.worker.loop import THREADS
from tests.conftest import KEY, Caller, dispose_engines, make_app, make_client, make_user
from tests.faults.workers import started, wait_until
from tests.receivers import Receiver, answer, cut, drip, hang, receiver, redirect
from tests.servers import ROOT, environ
from tests.webhooks import make_webhook

KILLS = 15


class Desk:
    """A desk whose webhooks are told of new clients."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder, self.app = folder, make_app(url)
        self.settings = {
            "DATABASE_URL": url,
            "SECRET_KEY": KEY,
            "OMNIDESK_ENV": "development",
        }
        with self.app.app_context():
            migrations.upgrade()
            self.admin = Caller(self.app, make_user(role="admin"))

    def webhook(self, there: Receiver) -> int:
        """Return the id of a new webhook that a receiver is told by."""
        with self.app.app_context():
            return make_webhook(f"{there.url}/hook", types=["client.created"]).webhook_id

    def add_clients(self, count: int) -> None:
        """Make changes, each in a transaction of its own."""
        with self.app.app_context():
            for _ in range(count):
                make_client()

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        log = (self.folder / "worker.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "omnidesk.worker"],
                env=environ(self.settings),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker; end it by SIGTERM."""
        log = self.folder / "worker.log"
        before = started(log)
        running = self.start_worker()
        try:
            wait_until(lambda: started(log) > before, 30)  # a signal before that ends it at once
            yield running
        finally:
            running.terminate()
            assert running.wait(40) == 0
        assert "Traceback" not in log.read_text()

    def end_leases(self) -> None:
        """Let all that waits be due now, as if time had passed."""
        with self.app.app_context():
            waits = WebhookDelivery.due_at.is_not(None)
            due = {"due_at": utcnow(), "lease": None}
            db.session.execute(update(WebhookDelivery).where(waits).values(due))
            db.session.commit()

    def states(self) -> Counter[str]:
        """Return how many deliveries are in each state."""
        with self.app.app_context():
            found = select(WebhookDelivery.state, func.count()).group_by(WebhookDelivery.state)
            rows: Any = db.session.execute(found).all()
            return Counter(dict(rows))

    def errors(self, webhook_id: int) -> list[str | None]:
        """Return what went wrong with the deliveries of a webhook."""
        with self.app.app_context():
            found = select(WebhookDelivery.error).filter_by(webhook_id=webhook_id)
            return [*db.session.scalars(found.order_by(WebhookDelivery.seq))]

    def shown(self, webhook_id: int) -> Any:
        """Return a webhook as admins see it."""
        return self.admin.get(f"/api/webhooks/{webhook_id}").json


@pytest.fixture
def desk(database: Callable[[Path], str], tmp_path: Path) -> Iterator[Desk]:
    """A desk."""
    made = Desk(database(tmp_path), tmp_path)
    yield made
    with made.app.app_context():
        dispose_engines()
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def there() -> Iterator[Receiver]:
    """A receiver that answers 200."""
    with receiver() as running:
        yield running


def ids(there: Receiver) -> Counter[str]:
    """Return how often each change has arrived."""
    return Counter(request.headers["webhook-id"] for request in list(there.requests))


def test_workers_that_are_killed_forget_nothing_and_make_nothing_twice(
    desk: Desk, there: Receiver
) -> None:
    webhook_id = desk.webhook(there)
    chance = random.Random(7)  # noqa: S311 - the same moments each time
    stopping = threading.Event()

    def write() -> None:
        while not stopping.wait(0.005):
            desk.add_clients(3)

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(KILLS):
        before = len(there.requests)
        running = desk.start_worker()
        wait_until(lambda before=before: len(there.requests) > before, 30)  # type: ignore[misc]
        time.sleep(chance.random() * 0.2)
        running.send_signal(signal.SIGKILL)
        running.wait()
        desk.end_leases()
    stopping.set()
    writer.join()
    with desk.worker():
        wait_until(lambda: newest(desk) == position(desk) and not desk.states()["pending"], 30)

    arrived = ids(there)
    assert {int(name.rpartition("_")[2]) for name in arrived} == clients(desk)
    assert desk.states() == {"sent": len(arrived)}
    assert sum(arrived.values()) - len(arrived) < BATCH * THREADS * KILLS  # what each was at
    assert desk.shown(webhook_id)["active"] is True


def newest(desk: Desk) -> int:
    """Return the seq of the newest change."""
    return max(clients(desk))


def position(desk: Desk) -> int:
    """Return where the webhook is."""
    with desk.app.app_context():
        return db.session.scalar(select(func.min(Webhook.after_seq))) or 0


def clients(desk: Desk) -> set[int]:
    """Return the seqs of all new clients."""
    found: set[int] = set()
    path = "/api/changes?entity=client&limit=200"
    while page := desk.admin.get(f"{path}&after={max(found, default=0)}").json:
        found |= {change["seq"] for change in page}
    return found


def test_two_workers_tell_of_each_change_once(desk: Desk, there: Receiver) -> None:
    for _ in range(2):
        desk.webhook(there)

    with desk.worker(), desk.worker():
        for _ in range(20):
            desk.add_clients(5)
        wait_until(lambda: desk.states() == {"sent": 200}, 30)

    assert set(ids(there).values()) == {1}
    assert len(there.requests) == 200


def test_receivers_that_do_not_answer_delay_no_other(desk: Desk, there: Receiver) -> None:
    with (
        receiver(otherwise=hang) as silent,
        receiver(otherwise=drip) as slow,
        receiver(otherwise=cut) as rude,
    ):
        for other in (silent, slow, rude):
            desk.webhook(other)
        desk.webhook(there)
        with desk.worker():
            for count in range(20, 101, 20):
                desk.add_clients(20)
                wait_until(lambda count=count: len(there.requests) == count, 10)  # type: ignore[misc]
            wait_until(lambda: all(error for n in (1, 2, 3) for error in errors_of(desk, n)), 40)

    assert errors_of(desk, 1) == [f"{silent.url}: it took too long."]
    assert errors_of(desk, 2) == [f"{slow.url}: it took too long."]
    assert errors_of(desk, 3) == [f"{rude.url}: it closed the connection."]


def errors_of(desk: Desk, count: int) -> list[str | None]:
    """Return the error of the first delivery to the webhook of this number."""
    return desk.errors(count)[:1]


def test_a_receiver_that_dies_is_told_when_it_is_there_again(desk: Desk, there: Receiver) -> None:
    desk.webhook(there)
    with desk.worker():
        desk.add_clients(3)
        there.wait_for(3)
        there.stop()
        desk.add_clients(3)
        wait_until(lambda: desk.shown(1)["failing_since"] is not None, 30)
        there.start()
        wait_until(lambda: desk.states() == {"sent": 6}, 60)

    assert set(ids(there).values()) == {1}
    assert desk.shown(1)["failing_since"] is None


def test_what_receivers_say_is_done(desk: Desk, there: Receiver) -> None:
    with receiver(otherwise=answer(410)) as gone, receiver() as moved, receiver() as busy:
        moved.otherwise = redirect(f"{there.url}/elsewhere")
        busy.otherwise = answer(429, headers={"Retry-After": "3600"})
        for other in (gone, moved, busy):
            desk.webhook(other)
        with desk.worker():
            desk.add_clients(1)
            wait_until(lambda: None not in [desk.errors(n)[:1] or None for n in (1, 2, 3)], 30)
            wait_until(lambda: all(desk.errors(n)[0] for n in (1, 2, 3)), 30)

    assert there.requests == []
    assert desk.shown(1)["inactive_reason"] == "It answered 410: it wants to be told nothing more."
    assert desk.errors(2) == ["It answered 307, and redirects are not followed."]
    with desk.app.app_context():
        busy_one = db.session.scalars(select(WebhookDelivery).filter_by(webhook_id=3)).one()
        assert busy_one.due_at is not None
        assert 3_500 < (busy_one.due_at - utcnow()).total_seconds() <= 3_600
