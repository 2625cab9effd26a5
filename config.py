"""The settings, each read once from the environment."""

import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import idna
from environs import Env, EnvValidationError
from marshmallow import ValidationError
from marshmallow.validate import ContainsOnly, OneOf, Range
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

INSTANCE = Path(__file__).parent / "instance"
READABLE = ("events", "tickets", "conversations", "clients")
MAX_PORT = 65_535
MAX_RATE = 1_000_000_000  # requests
MAX_WINDOW = 366 * 86_400  # seconds
MAX_HOURS = 100 * 366 * 24
MAX_DAYS = 100 * 366
UNIX = "unix"  # in TRUSTED_PROXIES: whoever connects over a Unix socket
PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
MAX_PREFIX_LENGTH = 200  # characters
Networks = list[IPv4Network | IPv6Network | str]


class InvalidSettings(SystemExit):
    """Ends the start with one line that names every invalid setting."""


def database_url(text: str) -> URL:
    """Return the SQLAlchemy URL of a SQLite or PostgreSQL database, with the installed driver."""
    try:
        url = make_url(text if is_text(text) else "")
    except (ArgumentError, ValueError):  # such as a port that is no number
        raise ValidationError("is not a database URL") from None
    if url.drivername == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValidationError("must name a file: a database in memory is not shared")
        return url
    if (url.port or 1) > MAX_PORT:
        raise ValidationError(f"must have a port of at most {MAX_PORT}")
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise ValidationError("must begin with sqlite:/// or postgresql://")


ORIGIN = re.compile(r"(?ai)([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^][/?#@:\s]+)(?::([0-9]+))?")
HOST = re.compile(r"(?a)[\w.:[\]-]+")
DEFAULT_PORTS = {"http": 80, "https": 443}
# A page of these has the origin null; or there are no such pages.
WITHOUT_ORIGIN = {"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "ws", "wss"}


def browser_origin(text: str) -> str:
    """Return an origin as browsers send it (HTML standard, 7.1.1); raise ValueError.

    Schemes of apps, such as capacitor:// or chrome-extension://, are as good as https://.
    """
    parts = ORIGIN.fullmatch(text)
    if parts is None:
        raise ValueError(text)
    scheme, host, port = parts[1].lower(), parts[2], int(parts[3] or 0)
    if scheme in DEFAULT_PORTS:
        host = browser_host(host)
    if scheme in WITHOUT_ORIGIN or port > MAX_PORT or not HOST.fullmatch(host):
        raise ValueError(text)
    if parts[3] is None or port == DEFAULT_PORTS.get(scheme):
        return f"{scheme}://{host}"
    return f"{scheme}://{host}:{port}"


def browser_host(host: str) -> str:
    """Return the host of a page on the web as browsers send it; raise ValueError."""
    if host.startswith("["):
        return f"[{IPv6Address(host[1:-1]).compressed}]"
    found = host.lower() if host.isascii() else idna.encode(host, uts46=True).decode()
    if re.search(r"(^|\.)([0-9]+|0x[0-9a-f]*)\.?$", found):  # which browsers take for IPv4
        return str(IPv4Address(found))
    return found


def folder_fault(url: URL) -> str | None:
    """Return why no file of SQLite can be at a URL, None where it can."""
    if url.drivername != "sqlite":
        return None
    path = INSTANCE / str(url.database)
    if path.parent == INSTANCE:
        with suppress(OSError):
            INSTANCE.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"names a file in {path.parent}, which is not a folder that can be written to"
    return f"must name a file, and {path} is a folder" if path.is_dir() else None


def validate_origin(text: str) -> None:
    """Refuse what no browser sends as an Origin, even if it is written in another way."""
    try:
        text == "null" or browser_origin(text)
    except ValueError:
        raise ValidationError(
            f"may hold only origins such as https://desk.example.com, or null, and not {text!r}"
        ) from None


def each_item(check: Callable[[str], object]) -> Callable[[list[str]], None]:
    """Return a validator of lists from the validator of an item."""

    def validate(items: list[str]) -> None:
        for item in items:
            check(item)

    return validate


def is_text(value: str) -> bool:
    """Return whether a value of the environment is UTF-8; other bytes are lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def validate_key(key: str) -> None:
    """Refuse a signing key of fewer than 32 bytes (RFC 7518, section 3.2)."""
    if not is_text(key):
        raise ValidationError("must be text in UTF-8")
    if len(key.encode()) < 32:
        raise ValidationError(
            "must have at least 32 bytes; make one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )


def stored_key(path: Path) -> str:
    """Return the key in a file, which the first call makes."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text()


def validate_metrics_token(token: str) -> None:
    """Refuse a token that can be guessed, or that no header can carry."""
    if token and not re.fullmatch("[!-~]{16,}", token):
        raise ValidationError("must have at least 16 ASCII characters and no spaces, or be empty")


def validate_rate(text: str) -> None:
    """Refuse what is not a rate limit; an empty text means no limit."""
    if text:
        import limits  # 3 MB, which the worker can do without

        try:
            (limit,) = limits.parse_many(text)
            is_within = 1 <= limit.amount <= MAX_RATE and 1 <= limit.get_expiry() <= MAX_WINDOW
        except ValueError:  # none, or more than one
            is_within = False
        if not is_within:
            raise ValidationError("must be a limit such as 600 per minute, or empty")


def validate_storage(uri: str) -> None:
    """Refuse what is not the URI of a storage of counts."""
    if uri == "database://":
        return
    try:
        if not (re.match("rediss?://", uri) and urlsplit(uri).hostname):
            raise ValueError
        from redis import from_url  # no other storage needs it

        from_url(uri).connection_pool.make_connection()  # which is not connected yet
    except (ValueError, TypeError):  # an option with a bad value, and an unknown one
        raise ValidationError("must be database:// or a URI such as redis://host:6379") from None


def validate_folder(text: str) -> None:
    """Refuse what is not the absolute path of a folder; an empty text means none."""
    if text and not (is_text(text) and text.isprintable() and text.startswith("/")):
        raise ValidationError("must be the absolute path of a folder, or empty")


def network(text: str) -> IPv4Network | IPv6Network | str:
    """Return the network of an address or a range of addresses, or UNIX."""
    if text == UNIX:
        return UNIX
    try:
        return ip_network(text)
    except ValueError:
        raise ValidationError(
            "may hold only addresses such as 127.0.0.1 or 10.0.0.0/8, and unix"
        ) from None


def port_number(text: str) -> int:
    """Return the number of a port."""
    if not (re.fullmatch("[0-9]{1,5}", text) and 1 <= int(text) <= MAX_PORT):
        raise ValidationError(f"may hold only ports from 1 to {MAX_PORT}, such as 443")
    return int(text)


def path_prefix(text: str) -> str:
    """Return a path such as /desk without a slash at its end; an empty text for the root."""
    prefix = text.rstrip("/")
    if len(prefix) > MAX_PREFIX_LENGTH or not PREFIX.fullmatch(prefix):
        raise ValidationError("must be a path such as /desk, of letters, digits, -, ., _ and ~")
    return prefix


class Production:
    """A server that strangers can reach: nothing is public unless its operator says so."""

    ENV = "production"
    PUBLIC_READS: list[str] = []
    CORS_ORIGINS: list[str] = []
    LOCAL_ORIGINS = ""  # a regular expression of the origins that need no setting
    EGRESS_PORTS: list[int] | None = [443, 8443]  # None for all
    # By token, by address without one, and by channel of what its provider sends.
    RATE_LIMITS = ("600 per minute", "120 per minute", "6000 per minute")
    MAX_CONTENT_LENGTH = 1024 * 1024
    JWT_ACCESS_TOKEN_EXPIRES = timedelta(hours=1)
    JWT_ENCODE_ISSUER = JWT_ENCODE_AUDIENCE = "omnidesk"  # access tokens are from us and for us
    ARGON2 = {"time_cost": 2, "memory_cost": 19_456, "parallelism": 1}

    def __init__(self, env: Env) -> None:
        self.JWT_SECRET_KEY = self.read_key(env)  # Flask itself gets no key: it keeps no sessions
        self.SECRET_KEY_PREVIOUS = env.str("SECRET_KEY_PREVIOUS", None, validate=validate_key)
        database = env.str("DATABASE_URL", "sqlite:///omnidesk.db", validate=database_url)
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
            validate=each_item(self.validate_origin),
        )
        self.RATE_LIMIT_TOKEN = env.str(
            "RATE_LIMIT_TOKEN", self.RATE_LIMITS[0], validate=validate_rate
        )
        self.RATE_LIMIT_ANONYMOUS = env.str(
            "RATE_LIMIT_ANONYMOUS", self.RATE_LIMITS[1], validate=validate_rate
        )
        self.RATE_LIMIT_HOOKS = env.str(
            "RATE_LIMIT_HOOKS", self.RATE_LIMITS[2], validate=validate_rate
        )
        self.RATE_LIMIT_LOGIN = env.str(
            "RATE_LIMIT_LOGIN", "5 per 5 minutes", validate=validate_rate
        )
        self.RATE_LIMIT_LOGIN_ADDRESS = env.str(
            "RATE_LIMIT_LOGIN_ADDRESS", "20 per 5 minutes", validate=validate_rate
        )
        self.RATE_LIMIT_LOGIN_NAME = env.str(
            "RATE_LIMIT_LOGIN_NAME", "100 per 5 minutes", validate=validate_rate
        )
        self.RATE_LIMIT_STORAGE = env.str(
            "RATE_LIMIT_STORAGE", "database://", validate=validate_storage
        )
        self.METRICS_TOKEN = env.str("METRICS_TOKEN", "", validate=validate_metrics_token)
        proxies = env.list("TRUSTED_PROXIES", [], subcast=str.strip, validate=each_item(network))
        script_name = env.str("SCRIPT_NAME", "", validate=path_prefix)
        ports = env.list("EGRESS_PORTS", None, subcast=str.strip, validate=each_item(port_number))
        self.REOPEN_HOURS = env.int("REOPEN_HOURS", 72, validate=Range(min=0, max=MAX_HOURS))
        self.BACKUP_DIR = env.str("BACKUP_DIR", "", validate=validate_folder)
        self.CHANGE_LOG_DAYS = env.int("CHANGE_LOG_DAYS", None, validate=Range(min=1, max=MAX_DAYS))
        self.PORT = env.int("PORT", 8000, validate=Range(min=1, max=MAX_PORT))
        self.WEB_CONCURRENCY = env.int("WEB_CONCURRENCY", 2, validate=Range(min=1, max=256))
        self.THREADS = env.int("THREADS", 4, validate=Range(min=1, max=64))
        env.seal()
        self.CORS_ORIGINS = [
            text if text == "null" else browser_origin(text) for text in self.CORS_ORIGINS
        ]
        self.TRUSTED_PROXIES: Networks = [network(item) for item in proxies]
        self.SCRIPT_NAME = path_prefix(script_name)
        if ports is not None:
            self.EGRESS_PORTS = [port_number(text) for text in ports]
        self.SQLALCHEMY_DATABASE_URI = database_url(database)

    @staticmethod
    def validate_origin(text: str) -> None:
        """Refuse what is not the origin of a page on the web."""
        validate_origin(text)
        if text == "null":  # any file and any sandboxed frame sends it
            raise ValidationError("may hold null in development only")

    def read_key(self, env: Env) -> str:
        """Return the key that signs tokens: the operator's own, never a default."""
        return env.str("SECRET_KEY", validate=validate_key)


class Development(Production):
    """A server on a developer's own machine: the contract's examples work as printed."""

    ENV = "development"
    PUBLIC_READS = ["events", "tickets", "conversations"]
    EGRESS_PORTS = None
    RATE_LIMITS = ("", "", "")
    # A page from a file has the origin null, or file:// in the web view of an Android app.
    LOCAL_ORIGINS = r"null|file://|https?://(localhost|127\.0\.0\.1|\[::1\])(:[1-9][0-9]{0,4})?"
    validate_origin = staticmethod(validate_origin)

    def read_key(self, env: Env) -> str:
        """Return the operator's key, or one that is made once and stored in the instance folder."""
        return env.str("SECRET_KEY", None, validate=validate_key) or stored_key(
            INSTANCE / "secret_key"
        )


class Testing(Development):
    """Development with fast password hashes."""

    TESTING = True
    ARGON2 = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}


ENVIRONMENTS = {settings.ENV: settings for settings in (Production, Development)}


def reason(messages: Any) -> str:
    """Return marshmallow's messages on a value, those on the items of a list among them."""
    if isinstance(messages, str):
        return messages
    nested = messages.values() if isinstance(messages, dict) else messages
    return " ".join(dict.fromkeys(reason(each) for each in nested))


def from_environment() -> Production:
    """Return the settings of the environment; raise InvalidSettings."""
    env = Env(eager=False)
    name = env.str("OMNIDESK_ENV", Production.ENV, validate=OneOf(ENVIRONMENTS))
    try:
        settings = ENVIRONMENTS.get(name, Production)(env)
    except OSError as error:  # of the file with development's key
        why = f"{error.filename}: {error.strerror}"
        raise InvalidSettings(f"omnidesk cannot start: {why}") from None
    except EnvValidationError as error:
        faults: Any = error.error_messages
        lines = (f"{name} {reason(why)}" for name, why in faults.items())
        raise InvalidSettings(f"omnidesk cannot start: {'; '.join(lines)}") from None
    if fault := folder_fault(settings.SQLALCHEMY_DATABASE_URI):
        said = "DATABASE_URL" if "DATABASE_URL" in os.environ else "DATABASE_URL's default"
        raise InvalidSettings(f"omnidesk cannot start: {said} {fault}; set DATABASE_URL")
    return settings
