"""The process of the worker: its queues, and the signals that end it."""

import logging
import signal
from threading import Event
from typing import Any

from flask import Flask

from omnidesk.worker.loop import Loop
from omnidesk.worker.messages import MessageQueue

logger = logging.getLogger("omnidesk.worker")


def run(app: Flask) -> None:
    """Send what is queued until SIGTERM or SIGINT; what is being sent is finished first."""
    stopping = Event()

    def stop(_number: int, _frame: Any) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    loop = Loop(app, [MessageQueue(app.config, stopping)], stopping)
    logger.info("The worker has started.")
    loop.run()
    logger.info("The worker has ended.")
