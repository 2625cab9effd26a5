"""Threads of gunicorn's worker that go on with the connection they have."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from selectors import DefaultSelector
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger

from omnidesk.http import gunicorn_worker
from omnidesk.http.gunicorn_worker import KeepAliveWorker
from tests.servers import RawConnection

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
ANSWER = b"well"


def app(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer every request alike."""
    start_response("200 OK", [("Content-Length", str(len(ANSWER)))])
    return [ANSWER]


class CountingWorker(KeepAliveWorker):
    """A worker in the test's own process, which counts what its main thread gives to others."""

    given = 0

    def enqueue_req(self, conn: Any) -> None:
        """Count a connection that is given to a thread."""
        self.given += 1
        super().enqueue_req(conn)


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[CountingWorker]:
    """A worker with one thread, which waits long for the next request on a connection."""
    monkeypatch.setattr(gunicorn_worker, "PATIENCE", 5_000)
    config = Config()
    config.set("threads", 1)
    listener = socket.create_server(("127.0.0.1", 0))
    running = CountingWorker(1, os.getppid(), [listener], None, 30, config, Logger(config))
    running.wsgi, running.tpool = app, running.get_thread_pool()
    running.poller = DefaultSelector()
    running.method_queue.init()
    thread = threading.Thread(target=running.run)
    thread.start()
    yield running
    running.alive = False
    thread.join()
    running.tmp.close()


def connect(worker: CountingWorker) -> RawConnection:
    """Return a connection to a worker."""
    host, port = worker.sockets[0].getsockname()
    return RawConnection(f"http://{host}:{port}")


def answer(connection: RawConnection) -> bytes:
    """Return the next answer on a connection."""
    received = connection.receive(ANSWER)
    connection.received = b""
    return received


def test_requests_that_follow_one_another_are_answered_by_one_thread(
    worker: CountingWorker,
) -> None:
    with connect(worker) as connection:
        for _ in range(10):
            connection.send(REQUEST)
            assert answer(connection).endswith(ANSWER)

    assert worker.given == 1


def test_a_connection_that_waits_for_a_thread_gets_it_after_one_more_request(
    worker: CountingWorker,
) -> None:
    with connect(worker) as first:
        first.send(REQUEST)
        answer(first)
        time.sleep(0.2)  # until the thread waits for the next request
        with connect(worker) as second:
            second.send(REQUEST)
            time.sleep(0.2)  # until gunicorn has given it to the threads
            first.send(REQUEST)
            second.socket.settimeout(4)

            assert answer(second).endswith(ANSWER)
            assert answer(first).endswith(ANSWER)


def test_a_connection_that_its_client_closes_frees_the_thread(worker: CountingWorker) -> None:
    with connect(worker) as first:
        first.send(REQUEST)
        answer(first)

    with connect(worker) as second:
        second.send(REQUEST)
        second.socket.settimeout(4)
        assert answer(second).endswith(ANSWER)
