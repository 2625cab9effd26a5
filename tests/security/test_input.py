"""Input: valid values are stored exactly, and invalid ones are refused by field, never with 500."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import make_event
from tests.security.conftest import EVENT, TICKET, USER, Desk

JSON = {"Content-Type": "application/json"}
TIMES = (
    "2025-11-01T15:00:00",
    "2025-02-30T15:00:00Z",
    "2025-11-01T24:00:00Z",
    "2016-12-31T23:59:60Z",
    "2025-11-01T15:00:00+99:99",
    "9999-12-31T23:59:59-23:59",
    1761750000,
)
FAULTS = (
    *(("tickets", "client_id", value) for value in (0, -1, True, "1", 1.0, None)),
    *(("tickets", "client_id", value) for value in (2**31, 2**63, -(2**63) - 1, 10**4000)),
    *(("tickets", "subject", value) for value in ("", "  ", "\u200b", "a\x00", "\ud800", None, 7)),
    *(("tickets", "subject", value) for value in ("x" * 999, "🔑" * 999, "e\u0301" * 500)),
    *(("tickets", "description", value) for value in ("x" * 65_537, "\ud800", "\x00")),
    *(("tickets", "priority", value) for value in ("ALTA", "alta ", "urgent", 1, None, ["alta"])),
    ("tickets", "status", "open"),
    ("tickets", "subjekt", "x"),
    *(("events", "start_time", value) for value in TIMES),
    *(("events", "end_time", value) for value in ("2025-11-01T14:59:59Z", "2035-11-01T15:00:00Z")),
    *(("users", "username", value) for value in ("ana ", "ａｎａ", "jose\u0301", "аna", "a\nb")),
    *(("users", "username", value) for value in ("a\u202eb", "\ud800", "ab", "x" * 65)),
    *(("users", "email", value) for value in ("a@b", "x" * 300 + "@example.com", '"a b"@x.org')),
    *(("users", "email", value) for value in ("a@example.com\r\nBcc: b@example.com", "")),
)
WHOLE: dict[str, dict[str, Any]] = {"tickets": TICKET, "events": EVENT, "users": USER}


@pytest.mark.parametrize(("path", "field", "value"), FAULTS, ids=lambda value: repr(value)[:40])
def test_a_field_with_a_fault(desk: Desk, path: str, field: str, value: Any) -> None:
    answer = desk.send("POST", f"/api/{path}", WHOLE[path] | {field: value}, "admin")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-0", "1e400", "1e2", "9" * 5000])
def test_a_number_that_is_no_whole_one(desk: Desk, number: str) -> None:
    body = f'{{"subject":"Help","client_id":{number}}}'

    answer = desk.ask("POST", "/api/tickets", data=body, headers=JSON)

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) in (["client_id"], ["_schema"])


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"", b"null", b"[]", b'"x"', b"1", b"[" * 100_000),
        b'\xef\xbb\xbf{"subject":"a"}',
        '{"subject":"a"}'.encode("utf-16"),
        '{"subject":"ñ"}'.encode("latin-1"),
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_body_that_is_no_object(desk: Desk, body: bytes) -> None:
    answer = desk.ask("POST", "/api/tickets", data=body, headers=JSON)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["_schema"])


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("events", "start=2025-11-01T00:00:00+02:00", "start"),
        ("events", "start=2025-11-01T00:00:00", "start"),
        *(("users", f"active={value}", "active") for value in ("yes", "TRUE", "on", "2", "")),
        ("tickets", "status=abierto;drop", "status"),
        ("tickets", "client_id=1 OR 1=1", "client_id"),
        ("tickets", "client_id=1;drop", "client_id"),
        ("tickets", "tag=%25", "tag"),
        ("tickets", "offset=-1", "offset"),
        ("tickets", f"offset={2**63}", "offset"),
        ("tickets", "limit=201", "limit"),
        ("tickets", "limit=1&limit=2", "limit"),
        ("tickets", "cursor=zz", "cursor"),
        ("tickets", "%ED%A0%80=1", "\\udced\\udca0\\udc80"),
        ("tickets", "%FF=1&%FF=2", "\\udcff"),
        ("summary", "%FF=1", "\\udcff"),
        *(("clients", f"q={value}", "q") for value in ("%ED%A0%80", "a%FF", "%C3", "%C0%80")),
        ("clients", "external_id=%FF", "external_id"),
        ("clients", "q=%00", "q"),
    ],
)
def test_a_query_with_a_fault(desk: Desk, path: str, query: str, field: str) -> None:
    answer = desk.ask("GET", f"/api/{path}?{query}")

    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field])
    if query.endswith("+02:00"):
        assert "%2B" in answer.text


@pytest.mark.parametrize("value", ["true", "1", "false", "0"])
def test_a_truth_value(desk: Desk, value: str) -> None:
    found = desk.ask("GET", f"/api/users?active={value}").json()

    assert len(found) == (2 if value in ("true", "1") else 0)


@pytest.mark.parametrize("text", ["x%", "x_", "x\\", "' OR 1=1 --", "1;drop table client"])
def test_a_text_to_look_for_means_itself_only(desk: Desk, text: str) -> None:
    assert desk.ask("GET", "/api/clients", params={"q": text}).json() == []

    made = desk.ask("POST", "/api/clients", json={"full_name": f"a {text} b"}).json()

    assert desk.ask("GET", "/api/clients", params={"q": text}).json() == [made]


@pytest.mark.parametrize("unit", ["x", "ñ", "🔑", "e\u0301", "👩‍🔧"])
def test_a_text_may_be_as_long_as_it_may_be(desk: Desk, unit: str) -> None:
    longest = {"subject": (unit * 998)[:998], "description": (unit * 65_536)[:65_536]}

    made = desk.ask("POST", "/api/tickets", json=TICKET | longest)

    assert made.status_code == 201
    assert longest.items() <= desk.ask("GET", made.headers["Location"]).json().items()


@pytest.mark.parametrize("more", [{}, {"description": None}, {"description": ""}])
def test_a_ticket_needs_no_description(desk: Desk, more: Any) -> None:
    answer = desk.ask("POST", "/api/tickets", json=TICKET | more)

    assert (answer.status_code, answer.json()["description"]) == (201, more.get("description"))


@pytest.mark.parametrize(
    "text",
    [
        *("<script>alert(1)</script>", "=cmd()", "{{7*7}} ${7*7}", "%s%n", "\u2028🔑ñ", "a\u202eb"),
        *("a\r\n12:00:00 INFO forged", "\x1b[31m", str(2**53 + 1)),
    ],
)
def test_a_text_is_given_back_byte_by_byte(desk: Desk, text: str) -> None:
    made = desk.ask("POST", "/api/tickets", json=TICKET | {"subject": text})

    assert made.status_code == 201
    shown = desk.ask("GET", made.headers["Location"])
    assert shown.json()["subject"] == text
    assert shown.headers["X-Content-Type-Options"] == "nosniff"


def test_one_name_is_one_user_in_any_case(desk: Desk) -> None:
    names = ("ana", "ANA", "aNa")
    answers = [desk.ask("POST", "/api/users", "admin", json=USER | {"username": n}) for n in names]
    mails = [
        desk.ask("POST", "/api/users", "admin", json=USER | {"username": f"new{n}", "email": mail})
        for n, mail in enumerate(("a@example.com", "A@Example.com", None, None))
    ]

    assert [answer.status_code for answer in answers] == [201, 409, 409]
    assert [answer.status_code for answer in mails] == [201, 409, 201, 201]
    assert list(mails[1].json()["errors"]) == ["email"]


@pytest.mark.parametrize(
    "given",
    [
        *("2025-11-01T17:30:00+02:00", "2025-11-01T10:30:00-05:00", "2025-11-01 15:30:00Z"),
        *("20251101T153000Z", "2025-11-01T15:30:00.999999999Z"),
    ],
)
def test_a_time_is_the_same_instant_in_utc(desk: Desk, given: str) -> None:
    made = desk.ask("POST", "/api/events", json=EVENT | {"end_time": given})

    assert made.status_code == 201
    shown = desk.ask("GET", made.headers["Location"]).json()
    assert shown["end_time"] == "2025-11-01T15:30:00Z"


def test_a_window_holds_what_begins_and_ends_with_it(desk: Desk) -> None:
    start, end = EVENT["start_time"], EVENT["end_time"]
    same = EVENT | {"end_time": start}
    for event in (EVENT, same):
        assert desk.ask("POST", "/api/events", json=event).status_code == 201
    make_event()

    inside = desk.ask("GET", f"/api/events?start={start}&end={end}").json()
    inverted = desk.ask("GET", f"/api/events?start={end}&end={start}").json()

    assert [event["end_time"] for event in inside] == [end, start]
    assert inverted == []


def test_a_page_past_the_end_is_empty(desk: Desk) -> None:
    assert desk.ask("GET", f"/api/tickets?offset={10**12}").json() == []


def test_no_old_row_is_missed_or_seen_twice_while_new_ones_come(desk: Desk) -> None:
    for _ in range(60):
        desk.ask("POST", "/api/clients", json={"full_name": "Ada"})

    seen: list[int] = []
    for offset in (0, 20, 40, 60):
        page = desk.ask("GET", f"/api/clients?limit=20&offset={offset}").json()
        seen += [client["client_id"] for client in page]
        desk.ask("POST", "/api/clients", json={"full_name": "Bob"})

    assert seen[:61] == list(range(1, 62))
    assert len(desk.ask("GET", "/api/clients").json()) == 50


@pytest.mark.parametrize("size", [2**20 + 1, 20 * 2**20])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(desk: Desk, size: int, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(-(-size // 65536)):
            yield b" " * 65536

    body = pieces() if chunked else b" " * size
    answer = desk.ask("POST", "/api/tickets", data=body, headers=JSON)

    assert (answer.status_code, answer.json()) == (413, {"detail": "Request Entity Too Large"})


def test_a_body_of_70_kilobytes_is_read(desk: Desk) -> None:
    answer = desk.ask("POST", "/api/tickets", json=TICKET | {"description": "x" * 70_000})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["description"])
