"""gunicorn's worker with threads, in which a thread goes on with the connection that it has."""

from select import POLLIN, poll
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

PATIENCE = 2  # milliseconds for the next request on a connection


class KeepAliveWorker(ThreadWorker):  # type: ignore[misc]
    """Answers requests that follow one another on a connection in the same thread.

    By itself, gunicorn gives a connection back to its main thread after each request, and that
    one to a thread when the next request has come: two threads take turns for each request.
    """

    def handle(self, conn: Any) -> Any:
        """Answer the requests of a connection; return what gunicorn is to do with it then."""
        while (result := super().handle(conn)) is True and self.next_request_comes(conn):
            pass
        return result

    def next_request_comes(self, conn: Any) -> bool:
        """Return whether a request comes at once, and no other connection waits for a thread."""
        if self.tpool._work_queue.qsize():
            return False
        waiting = poll()
        waiting.register(conn.sock, POLLIN)
        return bool(waiting.poll(PATIENCE))
