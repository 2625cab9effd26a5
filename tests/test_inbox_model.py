"""The inbox against a plain model of it, after every step of random histories."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import (
    Caller,
    check_running_totals,
    make_client,
    make_conversation,
    make_messages,
    make_user,
)

CHATS = 2
EARLIER = 126  # messages, in all chats but the first: the totals of 128 are kept
ACTIONS = ("client", "user", "bot", "note", "read", "unread", "takeover", "handoff", "return")
STEPS = st.tuples(
    st.integers(0, CHATS - 1),
    st.sampled_from((*ACTIONS, "close", "open", "assign", "release", "delete", "merge")),
    st.integers(1, 9),  # which message, counted from the last
    st.booleans(),  # which of two people
)


@dataclass
class Chat:
    """What a conversation should show."""

    number: int
    client_id: int
    moved: int  # when it moved to the top of the list: at which step of all
    senders: dict[int, str] = field(default_factory=dict)  # of all but notes, by message
    read_up_to: int = 0
    assigned_to: int | None = None
    active: bool = True
    by_bot: bool = False
    turn: int = 0

    @property
    def unread(self) -> int:
        """How many messages of the client follow the last that was read."""
        return sum(sender == "client" for n, sender in self.senders.items() if n > self.read_up_to)

    @property
    def waiting_for(self) -> int | None:
        """The first message of the client since the last answer."""
        answered = max((n for n, sender in self.senders.items() if sender != "client"), default=0)
        return min((n for n in self.senders if n > answered), default=None)

    def hand_over(self, *, to_bot: bool) -> None:
        """Count a change of hands."""
        self.turn += self.by_bot != to_bot
        self.by_bot = to_bot


class Desk:
    """A desk and its model, which take the same steps."""

    def __init__(self, people: list[Caller]) -> None:
        self.people = people
        new = (make_conversation() for _ in range(CHATS))
        self.chats = [Chat(row.conversation_id, row.client_id, n) for n, row in enumerate(new)]
        self.ids: dict[int, list[int]] = {chat.number: [] for chat in self.chats}
        for chat in self.chats[1:]:
            self.ids[chat.number] = make_messages(chat.number, *["client"] * EARLIER)
            chat.senders = dict.fromkeys(self.ids[chat.number], "client")

    def take(self, chat: Chat, action: str, which: int, caller: Caller) -> None:
        """Take a step on both sides; the answers are as the model expects."""
        path, ids = f"/api/conversations/{chat.number}", self.ids[chat.number]
        message_id = ids[max(-which, -len(ids))] if ids else None
        if action in ("client", "user", "bot", "note"):
            self.say(chat, action, path, caller)
        elif action in ("read", "unread", "delete") and message_id is not None:
            self.mark(chat, action, path, message_id, caller)
        elif action in ("takeover", "handoff", "return"):
            assert caller.post(f"{path}/{action}", **self.body(action)).status_code == 200
            chat.hand_over(to_bot=action == "return")
            if action == "takeover":
                chat.assigned_to = chat.assigned_to or caller.user.user_id
        elif action == "merge":
            self.merge(chat.client_id, caller)
        elif action in ("close", "open", "assign", "release"):
            if (action, chat.active) in (("close", True), ("open", False)):
                self.move(chat)
            chat.active = action != "close" and (action == "open" or chat.active)
            if action in ("assign", "release"):
                chat.assigned_to = caller.user.user_id if action == "assign" else None
            body = {"active": chat.active, "assigned_to": chat.assigned_to}
            assert caller.patch(path, json=body).status_code == 200

    def move(self, chat: Chat) -> None:
        """Let a conversation be the first of the list."""
        chat.moved = 1 + max(each.moved for each in self.chats)

    def merge(self, client_id: int, caller: Caller) -> None:
        """Merge a client into that of another conversation, or into a new one."""
        others = [chat.client_id for chat in self.chats if chat.client_id != client_id]
        into = others[0] if others else make_client().client_id
        merged = caller.post(f"/api/clients/{client_id}/merge", json={"into": into})
        assert (merged.status_code, merged.json["merged_into"]) == (200, into)
        for chat in self.chats:
            chat.client_id = into if chat.client_id == client_id else chat.client_id

    @staticmethod
    def body(action: str) -> dict[str, Any]:
        """Return what is sent with an action."""
        return {"json": {}} if action == "handoff" else {}

    def say(self, chat: Chat, action: str, path: str, caller: Caller) -> None:
        """Post a message."""
        body = {"content": "x", "sender": "user" if action == "note" else action}
        body["kind"] = "note" if action == "note" else "text"
        answer = caller.post(f"{path}/messages", json=body)
        if not chat.active or (action == "bot" and not chat.by_bot):
            assert answer.status_code == 409
            return
        assert answer.status_code == 201
        number = answer.json["message_id"]
        self.ids[chat.number].append(number)
        if action == "note":
            return
        self.move(chat)
        chat.senders[number] = action
        if action == "user":
            chat.read_up_to = number
            chat.hand_over(to_bot=False)
            chat.assigned_to = chat.assigned_to or caller.user.user_id

    def mark(self, chat: Chat, action: str, path: str, number: int, caller: Caller) -> None:
        """Mark messages as read or unread, or delete one, which counts on."""
        if action == "read":
            sent = caller.post(f"{path}/read", json={"up_to_message_id": number})
            chat.read_up_to = max(chat.read_up_to, number)
        elif action == "unread":
            sent = caller.post(f"{path}/unread", json={"from_message_id": number})
            before = max((n for n in self.ids[chat.number] if n < number), default=0)
            chat.read_up_to = min(chat.read_up_to, before)
        else:
            sent = caller.delete(f"{path}/messages/{number}")
        assert sent.status_code == (204 if action == "delete" else 200)

    def check(self) -> None:
        """Compare what is shown with the model."""
        caller = self.people[0]
        ours = f"/api/conversations?conversation_id={','.join(map(str, self.ids))}"
        shown = {row["conversation_id"]: row for row in caller.get(ours).json}
        assert [*shown] == self.order(lambda chat: -chat.moved)
        for chat in self.chats:
            check_running_totals(chat.number)
            row, number = shown[chat.number], chat.waiting_for
            message = f"/api/conversations/{chat.number}/messages/{number}"
            assert row == row | {
                "client_id": chat.client_id,
                "unread_count": chat.unread,
                "read_up_to": chat.read_up_to or None,
                "waiting_since": number and caller.get(message).json["created_at"],
                "assigned_to": chat.assigned_to,
                "active": chat.active,
                "handled_by_bot": chat.by_bot,
                "turn": chat.turn,
            }
        waiting = caller.get(f"{ours}&waiting=true&sort=waiting_since").json
        by_time = self.order(lambda chat: chat.waiting_for)
        assert [row["conversation_id"] for row in waiting] == by_time
        summary = caller.get("/api/summary").json
        unread = caller.get("/api/conversations?unread=true&limit=200").json
        assert summary["unread_messages"] == sum(row["unread_count"] for row in unread)
        for name, query in (("waiting", "waiting=true"), ("unassigned", "assigned_to=none")):
            found = caller.get(f"/api/conversations?active=true&limit=200&{query}").json
            assert summary["conversations"][name] == len(found)

    def order(self, key: Callable[[Chat], int | None]) -> list[int]:
        """Return the numbers of the conversations that have this key, in its order."""
        found = [(value, chat.number) for chat in self.chats if (value := key(chat)) is not None]
        return [number for _, number in sorted(found)]


@pytest.fixture
def people(admin: Caller) -> list[Caller]:
    """Two admins, who may speak for clients and bots, too."""
    return [admin, Caller(admin.app, make_user("other", role="admin"))]


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=6, max_size=14))
def test_the_inbox_is_as_its_model_after_every_step(people: list[Caller], steps: Any) -> None:
    desk = Desk(people)

    for number, action, which, other in steps:
        desk.take(desk.chats[number], action, which, people[other])
        desk.check()
