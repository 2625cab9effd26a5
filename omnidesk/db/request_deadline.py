"""How long a request waits for PostgreSQL, in all."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

MAX_WAIT = 11  # seconds; a statement may take one less

# Until when the present request waits, in monotonic seconds; None outside of requests.
request_deadline: ContextVar[float | None] = ContextVar("request_deadline", default=None)


@contextmanager
def within_deadline(seconds: float | None = None) -> Iterator[None]:
    """Wait for the server no longer than this, or MAX_WAIT, all that is done meanwhile together."""
    token = request_deadline.set(monotonic() + (seconds or MAX_WAIT))
    try:
        yield
    finally:
        request_deadline.reset(token)
