"""The process that erases a client is killed: the next request finishes what is half done."""

import signal
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from omnidesk.clients.models import Client
from omnidesk.conversations.messages import Message
from omnidesk.db import db, utcnow
from omnidesk.db.change_log import Change
from tests.conftest import Caller, make_client, make_conversation
from tests.faults.killed import run_python

MESSAGES = 300
SCRIPT = """
from omnidesk import create_app
from omnidesk.personal_data import erasing
from tests.faults.killed import kill_after
erasing.MAX_AT_ONCE, erasing.STEP, erasing.MAX_SECONDS = {at_once}, 2, 600
kill_after(erasing.Erasure, "{step}", {count})
with create_app().app_context():
    erasing.Erasure(erasing.find(1, "Ada Lovelace"), keep_comments=False).run()
"""


@pytest.fixture
def chat(app: Any) -> None:
    """A client with many messages."""
    make_client()
    conversation_id = make_conversation(client_id=1, external_chat_id="ada").conversation_id
    message = {"conversation_id": conversation_id, "sender": "client", "created_at": utcnow()}
    rows = [message | {"content": f"Ada {n}", "words": f" ada {n} "} for n in range(MESSAGES)]
    db.session.execute(insert(Message), rows)
    db.session.commit()


def erased() -> int:
    """Return how many messages are erased now."""
    count = select(func.count()).select_from(Message).where(Message.content == "***")
    found = int(db.session.scalar(count) or 0)
    db.session.rollback()
    return found


def erase_until_killed(
    environment: dict[str, str], step: str, count: int = 1, *, at_once: int
) -> None:
    """Erase in a process of its own, which is killed when a step has been done so often."""
    script = SCRIPT.format(step=step, count=count, at_once=at_once)
    run_python(signal.SIGKILL, environment, "-c", script)


@pytest.mark.usefixtures("chat")
@pytest.mark.parametrize(("step", "half"), [("commit", 40), ("note", 36)])
def test_what_a_killed_process_has_left_is_erased_by_the_next(
    admin: Caller, environment: dict[str, str], step: str, half: int
) -> None:
    erase_until_killed(environment, step, 20, at_once=0)
    assert erased() == half
    refused = admin.post("/api/tickets", json={"client_id": 1, "subject": "x"})
    told = [change.op for change in db.session.scalars(select(Change))]
    logged = db.session.scalar(
        select(func.count()).where(Change.entity == "message", Change.after.contains("***"))
    )
    db.session.rollback()

    answer = admin.post("/api/clients/1/erase", json={"full_name": "Ada Lovelace"})

    assert (logged, refused.status_code, "erased" in told) == (half, 409, False)
    assert (answer.status_code, answer.json["finished"], erased()) == (200, True, MESSAGES)
    assert answer.json["rows"]["message"] == MESSAGES - half
    texts = [f"{c.op} {c.before} {c.after}" for c in db.session.scalars(select(Change))]
    db.session.rollback()
    assert [text for text in texts if "Ada" in text] == []
    assert len([text for text in texts if text.startswith("erased")]) == 1


@pytest.mark.usefixtures("chat")
@pytest.mark.parametrize(
    ("step", "name", "count"),
    [("begin", "Ada Lovelace", 0), ("note", "Ada Lovelace", 0), ("commit", "***", MESSAGES)],
)
def test_a_small_client_is_erased_as_a_whole_or_not_at_all(
    admin: Caller, environment: dict[str, str], step: str, name: str, count: int
) -> None:
    erase_until_killed(environment, step, at_once=20_000)

    found = db.session.scalar(select(Client.full_name))
    db.session.rollback()

    assert (found, erased()) == (name, count)
    answer = admin.post("/api/clients/1/erase", json={"full_name": "Ada Lovelace"})
    assert (answer.json["finished"], erased()) == (True, MESSAGES)
