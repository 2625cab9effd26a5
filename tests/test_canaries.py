"""Strings planted wherever a client's data can be are found nowhere after the erasure."""

import json
import secrets
import subprocess
from typing import Any

from sqlalchemy import Enum, String, Text

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.conversations.messages import Message
from omnidesk.db import Base, db
from omnidesk.personal_data.rows import TEXT_COLUMNS
from tests import postgres
from tests.conftest import Caller, make_channel, make_client, make_ticket, save

# Texts that say nothing of a client, by their tables; None for all of a table.
OTHERS: dict[str, set[str] | None] = {
    "app_user": None,
    "api_token": None,
    "session": None,
    "counter": None,
    "database_id": None,
    "rate_limit_window": None,
    "tag": None,  # words that many tickets share, and that are counted
    "ticket_tag": None,
    "ticket": {"tags"},
    "client": {"erasure"},
    "conversation": {"channel"},
    "identity": {"channel"},
    "source_row": {"source"},
    "channel": None,
    "outbox": {"lease"},
    "worker": None,
    "idempotency_key": {"route", "key", "fingerprint", "headers"},
    "webhook": None,
    "webhook_delivery": None,  # what went wrong, in our own words
}
# Texts of the erasure that are no columns of rows with texts.
COPIES = {
    "change": {"before", "after"},
    "idempotency_key": {"body"},
    "source_row": {"external_id"},
    "unsupported_update": {"body"},
}
FILLER = "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor. " * 12


def text_columns() -> dict[str, set[str]]:
    """Return the columns of all tables that can hold any text."""
    found: dict[str, set[str]] = {}
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if isinstance(column.type, String | Text) and not isinstance(column.type, Enum):
                found.setdefault(table.name, set()).add(column.name)
    return found


def test_it_is_decided_of_every_text_column_whether_an_erasure_empties_it() -> None:
    emptied = {entity.__tablename__: {*columns} for entity, columns in TEXT_COLUMNS.items()}
    undecided = {}
    for name, columns in text_columns().items():
        others = OTHERS.get(name, set())
        if others is None:
            continue
        table = Base.metadata.tables[name]
        made = {
            c.name
            for c in table.columns
            if {*c.info.get("derived", ("", ()))[1]} & emptied.get(name, set())
        }
        known = others | COPIES.get(name, set()) | emptied.get(name, set()) | made
        if columns != known:
            undecided[name] = columns ^ known

    assert undecided == {}


class Canaries:
    """Strings that occur nowhere else; none begins like another, as an index would shorten it."""

    def __init__(self) -> None:
        self.planted: list[str] = []

    def text(self) -> str:
        """Return another one."""
        self.planted.append(secrets.token_hex(8))
        return self.planted[-1]

    def number(self) -> str:
        """Return another one of digits."""
        self.planted.append(f"{secrets.randbelow(9 * 10**13) + 10**13}")
        return self.planted[-1]

    def found_in(self, content: bytes) -> list[str]:
        """Return those whose end occurs in bytes, in any case."""
        content = content.lower()
        return [text for text in self.planted if text[-10:].encode() in content]


def merge_clients(admin: Caller) -> None:
    """Merge the client 4 into 3, 3 into 2, and 2 into 1; delete two who are merged."""
    for number, into in ((4, 3), (3, 2), (2, 1)):
        admin.post(f"/api/clients/{number}/merge", json={"into": into})
        if number > 2:
            admin.delete(f"/api/clients/{number}")


def plant(admin: Caller, canaries: Canaries) -> None:
    """Plant them in a client's rows, in what these were before, and in what was deleted."""

    def send(method: str, path: str, **body: Any) -> Any:
        headers = {"Idempotency-Key": secrets.token_hex(8)} if method == "post" else {}
        answer = getattr(admin, method)(f"/api/{path}", json=body, headers=headers)
        assert answer.status_code in (200, 201), answer.json
        return answer.json

    text = canaries.text

    def client() -> dict[str, Any]:
        return {
            "full_name": f"Ada {text()}",
            "email": f"{text()}@example.com",
            "phone": f"+{canaries.number()}",
            "external_id": text(),
        }

    send("post", "clients", **client())
    send("patch", "clients/1", **client())
    for number in (2, 3, 4):
        send("post", "clients", **client())
        send("post", f"clients/{number}/identities", channel="old", external_user_id=text())
        admin.delete(f"/api/clients/{number}/identities/{number - 1}")
    merge_clients(admin)
    for _ in range(2):
        send("post", "clients/1/identities", channel="web", external_user_id=text())
    admin.delete("/api/clients/1/identities/4")
    moved = {"channel": "web", "external_user_id": text()}
    send("post", f"clients/{make_client().client_id}/identities", **moved)
    admin.post("/api/clients/1/identities", json=moved)
    send("post", "conversations", client_id=1, channel="web", external_chat_id=text())
    admin.post("/api/conversations/1/return")
    send("post", "conversations/1/handoff", reason=text(), note=text())
    for _ in range(2):
        meta = {text(): text()}
        message = {"content": f"Hi {text()}", "external_message_id": text(), "meta": meta}
        send("post", "conversations/1/messages", sender="client", **message)
    send("patch", "conversations/1/messages/2", content=text())
    answered = db.session.get_one(Message, 2)
    for _ in range(2):
        answered.set_delivery("failed", text())
        db.session.commit()
    channel_id = make_channel(channel="web").channel_id
    save(UnsupportedUpdate(channel_id=channel_id, message_id=2, body=text()))
    admin.delete("/api/conversations/1/messages/3")
    for number in (1, 2):
        send("post", "tickets", client_id=1, subject=text(), description=text() + FILLER)
        send("patch", f"tickets/{number}", subject=text(), description=text())
        at = dict.fromkeys(("start_time", "end_time"), "2025-11-01T15:00:00Z")
        send("post", "events", title=text(), description=text(), ticket_id=1, **at)
        send("post", "tickets/1/comments", body=text() + FILLER)
    send("patch", "tickets/2", description=None)
    send("patch", "events/1", title=text(), description=text())
    for number in (3, 4):  # which are the client's only later
        send("post", "events", title=text(), description=text(), **at)
        send("patch", f"events/{number}", ticket_id=1)
    send("patch", "comments/1", body=text())
    rows = [{"client_id": 1, "external_id": text(), "subject": text(), "status": "abierto"}]
    send("post", "imports/tickets", source="old", rows=rows)
    for number in (2, 4):
        admin.delete(f"/api/events/{number}")
    admin.delete("/api/comments/2")


def everything(database_url: str) -> bytes:
    """Return all bytes of SQLite's files, or what pg_dump writes."""
    if db.engine.name == "sqlite":
        path = database_url.removeprefix("sqlite:///")
        # Another process reads them: to close a file ends all locks that this one has on it.
        command = ["cat", path, f"{path}-wal"]
    else:
        command = [str(postgres.binaries() / "pg_dump"), "--dbname", database_url]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_no_canary_is_found_after_an_erasure(admin: Caller, database_url: str) -> None:
    canaries = Canaries()
    plant(admin, canaries)
    other = make_client()
    for number in range(40):
        make_ticket(other.client_id, subject=f"{number}", description=FILLER)
    assert canaries.found_in(everything(database_url)) == canaries.planted
    exported = admin.get("/api/clients/1/export").get_data()
    name = json.loads(exported.splitlines()[0])["row"]["full_name"]

    answer = admin.post("/api/clients/1/erase", json={"full_name": name})

    assert (answer.status_code, answer.json["finished"]) == (200, True)
    assert len(canaries.planted) > 40
    assert canaries.found_in(everything(database_url)) == []
