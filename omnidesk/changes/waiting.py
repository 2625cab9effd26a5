"""Requests that wait for changes: a few in each process, and none of them at the database."""

from collections.abc import Callable
from functools import wraps
from socket import MSG_DONTWAIT, MSG_PEEK
from threading import Lock, Semaphore
from time import monotonic, sleep
from typing import Any

from flask import Flask, Response, current_app, g, request

from omnidesk.changes.feed import LAST_CHANGE, begun_at_latest
from omnidesk.db.request_deadline import within_deadline
from omnidesk.http.blueprint import authenticate
from omnidesk.http.request_metrics import WAITED

PERIOD = 0.1  # seconds after which those who wait look for changes again
NOTHING = b"[]"
Look = Callable[[], Response]


def polled(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let a view of the feed begin at the last change, and wait for the next, where asked to."""

    @wraps(view)
    def poll(query: dict[str, Any]) -> Response:
        seconds = query.pop("wait", 0)
        begun = begun_at_latest(query)
        waiting: Waiting = current_app.extensions["waiting"]
        return waiting.answer(lambda: view(dict(begun)), seconds)

    return poll


def init_app(app: Flask) -> None:
    """Let a request wait for each two threads of the process."""
    app.extensions["waiting"] = Waiting(app.config["THREADS"] // 2)


class Watch:
    """What names the last change: asked of the database once in a period, by all who wait."""

    def __init__(self) -> None:
        self.lock, self.last, self.asked_at = Lock(), "", -PERIOD

    def last_change(self) -> str:
        """Return what named the last change at some moment of the last period."""
        with self.lock:
            now = monotonic()
            if now - self.asked_at >= PERIOD / 2:
                with within_deadline():
                    self.last = str(LAST_CHANGE.fetch()[0][0])
                self.asked_at = now
            return self.last


class Waiting:
    """The requests of a process that wait for changes, up to a number.

    `is_stopping` tells whether the process is about to end.
    """

    def __init__(self, places: int) -> None:
        self.places, self.watch = Semaphore(places), Watch()
        self.is_stopping: Callable[[], bool] = lambda: False

    def answer(self, look: Look, seconds: int) -> Response:
        """Return what is found by looking: at once, or within seconds if it is nothing new.

        Where too many others wait, this one does not.
        """
        ends_at = monotonic() + seconds
        seen = self.watch.last_change() if seconds else ""  # before, so that no change is missed
        response = look()
        if not seconds or is_new(response) or not self.places.acquire(blocking=False):
            return response
        try:
            return self.wait(look, response, seen, ends_at)
        finally:
            self.places.release()

    def wait(self, look: Look, response: Response, seen: str, ends_at: float) -> Response:
        """Return what is found by looking again after each change, or in the end; raise 401."""
        environ = request.environ
        while monotonic() < ends_at and not (self.is_stopping() or client_has_left(environ)):
            sleep(PERIOD)
            environ[WAITED] = environ.get(WAITED, 0) + PERIOD
            last = self.watch.last_change()
            if last != seen:
                seen, response = last, look_again(look)
                if is_new(response):
                    break
        return response


def look_again(look: Look) -> Response:
    """Return what is found now, for whom the token is now; raise 401 if it was revoked."""
    with within_deadline():
        g.user = authenticate(request.environ["HTTP_AUTHORIZATION"])
        return look()


def is_new(response: Response) -> bool:
    """Return whether a response has anything that its client does not have yet."""
    if response.status_code == 304:
        return False
    return response.mimetype != "application/json" or response.get_data() != NOTHING


def client_has_left(environ: dict[str, Any]) -> bool:
    """Return whether the client has closed the connection, as a page does that is left."""
    sock = environ.get("gunicorn.socket")
    try:
        return sock is not None and sock.recv(1, MSG_PEEK | MSG_DONTWAIT) == b""
    except BlockingIOError:  # it is there, and silent
        return False
    except OSError:
        return True
