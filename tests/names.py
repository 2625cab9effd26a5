"""A resolver for the tests: names with the addresses that a test says."""

import socket
from typing import Any


class Names:
    """A resolver that finds, one lookup after the other, what the test says."""

    def __init__(self) -> None:
        self.found: list[list[str] | Exception] = []
        self.lookups: list[str] = []

    def getaddrinfo(self, host: str, port: int, **kwargs: Any) -> list[Any]:
        """Return addresses as `socket.getaddrinfo` does; the last ones again and again."""
        self.lookups.append(host)
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]
