"""The addresses of a host: found once, all of them checked, and the same ones connected to."""

import socket
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from typing import Any

from omnidesk.egress.addresses import is_allowed
from omnidesk.egress.deadlines import Deadline
from omnidesk.egress.errors import ForbiddenUrl, NotConnected
from omnidesk.egress.urls import Rules, Url, parse_url

LOOKUP_SECONDS = 5.0
MAX_LOOKUPS = 16  # at once: more than that wait, as a resolver that is silent keeps its threads
lookups = BoundedSemaphore(MAX_LOOKUPS)

Found = list[Any] | Exception  # what socket.getaddrinfo returns or raises


def check_url(text: str, rules: Rules) -> None:
    """Raise ForbiddenUrl unless requests may go to a URL now. It waits for the resolver.

    The addresses of its host may be others later, so that `connect` checks them again.
    """
    url = parse_url(text)
    rules.check(url)
    try:
        resolve(url, rules, Deadline(LOOKUP_SECONDS))
    except ForbiddenUrl:
        raise
    except NotConnected as error:
        raise ForbiddenUrl(str(error)) from None


def resolve(url: Url, rules: Rules, deadline: Deadline) -> list[Any]:
    """Return the addresses of a host, as `socket.getaddrinfo` does.

    Raises ForbiddenUrl if one of them is not allowed, and NotConnected if there is none.
    """
    found = look_up(url, deadline)
    for *_, place in found:
        if not is_allowed(place[0], loopback=rules.development):
            raise ForbiddenUrl(f"{url.host} has an address that is not public.")
    return found


def look_up(url: Url, deadline: Deadline) -> list[Any]:
    """Return what the resolver finds, at least one; raise NotConnected, also if it is silent."""
    answer: SimpleQueue[Found] = SimpleQueue()
    try:
        seconds = min(deadline.left(), LOOKUP_SECONDS)
        if not lookups.acquire(timeout=seconds):
            raise TimeoutError
        start_lookup(url, answer)
        found = answer.get(timeout=min(deadline.left(), LOOKUP_SECONDS))
    except (TimeoutError, Empty):
        raise NotConnected(f"The name {url.host} was not resolved in time.") from None
    if isinstance(found, Exception) or not found:
        raise NotConnected(f"The name {url.host} has no address.") from None
    return found


def start_lookup(url: Url, answer: SimpleQueue[Found]) -> None:
    """Ask the resolver in a thread of its own, which nobody waits for at the end."""

    def ask() -> None:
        try:
            host = url.host.strip("[]")
            answer.put(socket.getaddrinfo(host, url.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.put(error)
        finally:
            lookups.release()

    try:
        Thread(target=ask, name="lookup", daemon=True).start()
    except RuntimeError:  # the machine has no more threads
        lookups.release()
        raise NotConnected(f"The name {url.host} was not resolved in time.") from None
