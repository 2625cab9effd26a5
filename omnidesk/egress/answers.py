"""Answers to requests, of which no more is read than anybody needs."""

import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import MissingHeaderBodySeparatorDefect as BadHeader
from http.client import HTTPException, HTTPResponse
from typing import Any, Self

from omnidesk.egress.deadlines import Deadline

MAX_BODY = 64 * 1024  # bytes; what follows is not read
MAX_RECEIVED = 4 * MAX_BODY  # bytes, with the headers and what frames the chunks of a body


@dataclass(frozen=True)
class Answer:
    """An answer: header names are in lower case, and the body may be cut at 64 KiB."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The seconds that the header Retry-After asks to wait, however many; None without it."""
        text = self.headers.get("retry-after", "").strip()
        if text.isascii() and text.isdecimal():
            return float(text[:10])
        try:
            moment = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
        except ValueError:
            return None
        return max(0.0, (moment - datetime.now(UTC)).total_seconds())


class Incoming(io.RawIOBase):
    """What a socket receives, until a deadline and up to a number of bytes."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self.socket, self.deadline, self.received = connected, deadline, 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Receive some bytes, 0 at the end; raise OSError, or HTTPException if it is too much."""
        if self.received > MAX_RECEIVED:
            raise HTTPException
        self.socket.settimeout(self.deadline.left())
        count = self.socket.recv_into(buffer)
        self.received += count
        return count


class ResponseSocket(io.BufferedReader):
    """What `HTTPResponse` takes for a socket, and does not close, as more responses may follow."""

    def makefile(self, _mode: str) -> Self:
        """Return what is read from."""
        return self

    def readline(self, size: int | None = -1) -> bytes:
        """Return a line; raise ConnectionError if it ends early, which is no end of the headers."""
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise ConnectionError
        return line

    def close(self) -> None:
        """Leave it open."""


def read_answer(connected: socket.socket, method: str, deadline: Deadline) -> Answer:
    """Return the answer to a request; raise OSError, ValueError or HTTPException.

    Answers such as 103 come before it and are left out. A body is not decoded.
    """
    source: Any = ResponseSocket(Incoming(connected, deadline))
    status = 100
    while status < 200:
        response = HTTPResponse(source, method=method)
        response.begin()
        status = response.status
    body = response.read(MAX_BODY)
    was_cut = response.length and len(body) < MAX_BODY
    if was_cut or any(isinstance(each, BadHeader) for each in response.headers.defects):
        raise HTTPException
    headers = {name.lower(): value for name, value in reversed(response.headers.items())}
    return Answer(status, headers, body)
