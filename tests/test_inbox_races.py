"""Concurrent answers and marks, on four workers: nobody answers over somebody."""

from typing import Any

from tests.conftest import (
    Caller,
    check_running_totals,
    make_conversation,
    make_message,
    make_messages,
    reload,
)
from tests.servers import run_concurrently
from tests.test_races import ask


def test_no_bot_answers_after_a_user_has_taken_over(four_workers: str, admin: Caller) -> None:
    for _ in range(10):
        conversation = make_conversation(handled_by_bot=True)
        url = f"{four_workers}/api/conversations/{conversation.conversation_id}"

        def say(n: int, url: str = url) -> Any:
            body = {"content": "Hello", "sender": "user" if n == 2 else "bot"}
            return ask("POST", f"{url}/messages", admin, body)

        answers = run_concurrently(5, say)

        assert {answer.status_code for answer in answers} <= {201, 409}
        stored = [row["sender"] for row in ask("GET", f"{url}/messages", admin).json()]
        assert stored[-1] == "user"
        assert stored.count("bot") == sum(answer.status_code == 201 for answer in answers) - 1
        assert ask("GET", url, admin).json()["turn"] == 1


def test_one_of_two_who_have_seen_the_same_answers(
    four_workers: str, agent: Caller, admin: Caller
) -> None:
    for _ in range(10):
        conversation = make_conversation()
        seen = make_message(conversation).message_id
        url = f"{four_workers}/api/conversations/{conversation.conversation_id}/messages"

        def answer(n: int, url: str = url, seen: int = seen) -> int:
            body = {"content": "Hello", "after_message_id": seen}
            return int(ask("POST", url, (agent, admin)[n], body).status_code)

        assert sorted(run_concurrently(2, answer)) == [201, 409]


def test_a_read_hides_no_message_that_arrives_meanwhile(four_workers: str, admin: Caller) -> None:
    for _ in range(10):
        conversation = make_conversation()
        last = make_message(conversation).message_id
        url = f"{four_workers}/api/conversations/{conversation.conversation_id}"
        calls = [
            (f"{url}/read", {"up_to_message_id": last}),
            *[(f"{url}/messages", {"sender": "client", "content": "And?"})] * 3,
        ]

        def call(n: int, calls: list[Any] = calls) -> int:
            return int(ask("POST", calls[n][0], admin, calls[n][1]).status_code)

        assert sorted(run_concurrently(4, call)) == [200, 201, 201, 201]
        assert reload(conversation).unread_count == 3


def test_marks_count_right_while_the_client_writes(four_workers: str, admin: Caller) -> None:
    for _ in range(5):
        conversation = make_conversation()
        ids = make_messages(conversation.conversation_id, *["client"] * 124)
        url = f"{four_workers}/api/conversations/{conversation.conversation_id}"
        marks = [("read", "up_to_message_id", ids[99]), ("unread", "from_message_id", ids[49])]
        calls: list[Any] = [(f"{url}/{name}", {field: n}) for name, field, n in marks] * 2
        calls += [(f"{url}/messages", {"sender": "client", "content": "And?"})] * 8

        def call(n: int, calls: list[Any] = calls) -> int:
            return int(ask("POST", calls[n][0], admin, calls[n][1]).status_code)

        assert sorted(run_concurrently(12, call)) == [*[200] * 4, *[201] * 8]
        check_running_totals(conversation.conversation_id)
        read_up_to = reload(conversation).read_up_to or 0
        all_ids = [
            row["message_id"] for row in ask("GET", f"{url}/messages?limit=200", admin).json()
        ]
        assert reload(conversation).unread_count == sum(n > read_up_to for n in all_ids)
