"""The process of the worker: its queues, and the signals that end it."""

import logging
import signal
from threading import Event
from typing import Any

from flask import Flask

from omnidesk.webhooks.queue import WebhookQueue
from omnidesk.worker.loop import Loop
from omnidesk.worker.messages import MessageQueue
from omnidesk.worker.queues import Queue

logger = logging.getLogger("omnidesk.worker")


def run(app: Flask) -> None:
    """Send what is queued until SIGTERM or SIGINT; what is being sent is finished first."""
    stopping = Event()

    def stop(_number: int, _frame: Any) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    queues: list[Queue] = [MessageQueue(app.config, stopping), WebhookQueue(stopping)]
    loop = Loop(app, queues, stopping)
    logger.info("The worker has started.")
    loop.run()
    logger.info("The worker has ended.")
