"""A TCP relay on loopback that can go silent or slow, as a network does."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.postgres import free_port


class Relay:
    """Passes bytes on between a port of its own and a server's."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self.delay = 0.0  # seconds before each part of an answer is passed on
        self.open: set[socket.socket] = set()
        self.silent: set[socket.socket] = set()
        self.closing = threading.Event()
        self.listen()

    def listen(self) -> None:
        """Accept connections from now on."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.serve, args=[self.listener], daemon=True).start()

    def silence(self) -> None:
        """Pass nothing on any more on the connections that are open now; new ones work."""
        self.silent |= self.open

    def serve(self, listener: socket.socket) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target))
                self.open |= {client, server}
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self.pass_on, args=ends, daemon=True).start()

    def pass_on(self, source: socket.socket, to: socket.socket) -> None:
        """Pass bytes on in one direction until an end is closed."""
        with suppress(OSError):
            while piece := source.recv(65536):
                if source.getpeername()[1] == self.target:
                    self.closing.wait(self.delay)
                if source not in self.silent:
                    to.sendall(piece)
        for end in (source, to):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Close all connections, and accept no more."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.open.clear()


@contextmanager
def relay(target: int) -> Iterator[Relay]:
    """Run a relay to a port on loopback."""
    running = Relay(target)
    try:
        yield running
    finally:
        running.closing.set()
        running.refuse()
