"""Settings, each read once from the environment."""

import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import limits
from environs import Env, EnvValidationError
from marshmallow import ValidationError
from marshmallow.validate import ContainsOnly, OneOf, Range
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

INSTANCE = Path(__file__).parent / "instance"
READABLE = ("events", "tickets", "conversations", "clients")


class BadSettings(SystemExit):
    """Ends the start with one line that names every bad setting."""


def database_url(text: str) -> URL:
    """Give the SQLAlchemy URL of a SQLite or PostgreSQL database, with our driver."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValidationError("is not a database URL") from None
    if url.drivername == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValidationError("must name a file: a database in memory is not shared")
        return url
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise ValidationError("must begin with sqlite:/// or postgresql://")


def origin(text: str) -> None:
    """Refuse what no browser sends as an Origin (RFC 6454, section 7)."""
    if not re.fullmatch(
        r"null|https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?", text
    ):
        raise ValidationError("may hold only origins such as https://desk.example.com, or null")


def public_origin(text: str) -> None:
    """Refuse null, too: any file and any sandboxed frame may call itself so."""
    origin(text)
    if text == "null":
        raise ValidationError("may hold null in development only")


def each(check: Callable[[str], None]) -> Callable[[list[str]], None]:
    """Give the check of a list by the check of one of its items."""

    def check_all(items: list[str]) -> None:
        for item in items:
            check(item)

    return check_all


def long_enough(key: str) -> None:
    """Refuse a signing key of fewer than 32 bytes (RFC 7518, section 3.2)."""
    if len(key.encode()) < 32:
        raise ValidationError(
            "must have at least 32 bytes; make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )


def kept_key(path: Path) -> str:
    """Give the key kept in a file; the first to ask makes it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text()


def engine_options(url: URL, threads: int) -> dict[str, Any]:
    """Give what keeps a request from waiting for a database for ever."""
    pool: dict[str, Any] = {"pool_size": threads, "max_overflow": 0, "pool_timeout": 5}
    pool["hide_parameters"] = True  # what clients send belongs in no log
    if url.drivername == "sqlite":
        # One writer at a time: threads queue here, instead of asking again and again for the lock.
        return pool | {"pool_size": 1}
    limits = {
        "statement_timeout": 10_000,
        "lock_timeout": 2_000,
        "idle_in_transaction_session_timeout": 15_000,
        "timezone": "UTC",
    }
    options = " ".join(f"-c {name}={value}" for name, value in limits.items())
    connect_args = {"connect_timeout": 3, "options": options}
    return {**pool, "pool_pre_ping": True, "pool_recycle": 600, "connect_args": connect_args}


def rate(text: str) -> None:
    """Refuse what is no limit; an empty text is none at all."""
    if text:
        try:
            limits.parse(text)
        except ValueError:
            raise ValidationError("must be a limit such as 600 per minute, or empty") from None


def storage(uri: str) -> None:
    """Refuse what is no place to keep counts."""
    if not re.match("database://$|rediss?://", uri):
        raise ValidationError("must be database:// or begin with redis://")


def network(text: str) -> IPv4Network | IPv6Network:
    """Give the addresses that a text names."""
    try:
        return ip_network(text.strip())
    except ValueError:
        raise ValidationError("may hold only addresses such as 127.0.0.1 or 10.0.0.0/8") from None


class Production:
    """A server that strangers can reach: closed unless its operator opens it."""

    ENV = "production"
    PUBLIC_READS: list[str] = []
    CORS_ORIGINS: list[str] = []
    REQUESTS = ("600 per minute", "120 per minute")  # of a token, and of an address without one
    MAX_CONTENT_LENGTH = 1024 * 1024
    JWT_ACCESS_TOKEN_EXPIRES = timedelta(hours=1)
    ARGON2 = {"time_cost": 2, "memory_cost": 19_456, "parallelism": 1}

    def __init__(self, env: Env) -> None:
        self.JWT_SECRET_KEY = self.read_key(env)  # Flask itself gets no key: it keeps no sessions
        self.SECRET_KEY_PREVIOUS = env.str("SECRET_KEY_PREVIOUS", None, validate=long_enough)
        url = env.str("DATABASE_URL", "sqlite:///omnidesk.db", validate=database_url)
        self.PUBLIC_READS = env.list(
            "PUBLIC_READS",
            self.PUBLIC_READS,
            subcast=str.strip,
            validate=ContainsOnly(READABLE, error=f"may name only {', '.join(READABLE)}"),
        )
        self.CORS_ORIGINS = env.list(
            "CORS_ORIGINS",
            self.CORS_ORIGINS,
            subcast=str.strip,
            validate=each(origin if self.ENV == "development" else public_origin),
        )
        self.RATE_LIMIT_TOKEN = env.str("RATE_LIMIT_TOKEN", self.REQUESTS[0], validate=rate)
        self.RATE_LIMIT_ANONYMOUS = env.str("RATE_LIMIT_ANONYMOUS", self.REQUESTS[1], validate=rate)
        self.RATE_LIMIT_LOGIN = env.str("RATE_LIMIT_LOGIN", "5 per 5 minutes", validate=rate)
        self.RATE_LIMIT_LOGIN_ADDRESS = env.str(
            "RATE_LIMIT_LOGIN_ADDRESS", "20 per 5 minutes", validate=rate
        )
        self.RATE_LIMIT_STORAGE = env.str("RATE_LIMIT_STORAGE", "database://", validate=storage)
        self.TRUSTED_PROXIES = env.list("TRUSTED_PROXIES", [], subcast=network)
        self.PORT = env.int("PORT", 8000, validate=Range(min=1, max=65_535))
        self.WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 2, validate=Range(min=1, max=256))
        self.THREADS = env.int("THREADS", 4, validate=Range(min=1, max=64))
        env.seal()
        self.SQLALCHEMY_DATABASE_URI = database_url(url)
        self.SQLALCHEMY_ENGINE_OPTIONS = engine_options(self.SQLALCHEMY_DATABASE_URI, self.THREADS)

    def read_key(self, env: Env) -> str:
        """Give the key that signs tokens: the operator's own, never a default."""
        return env.str("SECRET_KEY", validate=long_enough)


class Development(Production):
    """A server on a developer's own machine: the contract's examples work as printed."""

    ENV = "development"
    PUBLIC_READS = ["events", "tickets", "conversations"]
    REQUESTS = ("", "")
    CORS_ORIGINS = ["http://localhost:3000", "null"]

    def read_key(self, env: Env) -> str:
        """Give the operator's key, or one made once and kept in the instance folder."""
        return env.str("SECRET_KEY", None, validate=long_enough) or kept_key(
            INSTANCE / "secret_key"
        )


class Testing(Development):
    """Development with password hashes that cost next to nothing."""

    TESTING = True
    ARGON2 = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}


KINDS = {kind.ENV: kind for kind in (Production, Development)}


def from_environment() -> Production:
    """Give the settings that the environment asks for; raises BadSettings."""
    env = Env(eager=False)
    name = env.str("OMNIDESK_ENV", Production.ENV, validate=OneOf(KINDS))
    try:
        return KINDS.get(name, Production)(env)
    except EnvValidationError as error:
        faults: Any = error.error_messages
        lines = (f"{name} {' '.join(why)}" for name, why in faults.items())
        raise BadSettings(f"omnidesk cannot start: {'; '.join(lines)}") from None
