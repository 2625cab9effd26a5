"""When a message is tried again that could not be sent."""

import random
from datetime import datetime, timedelta

from omnidesk.db import utcnow

DELAYS = (5.0, 30.0, 120.0, 600.0, 1800.0)  # seconds; then HOURLY
HOURLY = 3600.0
JITTER = 0.1  # of a delay at most, so that not all come at once
MAX_DELAY = HOURLY * (1 + JITTER)
MAX_AGE = timedelta(hours=23)
# The tries that MAX_AGE has at least: a clock that was set forward ends nothing.
MIN_ATTEMPTS = len(DELAYS) + 22


def delay_after(attempts: int, requested: float | None) -> float:
    """Return the seconds to wait after so many tries; `requested` is what the receiver wants."""
    usual = DELAYS[attempts - 1] if attempts <= len(DELAYS) else HOURLY
    wanted = usual if requested is None else min(max(requested, 1.0), HOURLY)
    return wanted * random.uniform(1.0, 1 + JITTER)  # noqa: S311 - not a secret


def is_over(attempts: int, queued_at: datetime) -> bool:
    """Return whether a message was tried for long enough, and often enough."""
    return attempts >= MIN_ATTEMPTS and utcnow() - queued_at >= MAX_AGE
