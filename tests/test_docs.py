"""The documents say what the server does, and every example in them works as printed."""

import json
import re
import shlex
from typing import Any

import pytest
import requests

import config
from omnidesk.sample_data import demo
from tests.conftest import Caller, make_user
from tests.servers import ROOT

# In the order in which their examples are run, since these change rows.
PAGES = (
    "README.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "docs/operations.md",
    "docs/operations/install.md",
    "docs/operations/proxies.md",
    "docs/operations/data.md",
    "docs/operations/backup.md",
    "docs/operations/monitoring.md",
    "docs/operations/sqlite.md",
    "docs/operations/postgresql.md",
    "docs/operations/cluster.md",
    "docs/operations/sizes.md",
    "docs/operations/alarms.md",
    "docs/architecture.md",
    "docs/api.md",
    "docs/clients.md",
    "docs/api/authentication.md",
    "docs/api/conventions.md",
    "docs/api/errors.md",
    "docs/api/rate-limits.md",
    "docs/api/lists.md",
    "docs/api/search.md",
    "docs/api/changing-rows.md",
    "docs/api/summary.md",
    "docs/api/events.md",
    "docs/api/tickets.md",
    "docs/api/screens.md",
    "docs/api/users.md",
    "docs/api/clients.md",
    "docs/bots.md",
    "docs/live.md",
    "docs/api/conversations.md",
    "docs/api/inbound.md",
    "docs/api/channels.md",
    "docs/api/hooks.md",
    "docs/api/imports.md",
    "docs/api/changes.md",
    "docs/api/webhooks.md",
    "docs/api/personal-data.md",
)
GENERATED = {"docs/benchmarks.md", "docs/reliability.md"}
ELSEWHERE = {"docs/walk.md"}  # executed by tests/faults/test_walk.py, with a worker
ALL_PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
)
# The POSTs here that create no row.
ANSWERED_200 = (
    *("/api/login", "/api/token/refresh"),
    *("/read", "/unread", "/takeover", "/handoff", "/return"),
    *("/merge", "/release", "/next", "/erase"),
    *("/rotate", "/test", "/replay", "/retry"),
    *("/imports/clients", "/imports/tickets", "/imports/comments", "/imports/messages?atomic=true"),
)
# The examples of the API contract, besides those of the documents.
CONTRACT = r"""
curl -X POST "http://localhost:8000/api/login" -H "Content-Type: application/json" -d '{"username":"user1","password":"secret"}'
curl -H "Authorization: Bearer <token>" "http://localhost:8000/api/summary"
curl "http://localhost:8000/api/events?start=2025-11-01T00:00:00Z&end=2025-11-30T23:59:59Z"
curl -X POST "http://localhost:8000/api/events" -H "Authorization: Bearer <token>" -H "Content-Type: application/json" -d '{"title":"Demo","start_time":"2025-11-01T15:00:00Z","end_time":"2025-11-01T15:30:00Z"}'
curl "http://localhost:8000/api/tickets?status=abierto&limit=20"
curl -H "Authorization: Bearer <token>" "http://localhost:8000/api/users?role=empleado"
curl -H "Authorization: Bearer <token>" "http://localhost:8000/api/events?start=2025-11-01T00:00:00Z&end=2025-11-30T23:59:59Z"
curl -X POST "http://localhost:8000/api/tickets" -H "Authorization: Bearer <token>" -H "Content-Type: application/json" -d '{"client_id":55,"subject":"Cannot login","priority":"alta"}'
"""  # noqa: E501 - printed lines are not broken


def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    """Return a page without its code blocks."""
    return re.sub("^```.*?^```$", "", read(page), flags=re.MULTILINE | re.DOTALL)


def curl_lines() -> list[str]:
    """Return every curl line of the contract and the documents once.

    Those with variables of the shell need one: `test_hook_docs.py` runs all of their page.
    """
    text = "\n".join([CONTRACT, *map(read, PAGES)])
    return list(dict.fromkeys(re.findall("^curl [^$\n]*$", text, re.MULTILINE)))


@pytest.fixture
def demo_server(server: str, app: Any) -> str:
    """The address of a development server with the demo data, as `make run` starts it."""
    demo.add()
    return server


def send(line: str, address: str, method: str | None = None) -> requests.Response:
    """Send the request of a curl line, or another method to the same URL."""
    stated, headers, data, url = "GET", {}, None, ""
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-X":
            stated = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(words)
        elif word != "-i":
            url = word.replace("http://localhost:8000", address)
    assert url.startswith(address), line
    return requests.request(method or stated, url, headers=headers, data=data, timeout=10)


def login(username: str, address: str) -> str:
    """Return the token of a user of the demo."""
    line = CONTRACT.strip().splitlines()[0].replace("user1", username)
    return str(send(line, address).json()["access_token"])


def expected_status(line: str) -> int:
    """Return the status that the documents promise for a curl line."""
    if "If-None-Match" in line:
        return 304
    if "/tags/" in line or any(f'{path}"' in line for path in ANSWERED_200):
        return 200
    method = "".join(re.findall("-X ([A-Z]+)", line))
    return {"POST": 201, "DELETE": 204}.get(method, 200)


def test_every_curl_line_works_as_printed(demo_server: str) -> None:
    lines = curl_lines()
    assert len(lines) >= 50
    token, admins = login("user1", demo_server), login("admin", demo_server)

    for line in lines:
        filled = line.replace("<token>", token).replace("<admin's token>", admins)
        if "<ETag>" in line:
            now = send(re.sub("-H '[^']*<ETag>'", "", filled), demo_server, "GET")
            filled = filled.replace("<ETag>", now.headers["ETag"])
        assert send(filled, demo_server).status_code == expected_status(line), line


def test_the_readmes_first_response_is_the_servers(demo_server: str) -> None:
    line, printed = re.findall("```sh\n(.*)\n```\n\n```json\n(.*)\n```", read("README.md"))[0]

    assert send(line, demo_server).text.strip() == printed


def test_the_printed_result_of_an_import_is_the_servers(demo_server: str) -> None:
    page = read("docs/api/imports.md")
    (printed,) = re.findall('^{"results".*', page, re.MULTILINE)
    line = next(line for line in curl_lines() if "/imports/clients" in line)

    answer = send(line.replace("<admin's token>", login("admin", demo_server)), demo_server)

    assert answer.json() == json.loads(printed)


@pytest.mark.parametrize(
    ("entity", "path"),
    [
        *(("ticket", "tickets/100"), ("event", "events/42"), ("client", "clients/55")),
        *(("conversation", "conversations/1"), ("user", "users/1")),
        *(("message", "conversations/1/messages/1"), ("comment", "comments/1")),
    ],
)
def test_the_feed_names_fields_as_the_rows_do_but_for_what_the_page_says(
    app: Any, entity: str, path: str
) -> None:
    demo.add()
    admin = Caller(app, make_user("tester", role="admin"))
    cell = in_first_column("docs/api/changes.md").partition("in a change of a message\n")[2]
    differ = {*re.findall("`(delivery[a-z_]*)`", cell), "delivery"}

    (first, *_) = admin.get(f"/api/changes?entity={entity}").json
    row = admin.get(f"/api/{path}").json

    assert {*first["after"]} ^ {*row} == (differ if entity == "message" else set())


def in_first_column(page: str) -> str:
    """Return the first cells of all tables of a page."""
    return "\n".join(re.findall(r"^\| ([^|]*) \|", read(page), re.MULTILINE))


def test_every_setting_is_in_the_readme() -> None:
    settings = set(re.findall(r"""env\.\w+\(\s*"([A-Z_]+)\"""", read("config.py")))

    described = re.findall("^`([A-Z_]+)`", in_first_column("README.md"), re.MULTILINE)

    assert settings == set(described)
    assert config.READABLE == ("events", "tickets", "conversations", "clients")


def test_every_command_is_in_the_readme(app: Any) -> None:
    described = re.findall("^`([a-z-]+)[^`]*`", in_first_column("README.md"), re.MULTILINE)

    assert set(app.cli.commands) == set(described)


def test_every_endpoint_is_in_the_documents(anybody: Caller) -> None:
    paths = anybody.get("/api/openapi.json").json["paths"]
    served = {
        f"{method.upper()} {re.sub('{[^}]*}', '{}', path)}"
        for path, operations in paths.items()
        for method in operations.keys() & {"get", "post", "put", "patch", "delete"}
    }

    tables = re.sub("{[^}]*}", "{}", "\n".join(map(in_first_column, PAGES)))

    assert served == set(re.findall("`([A-Z]+ /[^`]*)`", tables))


def test_every_page_is_listed_here() -> None:
    pages = {page for page in ALL_PAGES if page.startswith("docs/")} - GENERATED - ELSEWHERE

    assert pages == {page for page in PAGES if page.startswith("docs/")}


def anchors(page: str) -> set[str]:
    """Return the anchors of a page's headings as GitHub names them."""
    headings = re.findall("^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL_PAGES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)]*)\)", prose(page)):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(ROOT))), link


@pytest.mark.parametrize("page", PAGES)
def test_no_line_is_longer_than_100_characters(page: str) -> None:
    lines = [line for line in prose(page).splitlines() if not line.startswith("|")]

    assert [line for line in lines if len(line) > 100] == []


@pytest.mark.parametrize("page", ["docs/api/screens.md"])
def test_every_request_of_a_screen_is_answered(app: Any, page: str) -> None:
    demo.add()
    admin = Caller(app, make_user("tester", role="admin"))
    paths = [path for path in re.findall("`(/api/[^`]*)`", prose(page)) if "login" not in path]

    assert len(paths) > 10
    assert {path: admin.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)
