"""Limits: how often anybody may ask, and how often who they are may turn out wrong."""

from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from time import time
from typing import Any, NamedTuple

import limits
from flask import Flask, current_app, g, request
from limits import RateLimitItem
from limits.strategies import FixedWindowRateLimiter
from werkzeug.exceptions import HTTPException, TooManyRequests

from omnidesk.rates import InBatches, storage_at

Networks = list[IPv4Network | IPv6Network]


class Rule(NamedTuple):
    """A limit by the name that its headers give it (draft-ietf-httpapi-ratelimit-headers)."""

    name: str
    item: RateLimitItem

    @property
    def policy(self) -> str:
        """What the limit is: the quota, and the seconds in which it is."""
        return f'"{self.name}";q={self.item.amount};w={self.item.get_expiry()}'


class Limits:
    """The limits of an app, by its settings; what is empty there is not limited."""

    def __init__(self, app: Flask) -> None:
        config = app.config
        self.storage = storage_at(config["RATE_LIMIT_STORAGE"])
        self.exact, self.often = FixedWindowRateLimiter(self.storage), InBatches(self.storage)
        self.token = rule("token", config["RATE_LIMIT_TOKEN"])
        self.anonymous = rule("anonymous", config["RATE_LIMIT_ANONYMOUS"])
        self.login = rule("login", config["RATE_LIMIT_LOGIN"])
        self.login_address = rule("login-address", config["RATE_LIMIT_LOGIN_ADDRESS"])

    def admit(self, user: Any) -> None:
        """Count a request; raises 429 where there were too many of its token or address."""
        found = self.token if user else self.anonymous
        if found is None:
            return
        who = user.token if user else neighbourhood(request.remote_addr)
        within = self.often.hit(found.item, who)
        g.rate = found, self.often.get_window_stats(found.item, who)
        if not within:
            raise too_many(g.rate[1].reset_time)


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
            stats = self.limiter.get_window_stats(found.item, who)
            if not stats.remaining:
                g.rate = found, stats
                raise too_many(stats.reset_time)

    def fail(self) -> None:
        """Count a failure."""
        for found, who in self.counts:
            self.limiter.hit(found.item, who)


def rule(name: str, text: str) -> Rule | None:
    """Give a limit by its text, such as `600 per minute`; None for an empty one."""
    return Rule(name, limits.parse(text)) if text else None


def too_many(reset: float) -> HTTPException:
    """Give the exception that asks to come again when a window ends."""
    return TooManyRequests(retry_after=max(1, round(reset - time())))


def neighbourhood(address: str | None) -> str:
    """Give the address to count by: of IPv6 the first 64 bits, which are one customer's."""
    if not address or ":" not in address:
        return address or "unknown"
    return str(ip_network(f"{address.partition('%')[0]}/64", strict=False))


def headers() -> list[tuple[str, str]]:
    """Give what an answer says of the limit that its request was counted by."""
    if "rate" not in g:
        return []
    found, stats = g.rate
    reset = max(0, round(stats.reset_time - time()))
    state = f'"{found.name}";r={stats.remaining};t={reset}'
    return [("RateLimit-Policy", found.policy), ("RateLimit", state)]


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
