"""Which requests and which failed logins are counted, by what, and how many are too many."""

from hashlib import sha256
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from time import time
from typing import Any, NamedTuple

import limits
from flask import Flask, current_app, request
from limits import RateLimitItem
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import HTTPException, TooManyRequests

from omnidesk.http.rate_limits.storage import BufferedWindows, storage_at

RATE_LIMIT_HEADERS = "omnidesk.rate_limit_headers"  # in the WSGI environment
Networks = list[IPv4Network | IPv6Network]


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
        storage = storage_at(config["RATE_LIMIT_STORAGE"])
        self.limiter = FixedWindowRateLimiter(storage)
        self.login = RateLimit.parse("login", config["RATE_LIMIT_LOGIN"])
        self.login_address = RateLimit.parse("login-address", config["RATE_LIMIT_LOGIN_ADDRESS"])
        self.requests = {
            name: (limit, BufferedWindows(storage, limit.item, name))
            for name in ("token", "anonymous")
            if (limit := RateLimit.parse(name, config[f"RATE_LIMIT_{name.upper()}"]))
        }

    def count_request(self, user: Any, address: str | None) -> None:
        """Count a request by its token, or by its address without one; raise 429 for too many."""
        counted = self.requests.get("anonymous" if user is None else "token")
        if counted is None:
            return
        limit, windows = counted
        key = rate_limit_key(address) if user is None else user.rate_limit_key
        accepted, window = windows.hit(key)
        note_usage(limit, window.remaining, window.ends_at)
        if not accepted:
            raise too_many_requests(window.ends_at)


class LoginAttempts:
    """The failed logins of a name and of the caller's address; raises 429 after too many."""

    def __init__(self, name: str) -> None:
        rate_limits: RateLimits = current_app.extensions["rate_limits"]
        self.limiter = rate_limits.limiter
        pairs = (
            (rate_limits.login, sha256(name.encode()).hexdigest()),
            (rate_limits.login_address, rate_limit_key(request.remote_addr)),
        )
        self.counted = [(limit, key) for limit, key in pairs if limit is not None]
        for limit, key in self.counted:
            stats = self.limiter.get_window_stats(limit.item, limit.name, key)
            if not stats.remaining:
                note_usage(limit, 0, stats.reset_time)
                raise too_many_requests(stats.reset_time)

    def count_failure(self) -> None:
        """Count a failed login."""
        for limit, key in self.counted:
            self.limiter.hit(limit.item, limit.name, key)


def too_many_requests(ends_at: float) -> HTTPException:
    """Return the exception for 429, with Retry-After at the end of the window."""
    return TooManyRequests(retry_after=max(1, round(ends_at - time())))


def rate_limit_key(address: str | None) -> str:
    """Return what an address is counted by: of IPv6 the first 64 bits, which one customer has."""
    if not address or ":" not in address:
        return address or "unknown"
    number = IPv6Address(address.partition("%")[0])
    return str(number.ipv4_mapped or IPv6Network((number, 64), strict=False))


def client_address(trusted_proxies: Networks, peer: str, forwarded: str) -> str:
    """Return the last address of X-Forwarded-For that is not a trusted proxy's own.

    `peer` is the address that the connection comes from; it is the client's unless it is trusted.
    """
    client = peer
    for hop in [peer, *(hop.strip() for hop in reversed(forwarded.split(",")))]:
        try:
            address = ip_address(hop)
        except ValueError:
            return client
        client = hop
        if not any(address in network for network in trusted_proxies):
            break
    return client
