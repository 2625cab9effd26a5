"""Attempts to prove a password: counted before they are checked, given back when they succeed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple

import orjson
from flask import current_app

from omnidesk.db import db
from omnidesk.http.errors import http_error
from omnidesk.http.rate_limits.policy import RateLimit, RateLimits, note_usage, too_many_requests
from omnidesk.http.rate_limits.storage import count_in

MAX_WAIT = 20  # seconds for other attempts of the same kind
# Attempts of a kind take turns in a worker, so that right passwords sent at once are not refused:
# no more of them are being checked than there are workers.
TURNS = [Lock() for _ in range(64)]


class AttemptCounter(NamedTuple):
    """Where attempts of a kind are counted, and who is not refused although there were too many."""

    limit: RateLimit
    key: str
    is_spared: Callable[[], bool]

    @classmethod
    def of(
        cls, name: str, *counted_by: Any, is_spared: Callable[[], bool] = lambda: False
    ) -> "AttemptCounter | None":
        """Return the counter of a limit for these values; None where the limit is not set.

        The key is a digest, so that no value can be chosen to be another's key.
        """
        limit = current_app.extensions["rate_limits"].attempts[name]
        if limit is None:
            return None
        digest = sha256(orjson.dumps([name, *counted_by])).hexdigest()
        return cls(limit, limit.item.key_for(name, digest), is_spared)


class Attempt:
    """An attempt that its counters count, until it is known to be none that failed."""

    def __init__(self) -> None:
        rate_limits: RateLimits = current_app.extensions["rate_limits"]
        self.storage: Any = rate_limits.storage
        self.counted: list[AttemptCounter] = []
        self.failed = False

    def count(self, counter: AttemptCounter) -> None:
        """Count the attempt; raise 429 for too many, 503 where the storage does not answer."""
        limit = counter.limit
        try:
            if self.is_accepted(counter):
                return
            ends_at = self.storage.get_expiry(counter.key)
        except self.storage.base_exceptions as error:
            current_app.logger.error("Attempts cannot be counted: %s", type(error).__name__)
            raise http_error(503) from None
        note_usage(limit, 0, ends_at)
        raise too_many_requests(ends_at)

    def is_accepted(self, counter: AttemptCounter) -> bool:
        """Count the attempt unless there were too many; return whether it is accepted."""
        item = counter.limit.item
        if count_in(self.storage, item, counter.key) >= item.amount:
            return counter.is_spared()
        total = self.storage.incr(counter.key, item.get_expiry())
        self.counted.append(counter)
        return bool(total <= item.amount) or counter.is_spared()

    def give_back(self) -> None:
        """Take the attempt from its counters."""
        for counter in self.counted:
            with suppress(self.storage.base_exceptions):
                if self.storage.get(counter.key) > 0:  # a new window has not counted it
                    self.storage.incr(counter.key, counter.limit.item.get_expiry(), amount=-1)


@contextmanager
def attempt(*counters: AttemptCounter | None) -> Iterator[Attempt]:
    """Count an attempt while it is checked; raise 429 for too many, 503 where none can be counted.

    Whoever checks it says when it has failed, and commits what it has done before it is given back.
    """
    found, limited = Attempt(), [counter for counter in counters if counter]
    with turn(limited):
        try:
            for counter in limited:
                found.count(counter)
            yield found
        except BaseException:
            db.session.rollback()  # SQLite has one writer at a time
            raise
        finally:
            if not found.failed:
                found.give_back()


@contextmanager
def turn(counters: list[AttemptCounter]) -> Iterator[None]:
    """Wait until no other attempt that is counted alike is checked by this worker; raise 503."""
    if not counters:
        yield
        return
    lock = TURNS[hash(counters[0].key) % len(TURNS)]
    if not lock.acquire(timeout=MAX_WAIT):
        current_app.logger.error("Other attempts of the same kind took %s seconds.", MAX_WAIT)
        raise http_error(503)
    try:
        yield
    finally:
        lock.release()
