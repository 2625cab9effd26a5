"""What proxies change: the client's address, and the path below which the API is served."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from marshmallow import ValidationError

from omnidesk.http.targets import OUTSIDE
from omnidesk.setting_values import UNIX, Networks, path_prefix

Address = IPv4Address | IPv6Address

UNKNOWN = "unknown"  # the address of all clients that a proxy does not name (RFC 7239, section 6.2)
# An IPv6 address with a port is in brackets. Without brackets, a colon belongs to the address.
NODE = re.compile(r"(?:\[([^\]]*)\]|([0-9.]*))(?::[0-9]*)?")


class Proxies:
    """Tells the app the address of the client, and the prefix of all its own addresses.

    The prefix is the setting SCRIPT_NAME, after what a proxy has taken off the path and names in
    X-Forwarded-Prefix. Only trusted proxies are believed, about this and about the client.
    """

    def __init__(self, wsgi_app: Any, config: Mapping[str, Any]) -> None:
        self.wsgi_app = wsgi_app
        self.script_name: str = config["SCRIPT_NAME"]
        self.trusted: list[Any] = config["TRUSTED_PROXIES"]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answer a request."""
        if self.script_name:
            enter(environ, self.script_name)
        if self.trusted and is_trusted(self.trusted, environ.get("REMOTE_ADDR", "")):
            if (forwarded := environ.get("HTTP_X_FORWARDED_FOR")) is not None:
                environ["REMOTE_ADDR"] = client_address(self.trusted, forwarded)
            if prefix := environ.get("HTTP_X_FORWARDED_PREFIX"):
                with suppress(ValidationError):
                    environ["SCRIPT_NAME"] = path_prefix(prefix) + environ.get("SCRIPT_NAME", "")
        answer: Iterable[bytes] = self.wsgi_app(environ, start_response)
        return answer


def enter(environ: dict[str, Any], prefix: str) -> None:
    """Move a prefix of the path to the root of the app's addresses; note where it is missing."""
    path = environ.get("PATH_INFO", "")
    below = path[len(prefix) :]
    if path.startswith(prefix) and below[:1] in ("", "/"):
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = prefix, below
    else:
        environ[OUTSIDE] = True


def is_trusted(trusted: Networks, peer: str) -> bool:
    """Return whether a trusted proxy has this address, which is empty for a Unix socket."""
    if not peer:
        return UNIX in trusted
    return is_within(trusted, node_address(peer))


def is_within(trusted: Networks, address: Address | None) -> bool:
    """Return whether a network holds an address."""
    return address is not None and any(address in net for net in trusted if net != UNIX)


def client_address(trusted: Networks, forwarded: str) -> str:
    """Return the last address of X-Forwarded-For that is not a trusted proxy's own.

    Return UNKNOWN where an item on the way to it is no address: no client may choose its own.
    """
    client: Address | None = None
    for node in reversed(forwarded.split(",")):
        client = node_address(node)
        if not is_within(trusted, client):
            break
    return UNKNOWN if client is None else str(client)


def node_address(text: str) -> Address | None:
    """Return an address without its port, brackets, quotes and zone; None if there is none."""
    text = text.strip().strip('"')
    node = NODE.fullmatch(text)
    try:
        address = ip_address((node[1] or node[2]) if node else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))  # without its zone
    return address
