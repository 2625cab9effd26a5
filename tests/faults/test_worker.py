"""Workers are killed, frozen and ended while they send, and receivers and databases are away."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from omnidesk import migrations
from omnidesk.channels.models import Channel
from omnidesk.conversations.deliveries import UNKNOWN, Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.worker.heartbeat import Worker
from tests import postgres
from tests.conftest import (
    KEY,
    Caller,
    dispose_engines,
    make_app,
    make_conversation,
    make_user,
    save,
)
from tests.faults.dying_worker import STEPS
from tests.faults.test_clock import set_clock
from tests.faults.workers import started, wait_until
from tests.providers.habits import HANG, SERVE, answer, slow
from tests.providers.operator import SECRET, Operator
from tests.providers.serving import Request
from tests.relay import relay
from tests.reliability import record
from tests.servers import BIN, ROOT, environ

__all__ = ["set_clock"]  # a fixture

KILLS = 100


class Desk:
    """A desk with a channel whose receiver is a stand-in."""

    def __init__(self, url: str, folder: Path, operator: Operator) -> None:
        self.url, self.folder, self.operator = url, folder, operator
        self.app: Flask = make_app(url)
        self.settings = {
            "DATABASE_URL": url,
            "SECRET_KEY": KEY,
            "OMNIDESK_ENV": "development",
            "SIGNING_SECRET": SECRET,
        }
        self.posted: dict[str, int] = {}  # the ids of acknowledged messages, by text
        with self.app.app_context():
            migrations.upgrade()
            self.admin = Caller(self.app, make_user(role="admin"))
            self.add_channel("app", operator)

    def add_channel(self, name: str, operator: Operator) -> None:
        """Store a channel that sends to a stand-in."""
        settings, secrets = {"url": f"{operator.url}/in"}, {"signing_secret": "SIGNING_SECRET"}
        fields = {"settings": json.dumps(settings), "secrets": json.dumps(secrets)}
        flags = {"active": True, "bot_first": False}
        save(Channel(channel=name, type="webhook", **fields, **flags))

    def conversation(self, chat_id: str, channel: str = "app") -> int:
        """Return the id of a new conversation."""
        with self.app.app_context():
            made: Conversation = make_conversation(channel=channel, external_chat_id=chat_id)
            return int(made.conversation_id)

    def post(self, conversation_id: int, text: str) -> None:
        """Queue a message."""
        path = f"/api/conversations/{conversation_id}/messages"
        made = self.admin.post(path, json={"content": text})
        assert made.status_code == 201, made.json
        self.posted[text] = made.json["message_id"]

    def states(self) -> dict[int, str]:
        """Return what became of each message."""
        with self.app.app_context():
            found = db.session.execute(select(Message.message_id, Message.delivery_state)).all()
            return {message_id: str(state) for message_id, state in found}

    def count(self, entity: Any) -> int:
        """Return how many rows a table has."""
        with self.app.app_context():
            return db.session.scalar(select(func.count()).select_from(entity)) or 0

    def retry(self, message_id: int) -> None:
        """Queue a message again, as a person does who knows that it has not arrived."""
        with self.app.app_context():
            conversation_id = db.session.get_one(Message, message_id).conversation_id
        path = f"/api/conversations/{conversation_id}/messages/{message_id}/retry"
        answer = self.admin.post(path)
        assert answer.status_code == 200, answer.json

    @contextmanager
    def worker(self, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker as an operator does; end it by SIGTERM."""
        log = self.folder / "worker.log"
        before = started(log)
        with log.open("ab") as out:
            running = subprocess.Popen(
                [BIN / "flask", "--app", "wsgi", "worker"],
                env=environ(self.settings | settings),
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )
        try:
            wait_until(lambda: started(log) > before, 20)  # a signal before that ends it at once
            yield running
        finally:
            running.send_signal(signal.SIGCONT)
            running.terminate()
            running.wait(40)
        assert "Traceback" not in log.read_text()

    def settle(self) -> None:
        """Return when nothing is left to send."""
        wait_until(lambda: self.count(Outbox) == 0, 60)


class DyingWorkers:
    """Workers that get a signal at a step, one after the other."""

    def __init__(self, desk: Desk, number: str) -> None:
        self.log = (desk.folder / f"dying-{time.monotonic()}.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.dying_worker", number],
            env=environ(desk.settings),
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(40)
        self.process.stdout.close()
        self.log.close()

    def begin(self, step: str, count: int = 1) -> int:
        """Start a worker that gets the signal at a step; return its number."""
        assert self.process.stdin
        self.process.stdin.write(f"{step} {count}\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> int:
        """Return the next number that is printed: a worker's, or how it has ended."""
        assert self.process.stdout
        return int(self.process.stdout.readline())


@pytest.fixture
def desk(database: Callable[[Path], str], tmp_path: Path) -> Iterator[Desk]:
    """A desk with a receiver."""
    with Operator() as operator:
        made = Desk(database(tmp_path), tmp_path, operator)
        yield made
        close(made)


def close(desk: Desk) -> None:
    """Close the connections of a desk, so that its database can end."""
    with desk.app.app_context():
        dispose_engines()
        for engine in db.engines.values():
            engine.dispose()


def test_workers_that_are_killed_send_nothing_twice_and_lose_nothing(desk: Desk) -> None:
    chats = {number: desk.conversation(f"chat-{number}") for number in range(6)}
    steps = [*STEPS] * (KILLS // len(STEPS) + 1)

    with DyingWorkers(desk, "SIGKILL") as workers:
        for number, step in enumerate(steps[:KILLS]):
            for chat in (number % 6, (number + 1) % 6, (number + 2) % 6):
                desk.post(chats[chat], f"{chat} {number}")
            workers.begin(step, 1 + number % 3)
            assert workers.read() == -signal.SIGKILL, step
    with desk.worker():
        desk.settle()
        states = desk.states()
        unknown = {text for text, n in desk.posted.items() if states[n] == UNKNOWN}
        doubled = desk.operator.doubled
        for text in unknown:
            desk.retry(desk.posted[text])
        desk.settle()

    sent = [text for _, text in desk.operator.sent]
    lost = [text for text in desk.posted if text not in sent]
    name = "SQLite" if desk.url.startswith("sqlite") else "PostgreSQL"
    figures = (len(desk.posted), len(unknown), len(doubled), len(lost))
    record("killed workers", name, *map(str, figures))
    assert unknown, "no worker was killed while it was sending"
    assert (doubled, lost) == ({}, [])
    assert set(desk.states().values()) == {"sent"}
    assert {text for text in sent if sent.count(text) > 1} <= unknown
    for chat in chats:
        texts = [text for text in desk.operator.texts(f"chat-{chat}") if text not in unknown]
        assert texts == sorted(texts, key=lambda text: int(text.split()[1]))


@pytest.mark.parametrize(("step", "state"), [("claimed", "sent"), ("begun", "sent")])
def test_a_worker_that_freezes_beyond_its_lease_sends_nothing_twice(
    desk: Desk, step: str, state: str
) -> None:
    chat = desk.conversation("ada")
    desk.post(chat, "one")
    desk.post(chat, "two")
    with DyingWorkers(desk, "SIGSTOP") as frozen, DyingWorkers(desk, "SIGKILL") as others:
        stopped = frozen.begin(step)
        wait_until(lambda: is_stopped(stopped), 20)
        other = others.begin("none")
        wait_until(lambda: "two" in desk.operator.texts("ada"), 20)
        os.kill(stopped, signal.SIGCONT)
        wait_until(lambda: set(desk.states().values()) == {state}, 20)
        for number in (stopped, other):
            os.kill(number, signal.SIGTERM)
        assert (frozen.read(), others.read()) == (0, 0)

    assert sorted(desk.operator.texts("ada")) == ["one", "two"]
    desk.settle()


def is_stopped(number: int) -> bool:
    """Return whether a process is stopped."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_a_worker_that_is_told_to_end_finishes_what_it_sends_and_gives_the_rest_back(
    desk: Desk,
) -> None:
    desk.operator.always(slow(2))
    for number in range(30):
        desk.post(desk.conversation(f"chat-{number}"), f"text {number}")
    with desk.worker() as worker:
        desk.operator.wait_for_requests(3)
        assert desk.count(Worker) == 1
        worker.terminate()
        assert worker.wait(20) == 0

    states = [*desk.states().values()]
    assert set(states) == {"sent", "queued"}
    assert states.count("sent") == len(desk.operator.accepted)
    assert desk.count(Worker) == 0
    with desk.app.app_context():
        assert set(db.session.scalars(select(Outbox.lease))) == {None}
    desk.operator.always(SERVE)
    with desk.worker():
        desk.operator.wait_for(30)
        desk.settle()
    assert not desk.operator.doubled


def test_a_dead_receiver_delays_no_other_conversation(desk: Desk) -> None:
    with Operator() as dead:
        with desk.app.app_context():
            desk.add_channel("dead", dead)
        dead.always(HANG)
        for number in range(30):
            desk.post(desk.conversation(f"chat-{number}", "dead"), f"never {number}")
        with desk.worker():
            dead.wait_for_requests(1)
            for number in range(30):
                desk.post(desk.conversation(f"chat-{number}"), f"text {number}")
            desk.operator.wait_for(30, timeout=10)
            assert len(dead.requests) < 12
            dead.always(answer(503))


def test_a_receiver_that_comes_back_gets_everything(desk: Desk) -> None:
    desk.operator.refuse()
    for number in range(20):
        desk.post(desk.conversation(f"chat-{number}"), f"text {number}")
    with desk.worker():
        wait_until(lambda: "refused" in (desk.folder / "worker.log").read_text(), 20)
        desk.operator.listen()
        desk.operator.wait_for(20, timeout=60)
        desk.settle()

    assert set(desk.states().values()) == {"sent"}
    assert not desk.operator.doubled


def test_two_workers_send_everything_once(desk: Desk) -> None:
    chats = [desk.conversation(f"chat-{number}") for number in range(20)]
    with desk.worker(), desk.worker():
        for number in range(10):
            for chat in chats:
                desk.post(chat, f"{chat} {number}")
        desk.settle()

    assert not desk.operator.doubled
    for number, chat in enumerate(chats):
        assert desk.operator.texts(f"chat-{number}") == [f"{chat} {n}" for n in range(10)]


class Tolerant(Operator):
    """A receiver that does not look at the time of a signature."""

    def is_signed(self, request: Request) -> bool:
        """Return that it is."""
        return True


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_loses_nothing(
    stopped_desk: Any, set_clock: Callable[[int], None], tmp_path: Path, hours: int
) -> None:
    with Tolerant() as operator:
        url = f"sqlite:///{tmp_path}/other.db"
        desk = Desk(url, tmp_path, operator)
        desk.settings = stopped_desk.settings | desk.settings
        chat = desk.conversation("ada")
        operator.always(answer(503))
        desk.post(chat, "before")
        with desk.worker():
            wait_until(lambda: "503" in (desk.folder / "worker.log").read_text(), 20)
            set_clock(hours)
            operator.always(SERVE)
            desk.post(chat, "after")
            operator.wait_for(2, timeout=60)
            set_clock(0)
            desk.post(chat, "again")
            operator.wait_for(3, timeout=60)
            desk.settle()
        close(desk)

    assert operator.texts("ada") == ["before", "after", "again"]


def test_a_worker_waits_for_a_database_that_is_away(tmp_path: Path) -> None:
    with postgres.running(("fsync=off",)) as url, Operator() as operator:
        desk = Desk(url, tmp_path, operator)
        chats = [desk.conversation(f"chat-{number}") for number in range(10)]
        with relay(make_url(url).port or 0) as network:
            behind = make_url(url).set(port=network.port).render_as_string(hide_password=False)
            with desk.worker(DATABASE_URL=behind):
                operator.always(slow(0.5))
                for _ in range(3):
                    for chat in chats:
                        desk.post(chat, f"{chat} {len(desk.posted)}")
                    time.sleep(0.7)
                    network.refuse()
                    time.sleep(2)
                    network.listen()
                    time.sleep(1)
                desk.settle()
        states = desk.states()
        close(desk)

    assert set(states.values()) == {"sent"}
    assert not operator.doubled
    assert len(operator.accepted) == len(desk.posted)
