"""The settings, each read once from the environment."""

import os
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from environs import Env, EnvValidationError
from marshmallow import ValidationError
from marshmallow.validate import ContainsOnly, OneOf, Range
from sqlalchemy.engine import URL

from omnidesk.setting_values import (
    MAX_PORT,
    Networks,
    browser_origin,
    database_url,
    each_item,
    network,
    path_prefix,
    port_number,
    validate_folder,
    validate_key,
    validate_metrics_token,
    validate_origin,
    validate_previous_key,
    validate_rate,
    validate_storage,
)

INSTANCE = Path(__file__).parent / "instance"
READABLE = ("events", "tickets", "conversations", "clients")
MAX_HOURS = 100 * 366 * 24  # 100 years
MAX_DAYS = 100 * 366


class InvalidSettings(SystemExit):
    """Ends the start with one line that names every invalid setting."""


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
        self.SECRET_KEY_PREVIOUS = env.str(
            "SECRET_KEY_PREVIOUS", "", validate=validate_previous_key
        )
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
        self.CHANGE_LOG_DAYS = None
        if env.str("CHANGE_LOG_DAYS", ""):
            self.CHANGE_LOG_DAYS = env.int("CHANGE_LOG_DAYS", validate=Range(min=1, max=MAX_DAYS))
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
