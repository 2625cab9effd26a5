"""The target of a request: which paths are malformed, and which are sent in a form of their own."""

import re
from typing import Any
from urllib.parse import unquote

OUTSIDE = "omnidesk.outside"  # in the WSGI environment: the path is not below SCRIPT_NAME
MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})|%00")
# A name, or an address in brackets, and a port (RFC 3986, section 3.2).
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=%-]*)(:[0-9]*)?", re.ASCII)


def has_no_host(environ: dict[str, Any]) -> bool:
    """Return whether a request lacks a Host, or has one that is none (RFC 9112, section 3.2)."""
    host = environ.get("HTTP_HOST")
    if host is None:
        return bool(environ["SERVER_PROTOCOL"] == "HTTP/1.1")
    return HOST.fullmatch(host) is None


def is_malformed(environ: dict[str, Any]) -> bool:
    """Return whether a target has no path (RFC 9112, section 3.2), or one that nginx refuses."""
    target = environ.get("RAW_URI", "/")
    if target[:1] != "/" or "#" in target:  # a whole URL is for forward proxies
        return True
    sent = target.partition("?")[0]
    has_fault = "%" in sent and MALFORMED.search(sent) is not None
    return has_fault or ("/.." in environ["PATH_INFO"] and is_above_root(sent))


def is_above_root(path: str) -> bool:
    """Return whether a path leads above its root at any segment, as `/a/../../b` does."""
    depth = 0
    for segment in unquote(path).split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(segment, 1)
        if depth < 0:
            return True
    return False


def is_altered(environ: dict[str, Any]) -> bool:
    """Return whether a path was sent in another form than the one that routes are found by.

    WSGI decodes encoded slashes; werkzeug takes slashes from the beginning, or adds one.
    """
    target, path = environ.get("RAW_URI", ""), environ.get("PATH_INFO", "")
    if path[:2] == "//" or path[:1] not in ("", "/") or OUTSIDE in environ:
        return True
    return "%" in target and "%2f" in target.partition("?")[0].lower()
