"""URLs that requests may go to, by their text."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from omnidesk.egress.errors import ForbiddenUrl
from omnidesk.setting_values import DEFAULT_PORTS, MAX_PORT, browser_host

MAX_URL_LENGTH = 2048  # characters
# RFC 3986, section 3: what a path and a query may hold, and all else percent-encoded.
CHARACTER = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}"
URL = re.compile(
    rf"(?a)([A-Za-z]+)://(\[[0-9A-Fa-f:.]+\]|[^][/?#@:\\%\s]+)(?::([0-9]{{1,5}}))?"
    rf"(/(?:{CHARACTER})*)?(\?(?:{CHARACTER}|\?)*)?"
)
NAME = re.compile(r"(?=.{1,253}$)(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


@dataclass(frozen=True)
class Rules:
    """What an installation allows: plain HTTP and loopback, and the ports, None for all."""

    development: bool
    ports: frozenset[int] | None

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the rules of an app's settings, such as `current_app.config`."""
        ports = settings["EGRESS_PORTS"]
        return cls(settings["ENV"] == "development", None if ports is None else frozenset(ports))

    def check(self, url: "Url") -> None:
        """Raise ForbiddenUrl for a scheme or a port that is not allowed."""
        if url.scheme != "https" and not (self.development and url.scheme == "http"):
            raise ForbiddenUrl("Must begin with https://.")
        if self.ports is not None and url.port not in self.ports:
            allowed = ", ".join(str(port) for port in sorted(self.ports))
            raise ForbiddenUrl(f"Must have one of the ports {allowed or '(none is allowed)'}.")


@dataclass(frozen=True, repr=False)
class Url:
    """The parts of a URL; its `target` is the path with the query."""

    scheme: str
    host: str  # a name in ASCII, or an address, that of IPv6 in brackets
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's own: what the header Host says."""
        is_default = self.port == DEFAULT_PORTS[self.scheme]
        return self.host if is_default else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """What messages call the URL: nothing that can be secret."""
        return f"{self.scheme}://{self.authority}"

    def __repr__(self) -> str:
        """Return the origin alone, as the target may hold a secret."""
        return f"Url({self.origin!r})"


def parse_url(text: str) -> Url:
    """Return the parts of a URL of the schemes http and https; raise ForbiddenUrl."""
    parts = URL.fullmatch(text) if len(text) <= MAX_URL_LENGTH else None
    if parts is None:
        raise ForbiddenUrl(
            "Not a URL such as https://example.com/path, without a user name, a password or a "
            f"fragment, in at most {MAX_URL_LENGTH} characters."
        )
    scheme, port = parts[1].lower(), int(parts[3] or 0)
    if scheme not in DEFAULT_PORTS:
        raise ForbiddenUrl("Must begin with https://.")
    if parts[3] and not 1 <= port <= MAX_PORT:
        raise ForbiddenUrl(f"Must have a port from 1 to {MAX_PORT}.")
    target = (parts[4] or "/") + (parts[5] or "")
    return Url(scheme, ascii_host(parts[2]), port or DEFAULT_PORTS[scheme], target)


def ascii_host(text: str) -> str:
    """Return a host as it is asked for in the DNS; raise ForbiddenUrl.

    Numbers that stand for an address, such as 127.1 or 0x7f000001, are refused.
    """
    try:
        host = browser_host(text)
    except ValueError:
        host = ""
    if host.startswith("[") or NAME.fullmatch(host):
        return host
    raise ForbiddenUrl("Must have the name of a host, or an address in its usual form.")
