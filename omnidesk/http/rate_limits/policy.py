"""Which requests are counted, by what, and how many are too many."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network
from time import time
from typing import Any, NamedTuple

import limits
from flask import Flask, current_app, request
from limits import RateLimitItem
from werkzeug.exceptions import HTTPException, TooManyRequests

from omnidesk.http.rate_limits.storage import BufferedWindows, storage_at

RATE_LIMIT_HEADERS = "omnidesk.rate_limit_headers"  # in the WSGI environment
REQUESTS = {  # the name of each limit, and its setting
    "token": "RATE_LIMIT_TOKEN",
    "anonymous": "RATE_LIMIT_ANONYMOUS",
    "preflight": "RATE_LIMIT_TOKEN",
    "hook": "RATE_LIMIT_HOOKS",
}
ATTEMPTS = {  # to prove a password: the name of each limit, and its setting
    "login": "RATE_LIMIT_LOGIN",
    "login-address": "RATE_LIMIT_LOGIN_ADDRESS",
    "login-name": "RATE_LIMIT_LOGIN_NAME",
    "password": "RATE_LIMIT_LOGIN",
}


class RateLimit(NamedTuple):
    """A limit, and its RateLimit-Policy header (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    item: RateLimitItem
    policy: str  # the quota, and its window in seconds

    @classmethod
    def parse(cls, name: str, text: str) -> "RateLimit | None":
        """Return the limit that a text such as `600 per minute` says; None for an empty text."""
        if not text:
            return None
        item = limits.parse(text)
        return cls(name, item, f'"{name}";q={item.amount};w={item.get_expiry()}')


def note_usage(limit: RateLimit, remaining: int, ends_at: float) -> None:
    """Let the response tell what is left of a limit, whose window ends in seconds since 1970."""
    seconds = max(0, round(ends_at - time()))
    state = f'"{limit.name}";r={remaining};t={seconds}'
    headers = [("RateLimit-Policy", limit.policy), ("RateLimit", state)]
    request.environ[RATE_LIMIT_HEADERS] = headers


class RateLimits:
    """The limits in the settings of an app; an empty setting limits nothing."""

    def __init__(self, app: Flask) -> None:
        config = app.config
        self.storage = storage = storage_at(config["RATE_LIMIT_STORAGE"])
        self.attempts = {
            name: RateLimit.parse(name, config[setting]) for name, setting in ATTEMPTS.items()
        }
        self.requests = {
            name: (limit, BufferedWindows(storage, limit.item, name))
            for name, setting in REQUESTS.items()
            if (limit := RateLimit.parse(name, config[setting]))
        }

    def count_request(self, user: Any, address: str | None) -> None:
        """Count a request by its token, or by its address without one; raise 429 for too many."""
        if user is None:
            self._count("anonymous", rate_limit_key(address))
        else:
            self._count("token", user.rate_limit_key)

    def count_preflight(self, address: str | None) -> None:
        """Count a browser's question whether a page may call; raise 429 for too many.

        It has no token, although requests with one may follow: it does not count as anonymous.
        """
        self._count("preflight", rate_limit_key(address))

    def count_hook(self, channel_id: int) -> None:
        """Count what the provider of a channel has signed and sent; raise 429 for too many."""
        self._count("hook", str(channel_id))

    def _count(self, name: str, key: str) -> None:
        """Count a request by a key; raise 429 for too many."""
        counted = self.requests.get(name)
        if counted is None:
            return
        limit, windows = counted
        accepted, window = windows.hit(key)
        note_usage(limit, window.remaining, window.ends_at)
        if not accepted:
            raise too_many_requests(window.ends_at)


@contextmanager
def strangers_counted() -> Iterator[None]:
    """Count the request by its address where it is refused inside; raise 429 for too many."""
    try:
        yield
    except HTTPException:
        current_app.extensions["rate_limits"].count_request(None, request.remote_addr)
        raise


def too_many_requests(ends_at: float) -> HTTPException:
    """Return the exception for 429, with Retry-After at the end of the window."""
    return TooManyRequests(retry_after=max(1, round(ends_at - time())))


def rate_limit_key(address: str | None) -> str:
    """Return what an address is counted by: of IPv6 the first 64 bits, which one customer has."""
    if not address or ":" not in address:
        return address or "unknown"
    number = IPv6Address(address.partition("%")[0])
    return str(number.ipv4_mapped or IPv6Network((number, 64), strict=False))
