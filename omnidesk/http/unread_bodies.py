"""Bodies that the app leaves unread: gunicorn closes the connection, or keeps it, and says so.

By itself it announces that it keeps the connection, and closes it when it finds more than 64 KiB: a
proxy that has sent its next request on it gets no response. It has no setting for this.
"""

from time import monotonic
from typing import Any

MAX_BYTES = 8 * 1024 * 1024
MAX_SECONDS = 1
READ_SIZE = 1024 * 1024  # bytes that are read at a time


class BoundedSocket:
    """Receives so many bytes, and for so many seconds, at most; raises TimeoutError beyond."""

    def __init__(self, sock: Any) -> None:
        self.sock, self.left = sock, MAX_BYTES
        self.ends_at = monotonic() + MAX_SECONDS

    def recv(self, size: int) -> bytes:
        """Return what the socket receives."""
        seconds = self.ends_at - monotonic()
        if seconds <= 0 or self.left <= 0:
            raise TimeoutError
        self.sock.settimeout(seconds)
        received: bytes = self.sock.recv(size)
        self.left -= len(received)
        return received


def read_to_end(request: Any) -> bool:
    """Read what the app has left of a body; return whether its end was within the bounds."""
    body, unreader = request.body, request.unreader
    if getattr(body.reader, "length", 0) > MAX_BYTES:
        return False
    sock = unreader.sock
    timeout, unreader.sock = sock.gettimeout(), BoundedSocket(sock)
    try:
        while body.read(READ_SIZE):
            pass
    except Exception:  # noqa: BLE001 - what a body can raise has no common class
        return False
    finally:
        unreader.sock = sock
        sock.settimeout(timeout)
    return not body.failed


def close_if_unread(request: Any) -> None:
    """Let gunicorn keep the connection of a request only if the whole body can be read.

    What is asked here is asked when the headers of the response are written.
    """
    if not getattr(request.body.reader, "length", True):  # of a chunked body it is not known
        return
    should_close = request.should_close

    def decide() -> bool:
        if not (request.must_close or read_to_end(request)):
            request.force_close()
        closes: bool = should_close()
        return closes

    request.should_close = decide
