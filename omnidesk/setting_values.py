"""What the values of settings may be; what is refused raises ValidationError of marshmallow's."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import urlsplit

import idna
from marshmallow import ValidationError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

MAX_PORT = 65_535
MAX_RATE = 1_000_000_000  # requests
MAX_WINDOW = 366 * 86_400  # seconds
UNIX = "unix"  # in TRUSTED_PROXIES: whoever connects over a Unix socket
PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
MAX_PREFIX_LENGTH = 200  # characters
ORIGIN = re.compile(r"(?ai)([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^][/?#@:\s]+)(?::([0-9]+))?")
HOST = re.compile(r"(?a)[\w.:[\]-]+")
DEFAULT_PORTS = {"http": 80, "https": 443}
# A page of these has the origin null; or there are no such pages.
WITHOUT_ORIGIN = {"about", "blob", "data", "file", "filesystem", "ftp", "javascript", "ws", "wss"}
Networks = list[IPv4Network | IPv6Network | str]


def database_url(text: str) -> URL:
    """Return the SQLAlchemy URL of a SQLite or PostgreSQL database, with the installed driver."""
    try:
        url = make_url(text if is_text(text) else "")
    except (ArgumentError, ValueError):  # such as a port that is no number
        raise ValidationError("is not a database URL") from None
    if url.drivername == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise ValidationError("must name a file: a database in memory is not shared")
        if url.query:
            raise ValidationError("must have no options: the server sets those of SQLite")
        return url
    if (url.port or 1) > MAX_PORT:
        raise ValidationError(f"must have a port of at most {MAX_PORT}")
    if url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise ValidationError("must begin with sqlite:/// or postgresql://")
    url = url.set(drivername="postgresql+psycopg")
    try:
        url.get_dialect()().create_connect_args(url)
    except ArgumentError as error:  # such as two ports for three hosts
        raise ValidationError(f"cannot be used: {error}") from None
    return url


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


def validate_previous_key(key: str) -> None:
    """Refuse what is neither a signing key nor empty."""
    if key:
        validate_key(key)


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
