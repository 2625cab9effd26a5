"""The process of the worker: its queues, and the signals that end it."""

import logging
import signal
from threading import Event, Thread

from flask import Flask

from omnidesk.webhooks.queue import WebhookQueue
from omnidesk.worker.loop import Loop
from omnidesk.worker.messages import MessageQueue
from omnidesk.worker.queues import Queue

logger = logging.getLogger("omnidesk.worker")


def run(app: Flask) -> None:
    """Send what is queued until SIGTERM or SIGINT; what is being sent is finished first."""
    stopping = stopped_by_signals()
    queues: list[Queue] = [MessageQueue(app.config, stopping), WebhookQueue(stopping)]
    loop = Loop(app, queues, stopping)
    logger.info("The worker has started.")
    loop.run()
    logger.info("The worker has ended.")


def stopped_by_signals() -> Event:
    """Return an event that a signal sets.

    A thread waits for the signals: in a handler, the event's own lock could be held already. The
    threads that are begun later do not get them either.
    """
    stopping = Event()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def wait() -> None:
        signal.sigwait(SIGNALS)
        stopping.set()

    Thread(target=wait, name="signals", daemon=True).start()
    return stopping


SIGNALS = (signal.SIGTERM, signal.SIGINT)
