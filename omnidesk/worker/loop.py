"""The loop of the worker: it claims what is due and gives it to threads."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

from flask import Flask

from omnidesk.db import db
from omnidesk.db.constraints import error_message
from omnidesk.db.session import READ
from omnidesk.worker.destinations import Destinations
from omnidesk.worker.heartbeat import Heartbeat, Worker
from omnidesk.worker.queues import Queue
from omnidesk.worker.transactions import DATABASE_ERRORS, in_time
from omnidesk.worker.waking import Waking

THREADS = 12
MAX_BACKOFF = 5.0  # seconds between two tries while the database is away
PATIENCE = 20.0  # seconds for what is being sent when the worker is told to end
HOUR = 3600.0

logger = logging.getLogger("omnidesk.worker")


@contextmanager
def unit_of_work(app: Flask) -> Iterator[None]:
    """Have a session inside, which waits for the database for a few seconds at most."""
    with app.app_context(), in_time():
        yield


class Loop:
    """Sends what the queues hold. It ends when `stopping` is set."""

    def __init__(self, app: Flask, queues: Sequence[Queue], stopping: Event) -> None:
        self.app, self.queues, self.stopping = app, queues, stopping
        self.destinations, self.heartbeat = Destinations(THREADS), Heartbeat()
        self.jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self.beat_at = self.prune_at = 0.0
        self.failures = 0
        with app.app_context():
            self.waking = Waking(db.engines[READ])

    def run(self) -> None:
        """Send until told to end; then wait for what is being sent."""
        for _ in range(THREADS):
            Thread(target=self.work, name="sender", daemon=True).start()
        while not self.stopping.is_set():
            self.go_on()
        self.finish()

    def go_on(self) -> None:
        """Do one round and wait for the next; while the database is away, longer and longer."""
        try:
            more = self.round()
            self.failures = 0
            self.waking.wait(soon=more)
        except DATABASE_ERRORS as error:
            self.note_failure(error)

    def note_failure(self, error: Exception) -> None:
        """Log that the database is away, once, and wait."""
        if not self.failures:
            logger.error("The worker waits for the database. %s", error_message(error))
        self.failures += 1
        self.waking.close()
        self.stopping.wait(min(MAX_BACKOFF, 0.1 * 2 ** min(self.failures, 10)))

    def round(self) -> bool:
        """Claim what is due, and let threads send it; return whether more is due already."""
        self.do_periodic_work()
        return sum(self.claim_safely(queue) for queue in self.queues) > 0

    def do_periodic_work(self) -> None:
        """Store that the worker runs, and delete what is old, each when its interval has passed."""
        if monotonic() >= self.beat_at:
            with unit_of_work(self.app):
                self.heartbeat.beat()
            self.beat_at = monotonic() + Worker.INTERVAL
        if monotonic() >= self.prune_at:
            self.prune_at = monotonic() + HOUR
            for queue in self.queues:
                self.prune_safely(queue)

    def prune_safely(self, queue: Queue) -> None:
        """Delete what is old in one queue; if that fails, it is sent from all the same."""
        try:
            with unit_of_work(self.app):
                queue.prune()
        except DATABASE_ERRORS as error:
            logger.error("Nothing old was deleted of %s. %s", queue.name, error_message(error))
        except Exception:
            logger.exception("Nothing old was deleted of %s", queue.name)

    def claim_safely(self, queue: Queue) -> bool:
        """Claim what is due in one queue; return whether something is left.

        A bug in one queue does not hold up the others.
        """
        try:
            return self.claim_from(queue)
        except DATABASE_ERRORS:
            raise
        except Exception:
            logger.exception("The queue of %s failed", queue.name)
            return False

    def claim_from(self, queue: Queue) -> bool:
        """Claim what is due in one queue; return whether something is left."""
        with unit_of_work(self.app):
            more = queue.step()
        with unit_of_work(self.app):
            due = list(queue.due())
        for destination in due:
            more = self.claim_for(queue, destination) or more
        return more

    def claim_for(self, queue: Queue, destination: int) -> bool:
        """Claim what is due for one destination; return whether to look again after a moment.

        So it is where the destination has no room now, as one that fails pauses.
        """
        key = (queue.name, destination)
        if not (room := self.destinations.room(key)):
            return True
        with unit_of_work(self.app):
            items = queue.claim(destination, room)
        for item in items:
            self.destinations.begin(key)
            self.jobs.put(lambda item=item: self.send(queue, key, item))  # type: ignore[misc]
        return len(items) == room

    def work(self) -> None:
        """Do one job after the other."""
        while True:
            self.jobs.get()()

    def send(self, queue: Queue, key: Any, item: Any) -> None:
        """Send an item, or give it back if the worker ends."""
        works = False
        try:
            with self.app.app_context():
                if self.stopping.is_set():
                    queue.give_back(item)
                else:
                    works = queue.send(item)
        except DATABASE_ERRORS as error:
            logger.error("Not sent. %s", error_message(error))
            works = True  # it is not the destination's fault
        except Exception:
            logger.exception("Not sent")
        finally:
            self.destinations.end(key, works=works)
            self.waking.changed.set()

    def finish(self) -> None:
        """Wait for what is being sent, and say that the worker no longer runs."""
        give_up_at = monotonic() + PATIENCE
        while (busy := self.destinations.busy) and monotonic() < give_up_at:
            sleep(0.02)
        if busy:
            logger.warning("Ended while sending: %s.", busy)
        try:
            with unit_of_work(self.app):
                self.heartbeat.end()
        except DATABASE_ERRORS as error:
            logger.error("%s", error_message(error))
        self.waking.close()
