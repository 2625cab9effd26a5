"""Files of other systems: as people's programs write them, each row stored once."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from omnidesk.operations.transfer import import_file
from tests.conftest import Caller, make_client, make_ticket, on_sqlite
from tests.test_cli import run

HEADER = "external_id,full_name,email,active,created_at"
ROW = "1,Ada Lovelace,ada@example.com,no,2019-03-04T09:12:00Z"
AT = "2019-03-04T09:12:00Z"


@pytest.fixture
def bring(app: Any, tmp_path: Path) -> Any:
    """Import a file with this content, and return what the command says."""

    def run_command(content: str | bytes, *options: str, entity: str = "clients") -> Any:
        file = tmp_path / "old"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        form = [] if "--from" in options else ["--from", "csv"]
        command = ["import", str(file), *form, "--entity", entity, "--source", "old", "--json"]
        result = run(app, *command, *options)
        if result.exit_code == 2:
            return result
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return json.loads(result.stdout) | {"exit": result.exit_code}

    return run_command


def refused(tmp_path: Path) -> list[str]:
    """Return the lines of the file of refused rows."""
    return (tmp_path / "old.refused.csv").read_text().splitlines()


def names(admin: Caller) -> list[str]:
    """Return the names of all clients."""
    return [client["full_name"] for client in admin.get("/api/clients").json]


def test_clients_are_brought_along(admin: Caller, bring: Any, tmp_path: Path) -> None:
    found = bring(f"{HEADER}\n{ROW}\n2,Alan,,,\n")

    assert found == {"created": 2, "unchanged": 0, "refused": 0, "refused_file": None, "exit": 0}
    client = admin.get("/api/clients/1").json
    assert (client["active"], client["created_at"], client["external_id"]) == (False, AT, "1")
    assert not (tmp_path / "old.refused.csv").exists()


TEXT = f"{HEADER}\n1,José “Pepe” García,,,\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("windows-1252"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace(",", ";").encode(),
        TEXT.replace(",", "\t").encode(),
        TEXT.replace("\n", ",,\n").encode(),
        TEXT.replace("José “Pepe” García", '"José “Pepe” García"').encode(),
        TEXT.rstrip().encode(),
        TEXT.replace("\n", "\n\n").encode(),
    ],
    ids=lambda content: repr(content[-24:]),
)
@on_sqlite
def test_files_are_read_as_people_have_them(admin: Caller, bring: Any, content: bytes) -> None:
    assert bring(content)["created"] == 1

    assert names(admin) == ["José “Pepe” García"]


@on_sqlite
def test_an_encoding_can_be_named(admin: Caller, bring: Any) -> None:
    content = f"{HEADER}\n1,Łukasz,,,\n".encode("iso-8859-2")

    bring(content, "--encoding", "iso-8859-2")

    assert names(admin) == ["Łukasz"]


@on_sqlite
def test_quotes_hold_line_ends_and_commas(admin: Caller, bring: Any) -> None:
    make_ticket()
    row = '1,1,admin1@example.com,"Said:\r\n""yes, but"""'

    bring(f"external_id,ticket_id,user_email,body\r\n{row}\r\n", entity="comments")

    assert admin.get("/api/comments/1").json["body"] == 'Said:\r\n"yes, but"'


def test_refused_rows_are_listed_by_line_field_and_reason(bring: Any, tmp_path: Path) -> None:
    content = f'{HEADER}\n{ROW}\n2,"Two\nlines",bad,,\n3,,,,\n4,=Four,,,,,more\n'

    found = bring(content)

    assert (found["created"], found["refused"], found["exit"]) == (1, 3, 1)
    header, *lines = refused(tmp_path)
    assert header == "line,external_id,field,reason"
    assert [line.split(",")[:3] for line in lines] == [
        ["3", "2", "email"],
        ["5", "3", "full_name"],
        ["6", "4", "_schema"],
    ]
    assert (tmp_path / "old.refused.csv").stat().st_mode & 0o777 == 0o600


@on_sqlite
def test_a_quote_that_is_not_closed_hides_no_rows(
    admin: Caller, bring: Any, tmp_path: Path
) -> None:
    found = bring('external_id,full_name\n1,Ada\n2,"Grace\n3,Alan\n')

    assert (found["created"], found["refused"]) == (1, 1)
    assert names(admin) == ["Ada"]
    assert refused(tmp_path)[1].startswith("3,2,_schema,A quote is not closed")


@on_sqlite
def test_columns_with_one_name_are_refused_where_both_have_a_value(
    admin: Caller, bring: Any, tmp_path: Path
) -> None:
    chosen = tmp_path / "map.json"
    chosen.write_bytes('{"Móvil": "phone", "Phone": "phone"}'.encode("cp1252"))
    content = "external_id,full_name,Phone,Móvil\n1,Ada,1,2\n2,Alan,,2\n3,Grace,3,\n"

    bring(content, "--map", str(chosen))

    assert [client["phone"] for client in admin.get("/api/clients").json] == ["2", "3"]
    assert refused(tmp_path)[1] == "2,1,_schema,Several columns are phone."


@on_sqlite
@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"external_id,full_name\n1,Ada \x81\n", ()),
        (b"external_id,full_name\n1,Jos\xe9\n", ("--encoding", "utf-8")),
        (b"external_id,full_name\n1,Ada\n", ("--encoding", "utf-16")),
    ],
)
def test_a_file_in_another_encoding_is_told_in_a_line(
    app: Any, tmp_path: Path, content: bytes, options: tuple[str, ...]
) -> None:
    file = tmp_path / "old"
    file.write_bytes(content)
    command = ("import", str(file), "--from", "csv", "--entity", "clients", "--source", "old")

    result = run(app, *command, *options)

    assert result.exit_code == 1
    assert "name its --encoding." in result.output.splitlines()[-1]


@on_sqlite
def test_no_other_file_is_replaced_by_the_list_of_refused_rows(bring: Any, tmp_path: Path) -> None:
    own, other = tmp_path / "old", tmp_path / "mine"
    other.write_text("important")
    content = f"{HEADER}\n{ROW}\n2,,,,\n"

    for path in (own, other, Path("/dev/full")):
        result = bring(content, "--refused", str(path))
        assert result.exit_code == 2
        assert f"{path} is there already" in result.output
    for _ in range(2):
        bring(content, "--refused", str(tmp_path / "list"))

    assert (own.read_text(), other.read_text()) == (content, "important")
    assert len((tmp_path / "list").read_text().splitlines()) == 2


def test_a_repeat_changes_nothing_and_takes_what_was_mended(admin: Caller, bring: Any) -> None:
    bring(f"{HEADER}\n{ROW}\n2,,,,\n")

    found = bring(f"{HEADER}\n{ROW}\n2,Alan,,,\n")

    assert (found["created"], found["unchanged"], found["refused"]) == (1, 1, 0)
    assert names(admin) == ["Ada Lovelace", "Alan"]


def test_a_dry_run_stores_nothing(admin: Caller, bring: Any) -> None:
    found = bring(f"{HEADER}\n{ROW}\n2,,,,\n", "--dry-run")

    assert (found["created"], found["refused"]) == (1, 1)
    assert names(admin) == []


@on_sqlite
def test_columns_are_named_by_a_map(admin: Caller, bring: Any, tmp_path: Path) -> None:
    chosen = tmp_path / "map.json"
    chosen.write_text(json.dumps({"Nr": "external_id", "Name": "full_name", "Fax": None}))

    bring("Nr,Name,Fax\n1,Ada,555\n", "--map", str(chosen))

    assert names(admin) == ["Ada"]


@on_sqlite
def test_times_without_an_offset_are_in_the_time_zone(admin: Caller, bring: Any) -> None:
    bring(f"{HEADER}\n1,Ada,,,2019-03-04 04:12\n", "--time-zone", "America/Bogota")

    assert admin.get("/api/clients/1").json["created_at"] == AT


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ("external_id,full_nam\n1,Ada\n", (), "Did you mean 'full_name'?"),
        ("external_id,external_id\n", (), "external_id"),
        ("", (), "the first line must name the columns"),
        (",a\n", (), "(no name)"),
        ("a" * 2_000_000, (), "the first line is not CSV"),
        (HEADER, ("--encoding", "klingon"), "klingon"),
        (HEADER, ("--encoding", "undefined"), "undefined"),
        (HEADER, ("--time-zone", "Nowhere"), "Nowhere"),
        (HEADER, ("--source", "Old Desk"), "Not allowed"),
        (HEADER, ("--from", "xlsx"), "xlsx"),
    ],
)
@on_sqlite
def test_what_is_wrong_as_a_whole_is_refused_at_once(
    bring: Any, content: str, options: tuple[str, ...], said: str
) -> None:
    result = bring(content, *options)

    assert result.exit_code == 2
    assert said in result.output


@on_sqlite
@pytest.mark.parametrize("form", import_file.FORMATS)
def test_a_pipe_that_can_be_read_only_once_is_refused(app: Any, tmp_path: Path, form: str) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"id": 1, "external_id": "1", "full_name": "Ada"}\n')
    os.close(writing)
    command = ("import", f"/dev/fd/{reading}", "--from", form, "--entity", "clients")

    result = run(app, *command, "--source", "old")

    os.close(reading)
    assert result.exit_code == 2
    assert "is no file, but a pipe" in result.output


def test_lines_of_json_are_brought_along(admin: Caller, bring: Any, tmp_path: Path) -> None:
    make_client()
    rows = [
        {"external_id": "t-1", "client_id": 1, "subject": "Jams", "tags": ["a", "b"]},
        {"external_id": "t-2", "client_id": 99, "subject": "Jams"},
        7,
    ]
    content = "\n".join([*map(json.dumps, rows), "{broken", ""])

    found = bring(content, "--from", "ndjson", entity="tickets")

    assert (found["created"], found["refused"]) == (1, 3)
    assert admin.get("/api/tickets/1").json["tags"] == ["a", "b"]
    assert [line.split(",")[0] for line in refused(tmp_path)[1:]] == ["2", "3", "4"]


@on_sqlite
def test_rows_come_in_several_transactions(
    admin: Caller, bring: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_file, "BATCH", 2)

    found = bring(HEADER + "".join(f"\n{number},Client {number},,," for number in range(5)))

    assert found["created"] == 5
    assert len(names(admin)) == 5


ZENDESK_USERS = json.dumps({"users": [{"id": 9, "name": "Ada", "email": "ada@example.com"}]})
ZENDESK_TICKET = {
    "id": 35,
    "requester_id": 9,
    "requester": {"id": 9, "email": "ada@example.com"},
    "assignee": {"id": 7, "email": "admin1@example.com"},
    "subject": "",
    "description": "It jams\nand jams",
    "status": "solved",
    "priority": "urgent",
    "tags": ["vip", "spare part"],
    "created_at": AT,
    "updated_at": "2019-03-06T00:00:00Z",
    "metric_set": {"solved_at": "2019-03-05T00:00:00Z"},
    "via": {"channel": "email"},
    "comments": [
        {"id": 1, "author_id": 9, "public": True, "body": "It jams", "created_at": AT},
        {"id": 2, "author_id": 7, "public": False, "body": "Again", "created_at": AT},
        {"id": 3, "author_id": 7, "public": True, "body": "Try now", "created_at": AT},
    ],
}


def test_zendesks_json_is_brought_along(admin: Caller, bring: Any) -> None:
    ticket = json.dumps(ZENDESK_TICKET)

    files = {"clients": ZENDESK_USERS, "tickets": ticket, "comments": ticket, "messages": ticket}
    found = [bring(files[name], "--from", "zendesk", entity=name)["created"] for name in files]

    assert found == [1, 1, 1, 2]
    shown = admin.get("/api/tickets/1").json
    assert shown["subject"] == "It jams"
    assert (shown["status"], shown["priority"]) == ("cerrado", "alta")
    assert (shown["tags"], shown["assigned_to"]) == (["spare_part", "vip"], 1)
    assert shown["resolved_at"] == "2019-03-05T00:00:00Z"
    assert admin.get("/api/comments/1").json["body"] == "Again"
    messages = admin.get("/api/conversations/1/messages").json
    assert [(each["sender"], each["user_id"]) for each in messages] == [
        ("client", None),
        ("user", 1),
    ]
    assert admin.get("/api/conversations/1").json["channel"] == "email"


@on_sqlite
@pytest.mark.parametrize("entity", ["comments", "messages"])
def test_a_ticket_without_its_comments_has_none_to_refuse(bring: Any, entity: str) -> None:
    ticket = {name: value for name, value in ZENDESK_TICKET.items() if name != "comments"}

    found = bring(json.dumps(ticket), "--from", "zendesk", entity=entity)

    assert (found["created"], found["refused"], found["exit"]) == (0, 0, 0)


def test_zendesks_csv_is_brought_along(admin: Caller, bring: Any) -> None:
    make_client(external_id="9")
    bring("external_id,full_name\n9,Ada\n")
    content = (
        '"Summation column","Id","Requester id","Subject","Status","Priority","Tags",'
        '"Created at","Solved at","Due date"\n'
        '"1","35","9","It jams","Pending","Normal","vip hardware","2019-03-04 09:12","",""\n'
    )

    found = bring(content, "--from", "zendesk", entity="tickets")

    assert found["created"] == 1
    shown = admin.get("/api/tickets/1").json
    assert (shown["client_id"], shown["status"], shown["created_at"]) == (2, "en_progreso", AT)
    assert shown["tags"] == ["hardware", "vip"]


FRESHDESK_TICKET = {
    "id": 20,
    "requester_id": 9,
    "responder": {"id": 7, "email": "admin1@example.com"},
    "subject": "It jams",
    "description_text": "It jams",
    "status": 5,
    "priority": 1,
    "tags": ["big client"],
    "created_at": AT,
    "stats": {"resolved_at": "2019-03-05T00:00:00Z"},
    "conversations": [
        {"id": 1, "user_id": 9, "incoming": True, "body_text": "It jams", "created_at": AT},
        {"id": 2, "user_id": 7, "private": True, "body_text": "Again", "created_at": AT},
    ],
}


def test_freshdesks_json_is_brought_along(admin: Caller, bring: Any) -> None:
    contacts = json.dumps([{"id": 9, "name": "Ada", "phone": None, "mobile": "555 0155"}])
    ticket = json.dumps([FRESHDESK_TICKET])

    files = {"clients": contacts, "tickets": ticket, "comments": ticket, "messages": ticket}
    found = [bring(files[name], "--from", "freshdesk", entity=name)["created"] for name in files]

    assert found == [1, 1, 1, 1]
    assert admin.get("/api/clients/1").json["phone"] == "555 0155"
    shown = admin.get("/api/tickets/1").json
    assert (shown["status"], shown["priority"], shown["tags"]) == (
        "cerrado",
        "baja",
        ["big_client"],
    )
    assert admin.get("/api/comments/1").json["user_id"] == 1


def test_freshdesks_csv_is_brought_along(admin: Caller, bring: Any) -> None:
    people = "Full name,Email,Work phone,Contact ID\nAda,ada@example.com,555,9\n"
    tickets = (
        "Ticket ID,Subject,Status,Priority,Agent,Created time,Resolved time,Tags,Contact ID\n"
        '20,It jams,Waiting on Customer,Urgent,Grace,2019-03-04 09:12:00,,"big client,vip",9\n'
    )

    for entity, content in (("clients", people), ("tickets", tickets)):
        assert bring(content, "--from", "freshdesk", entity=entity)["created"] == 1

    shown = admin.get("/api/tickets/1").json
    assert (shown["status"], shown["tags"]) == ("en_progreso", ["big_client", "vip"])
    assert (shown["priority"], shown["created_at"]) == ("alta", AT)
