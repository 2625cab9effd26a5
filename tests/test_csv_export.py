"""Lists as CSV: the same rows as JSON, harmless in a spreadsheet, sent while they are read."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from flask import Flask
from sqlalchemy import insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from omnidesk.db import db, statements, utcnow
from omnidesk.events.models import Event
from omnidesk.http import csv_export
from omnidesk.sample_data import demo
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_event,
    make_ticket,
    make_user,
    on_postgresql,
    on_sqlite,
    recorded_statements,
)
from tests.relay import relay
from tests.servers import RawConnection, gunicorn
from tests.test_lists import links
from tests.test_openapi import document, operations

assert document  # a fixture

CSV = {"Accept": "text/csv"}


def rows_of(answer: Any) -> list[dict[str, str]]:
    """Return the rows of a file by the names of its columns."""
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
    return list(csv.DictReader(io.StringIO(answer.data.decode(), newline=""), strict=True))


def ids(answer: Any) -> list[int]:
    """Return the ids of the tickets in a file."""
    return [int(row["ticket_id"]) for row in rows_of(answer)]


TEXTS_OF_JSON = ("before", "after", "settings", "secrets")


def filled_cells(row: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the cells of a row of JSON by the names of their columns, but for empty ones."""
    found: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict) and name not in TEXTS_OF_JSON:
            found |= filled_cells(value, f"{prefix}{name}.")
        elif isinstance(value, bool | dict):
            found[prefix + name] = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        elif isinstance(value, list):
            found[prefix + name] = ",".join(value)
        elif value is not None:
            found[prefix + name] = str(value)
    return {name: cell for name, cell in found.items() if cell}


def is_required(parameter: dict[str, Any]) -> bool:
    """Return whether a query must have a parameter."""
    return bool(parameter["in"] == "query" and parameter.get("required"))


def list_addresses(document: Any) -> list[str]:
    """Return the address of every list of the demo, with all that it can include."""
    found = []
    for name, operation in operations(document).items():
        parameters = {each["name"]: each for each in operation["parameters"]}
        if "limit" in parameters:
            path = name.removeprefix("GET ")
            for each in operation["parameters"]:
                if each["in"] == "path":
                    path = path.replace(f"{{{each['name']}}}", str(each["schema"]["example"]))
            names = re.findall("`(.*?)`", str(parameters.get("include")))
            included = [each for each in names if each != "match"]
            query = {n: p["schema"]["example"] for n, p in parameters.items() if is_required(p)}
            if included:
                query["include"] = ",".join(included)
            found.append(f"{path}?{urlencode(query)}")
    return found


@pytest.fixture
def five_tickets(app: Flask) -> list[int]:
    """Five tickets of one client's, newest first."""
    client_id = make_client().client_id
    return [make_ticket(client_id).ticket_id for _ in range(5)][::-1]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two rows be read at once."""
    monkeypatch.setattr(csv_export, "MAX_PART", 2)


def test_every_list_has_the_same_rows_as_json_and_as_csv(app: Flask, document: Any) -> None:
    demo.add()
    admin = Caller(app, make_user("follower", role="admin"))
    make_client(full_name='Ñandú "Ñ", 🔑\r\nLtda.', phone="+573015550155")

    addresses = list_addresses(document)

    assert len(addresses) > 14
    for address in addresses:
        rows = admin.get(address).json
        cells = [
            {name: cell.removeprefix("'") for name, cell in row.items() if cell}
            for row in rows_of(admin.get(address, CSV))
        ]
        assert cells == [filled_cells(row) for row in rows], address
        assert rows, address


def test_the_columns_are_the_keys_and_those_of_related_rows(agent: Caller) -> None:
    make_ticket(subject="Hello, world", due_at=None)

    plain = agent.get("/api/tickets", CSV).data.decode().split("\r\n")
    related = agent.get("/api/tickets?include=assignee,etag", CSV).data.decode().split("\r\n")

    columns = ",".join(agent.get("/api/tickets").json[0])
    assert plain[0] == columns
    assert plain[1].startswith('1,1,"Hello, world",,media,abierto,2')
    assert plain[2:] == [""]
    users = ",".join(f"assignee.{key}" for key in ("user_id", "username", "full_name", "active"))
    assert related[0] == f"{columns},{users},etag"


def test_a_list_without_rows_has_its_columns(agent: Caller) -> None:
    assert agent.get("/api/tags", CSV).data == b"tag,tickets\r\n"


# What a spreadsheet would take for a formula, at least one of them with some setting.
FORMULAS = (
    *(
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t",
        "\r",
        "\n",
        " =1",
        "\u00a0=1",
        "\u200b-1",
        "\U000e0020=1",
    ),
    *("＝1", "＋1", "－1", "＠A", '"=1+1"', "'=1", "'"),
)
TEXTS = ("1=1", "a-b", "user@example.com", '"a"', " a", "Ñ", "…")


@on_sqlite
@pytest.mark.parametrize(
    ("text", "mark"), [*((t, "'") for t in FORMULAS), *((t, "") for t in TEXTS)]
)
def test_a_text_that_might_be_a_formula_is_made_harmless(
    agent: Caller, text: str, mark: str
) -> None:
    make_client(full_name=f"{text}x")

    (row,) = rows_of(agent.get("/api/clients", CSV))

    assert row["full_name"] == f"{mark}{text}x"


@on_sqlite
@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True),
        ("TEXT/CSV", True),
        ("text/*", True),
        ("text/csv, */*;q=0.1", True),
        ("application/json;q=0.8, text/csv", True),
        ("application/json;q=0, */*", True),
        ("text/csv; charset=UTF-8", True),
        ('text/csv;header=present;charset="utf-8";q=0.5', True),
        ("text/csv;header=absent", False),
        ("text/csv;charset=latin-1", False),
        ("text/csv, application/json", False),
        ("application/json; charset=utf-8, text/csv;q=0.9", False),
        ("text/csv;q=0, text/*, application/json;q=0.5", False),
        ("text/csv, */*", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("*/*", False),
        ("", False),
        ("text/csv;q=x", False),
        ("csv", False),
        (",;=/", False),
    ],
)
def test_the_accept_header_chooses(agent: Caller, accept: str, is_csv: bool) -> None:
    make_ticket()

    answer = agent.get("/api/tickets", {"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv" if is_csv else "application/json")
    assert {"Accept", "Prefer"} < set(answer.headers["Vary"].split(", "))


@pytest.mark.parametrize(
    ("path", "name"), [("/api/tickets", "tickets"), ("/api/me/sessions", "sessions")]
)
def test_a_file_has_the_name_of_its_list(agent: Caller, path: str, name: str) -> None:
    disposition = agent.get(path, CSV).headers["Content-Disposition"]

    assert disposition == f'attachment; filename="{name}.csv"'


def test_a_file_has_more_rows_than_a_page_of_json(agent: Caller) -> None:
    client_id = make_client().client_id
    rows = [{"client_id": client_id, "subject": "x", "priority": "baja", "status": "abierto"}] * 450
    db.session.execute(insert(Ticket), rows)
    db.session.commit()

    whole, part = agent.get("/api/tickets", CSV), agent.get("/api/tickets?limit=300", CSV)
    rest = agent.get(links(part)["next"], CSV)

    assert ids(whole) == list(range(450, 0, -1))
    assert (ids(part) + ids(rest), len(ids(rest))) == (ids(whole), 150)
    assert links(whole) == links(rest) == {}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_files_lead_from_one_to_the_next(
    agent: Caller, five_tickets: list[int], small_parts: None, limit: int
) -> None:
    found, url = [], f"/api/tickets?limit={limit}&status=abierto"
    while url:
        answer = agent.get(url, CSV)
        assert len(ids(answer)) in (limit, 5 % limit)
        found += ids(answer)
        url = links(answer).get("next", "")

    assert found == five_tickets


def test_a_file_begins_at_a_cursor_and_an_offset(
    agent: Caller, five_tickets: list[int], small_parts: None
) -> None:
    second = links(agent.get("/api/tickets?limit=1"))["next"].replace("limit=1", "limit=3")

    assert ids(agent.get(f"{second}&offset=1", CSV)) == five_tickets[2:5]
    assert ids(agent.get("/api/tickets?offset=1&limit=3", CSV)) == five_tickets[1:4]


def test_a_page_before_a_cursor_is_as_long_as_of_json(
    agent: Caller, five_tickets: list[int]
) -> None:
    third = agent.get(links(agent.get("/api/tickets?limit=2"))["next"])
    before = links(third)["prev"]

    assert ids(agent.get(before, CSV)) == five_tickets[:2]
    assert ids(agent.get(before.replace("limit=2", "limit=4"), CSV)) == five_tickets[:2]
    too_long = agent.get(before.replace("limit=2", "limit=201"), CSV)
    assert (too_long.status_code, list(too_long.json["errors"])) == (400, ["limit"])


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Let something happen when the end of a file is found, and most rows are yet to be read."""

    def after_the_end_is_found(act: Callable[[], Any]) -> None:
        find = csv_export.end_of

        def end_of(*args: Any) -> Any:
            found = find(*args)
            monkeypatch.setattr(csv_export, "end_of", find)
            act()
            return found

        monkeypatch.setattr(csv_export, "end_of", end_of)

    return after_the_end_is_found


HOURS = {title: utcnow() + timedelta(hours=n) for n, title in enumerate("abcdefgh")}


def make_hour(title: str) -> Event:
    """Store an event in the hour of its title."""
    return make_event(title=title, start_time=HOURS[title], end_time=HOURS[title])


def titles(answer: Any) -> str:
    """Return the titles of the events in a file."""
    return "".join(row["title"] for row in rows_of(answer))


def test_a_row_that_is_stored_meanwhile_pushes_no_other_out(
    agent: Caller, small_parts: None, meanwhile: Any
) -> None:
    for title in "abcefgh":
        make_hour(title)
    meanwhile(lambda: make_hour("d"))

    first = agent.get("/api/events?limit=5", CSV)
    second = agent.get(links(first)["next"], CSV)

    assert titles(first) + titles(second) == "abcdefgh"


@pytest.mark.parametrize("deleted", ["d", "e"])  # e is the last of five
def test_a_row_that_is_deleted_meanwhile_takes_no_other_with_it(
    admin: Caller, small_parts: None, meanwhile: Any, deleted: str
) -> None:
    events = {title: make_hour(title).event_id for title in "abcdefgh"}
    meanwhile(lambda: admin.delete(f"/api/events/{events[deleted]}"))

    first = admin.get("/api/events?limit=5", CSV)
    second = admin.get(links(first)["next"], CSV)

    assert set(titles(first) + titles(second)) == set("abcdefgh") - {deleted}
    assert len(titles(first)) <= 5 + 2, "it ends, though its last row is gone"


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/api/tickets?limit=10001", 400, "limit"),
        ("/api/tickets?limit=0", 400, "limit"),
        ("/api/tickets?cursor=x", 400, "cursor"),
        ("/api/tickets?stauts=abierto", 400, "stauts"),
        ("/api/tickets/7/comments", 404, None),
    ],
)
def test_an_error_is_json(agent: Caller, path: str, status: int, field: str | None) -> None:
    answer = agent.get(path, CSV)

    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert list(answer.json.get("errors", [None])) == [field]


def test_a_file_has_an_etag_of_its_own(agent: Caller, five_tickets: list[int]) -> None:
    as_json, as_csv = agent.get("/api/tickets"), agent.get("/api/tickets", CSV)
    had = {"If-None-Match": as_csv.headers["ETag"]}

    assert agent.get("/api/tickets", CSV | had).status_code == 304
    assert agent.get("/api/tickets", had).status_code == 200
    assert as_json.headers["ETag"] != as_csv.headers["ETag"]
    make_ticket()
    assert agent.get("/api/tickets", CSV | had).status_code == 200


@pytest.mark.usefixtures("five_tickets")
def test_a_file_of_a_stranger_may_lack_rows_for_others(agent: Caller, anybody: Caller) -> None:
    had = {"If-None-Match": anybody.get("/api/tickets", CSV).headers["ETag"]}

    assert agent.get("/api/tickets", CSV | had).status_code == 200
    assert anybody.get("/api/tickets", CSV | had).status_code == 304


def test_a_file_of_rows_whose_changes_nothing_tells_has_no_etag(agent: Caller) -> None:
    unconditional = agent.get("/api/me/sessions", CSV)

    assert "ETag" not in unconditional.headers
    assert agent.get("/api/me/sessions", CSV | {"If-None-Match": '"x"'}).status_code == 200
    assert agent.get("/api/me/sessions", CSV | {"If-Match": '"x"'}).status_code == 400


def test_the_total_is_counted_for_a_file_too(agent: Caller, five_tickets: list[int]) -> None:
    answer = agent.get("/api/tickets?limit=2", CSV | {"Prefer": "count=exact"})

    assert answer.headers["X-Total-Count"] == "5"
    assert answer.headers["Preference-Applied"] == "count=exact"
    assert len(ids(answer)) == 2


def test_a_head_request_has_the_same_headers_and_reads_no_more_than_the_first_rows(
    agent: Caller, five_tickets: list[int], small_parts: None
) -> None:
    got = agent.get("/api/tickets?limit=4", CSV)
    with recorded_statements() as run:
        head = agent.head("/api/tickets?limit=4", CSV)

    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Disposition", "Link", "ETag", "Vary"):
        assert head.headers[name] == got.headers[name], name
    assert len([sql for sql in run if "FROM ticket" in sql]) == 2


@pytest.fixture
def failing_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let so many statements that read tickets run, and no more."""
    run = statements.run

    def fail_after(number: int) -> None:
        left = iter(range(number))

        def failing(engine: Any, sql: str, arguments: Any) -> Any:
            if "FROM ticket" in sql and next(left, None) is None:
                raise DBAPIError(sql, None, Exception("gone"))
            return run(engine, sql, arguments)

        monkeypatch.setattr(statements, "run", failing)

    return fail_after


def test_a_database_that_fails_at_the_beginning_is_503(
    agent: Caller, five_tickets: list[int], failing_after: Any
) -> None:
    failing_after(0)

    answer = agent.get("/api/tickets", CSV)

    assert (answer.status_code, answer.json) == (503, {"detail": "Service Unavailable"})


def test_a_database_that_fails_in_the_middle_ends_no_file(
    agent: Caller, five_tickets: list[int], small_parts: None, failing_after: Any
) -> None:
    failing_after(2)

    with pytest.raises(BrokenPipeError):
        agent.get("/api/tickets", CSV)


@on_postgresql
def test_a_transfer_breaks_off_where_the_database_is_lost(
    app: Flask, environment: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    client_id, user = make_client().client_id, make_user()
    row = {"client_id": client_id, "subject": "x", "priority": "baja", "status": "abierto"}
    db.session.execute(insert(Ticket), [row | {"description": "x" * 20_000}] * 1000)
    db.session.commit()
    with relay(int(make_url(database_url).port or 0)) as network:
        url = make_url(database_url).set(port=network.port).render_as_string(hide_password=False)
        with (
            gunicorn(environment | {"DATABASE_URL": url}, tmp_path) as address,
            RawConnection(address) as line,
        ):
            login = {"username": user.username, "password": PASSWORD}
            token = requests.post(f"{address}/api/login", json=login, timeout=30).json()
            bearer = f"Authorization: Bearer {token['access_token']}"
            head = f"GET /api/tickets HTTP/1.1\r\nHost: a\r\nAccept: text/csv\r\n{bearer}\r\n\r\n"
            line.send(head.encode())
            line.receive(b"ticket_id,")
            network.refuse()
            received = line.receive()

    assert b"Transfer-Encoding: chunked" in received
    assert 20_000 < len(received) < 20_000_000, "it began and did not end"
    assert not received.endswith(b"0\r\n\r\n"), "the last chunk"
    log = (tmp_path / "gunicorn.log").read_text()
    assert "The database does not answer" in log
    assert "Traceback" not in log


def test_strangers_get_no_more_rows_than_as_json(anybody: Caller) -> None:
    refused = anybody.get("/api/tickets?limit=201", CSV)

    assert (refused.status_code, [*refused.json["errors"]]) == (400, ["limit"])
    assert rows_of(anybody.get("/api/tickets?limit=200", CSV)) == []
