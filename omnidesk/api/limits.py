"""Limits: how often anybody may ask, and how often who they are may turn out wrong."""

from hashlib import sha256
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from time import time
from typing import Any, NamedTuple

import limits
from flask import Flask, current_app, g, request
from limits import RateLimitItem
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import HTTPException, TooManyRequests

from omnidesk.rates import Batches, storage_at

Networks = list[IPv4Network | IPv6Network]


class Rule(NamedTuple):
    """A limit, and what its headers say of it (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    item: RateLimitItem
    policy: str  # the quota, and the seconds in which it is

    @classmethod
    def of(cls, name: str, text: str) -> "Rule | None":
        """Give a limit by its text, such as `600 per minute`; None for an empty one."""
        if not text:
            return None
        item = limits.parse(text)
        return cls(name, item, f'"{name}";q={item.amount};w={item.get_expiry()}')


class Rate(NamedTuple):
    """What is left of a limit, and when it is renewed, in seconds since 1970."""

    rule: Rule
    left: int
    ends: float


class Limits:
    """The limits of an app, by its settings; what is empty there is not limited."""

    def __init__(self, app: Flask) -> None:
        config = app.config
        storage = storage_at(config["RATE_LIMIT_STORAGE"])
        self.exact = FixedWindowRateLimiter(storage)
        self.login = Rule.of("login", config["RATE_LIMIT_LOGIN"])
        self.login_address = Rule.of("login-address", config["RATE_LIMIT_LOGIN_ADDRESS"])
        self.often = {
            name: (found, Batches(storage, found.item, name))
            for name in ("token", "anonymous")
            if (found := Rule.of(name, config[f"RATE_LIMIT_{name.upper()}"]))
        }

    def admit(self, user: Any, address: str | None) -> None:
        """Count a request; raises 429 where there were too many of its token or address."""
        counted = self.often.get("anonymous" if user is None else "token")
        if counted is None:
            return
        found, batches = counted
        within, window = batches.hit(neighbourhood(address) if user is None else user.token)
        g.rate = Rate(found, window.left, window.ends)
        if not within:
            raise too_many(window.ends)


class Attempts:
    """Attempts to prove who one is: after some failures of a name or an address, they must wait."""

    def __init__(self, name: str) -> None:
        limiter: Limits = current_app.extensions["limits"]
        self.limiter = limiter.exact
        pairs = (
            (limiter.login, sha256(name.encode()).hexdigest()),
            (limiter.login_address, neighbourhood(request.remote_addr)),
        )
        self.counts = [(found, who) for found, who in pairs if found is not None]
        for found, who in self.counts:
            stats = self.limiter.get_window_stats(found.item, found.name, who)
            if not stats.remaining:
                g.rate = Rate(found, 0, stats.reset_time)
                raise too_many(stats.reset_time)

    def fail(self) -> None:
        """Count a failure."""
        for found, who in self.counts:
            self.limiter.hit(found.item, found.name, who)


def too_many(reset: float) -> HTTPException:
    """Give the exception that asks to come again when a window ends."""
    return TooManyRequests(retry_after=max(1, round(reset - time())))


def neighbourhood(address: str | None) -> str:
    """Give the address to count by: of IPv6 the first 64 bits, which are one customer's."""
    if not address or ":" not in address:
        return address or "unknown"
    number = IPv6Address(address.partition("%")[0])
    return str(number.ipv4_mapped or IPv6Network((number, 64), strict=False))


def headers(rate: Rate) -> list[tuple[str, str]]:
    """Give what an answer says of the limit that its request was counted by."""
    state = f'"{rate.rule.name}";r={rate.left};t={max(0, round(rate.ends - time()))}'
    return [("RateLimit-Policy", rate.rule.policy), ("RateLimit", state)]


def behind(trusted: Networks, peer: str, forwarded: str) -> str:
    """Give the address of the client: the last that no proxy of ours has (X-Forwarded-For)."""
    client = peer
    for hop in [peer, *(hop.strip() for hop in reversed(forwarded.split(",")))]:
        try:
            address = ip_address(hop)
        except ValueError:
            return client
        client = hop
        if not any(address in network for network in trusted):
            break
    return client
