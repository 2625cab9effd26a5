"""The house keeps its order: who may import whom, and how much each request asks the database."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_event,
    make_message,
    make_tag,
    make_ticket,
    make_user,
    recorded_statements,
)
from tests.servers import ROOT

# Low to high: what stands further down may import what stands above it.
LADDER = [
    ["config"],
    ["db"],
    ["http", "migrations"],
    ["users", "clients"],
    ["auth", "tickets"],
    ["events", "conversations", "comments"],
    ["summary", "changes", "health"],
    ["sample_data"],
    ["cli"],
    [""],
]
RUNG = {name: rung for rung, names in enumerate(LADDER) for name in names}
# Within a resource: models below schemas below views.
FLOOR = {"passwords": 0, "models": 1, "tokens": 2, "schemas": 2, "views": 3}
# What a module that knows nothing of HTTP may use of Flask: the settings, and who is acting.
BELOW_HTTP = {"current_app", "g", "has_app_context"}
MODULES = sorted(
    path for path in (ROOT / "omnidesk").rglob("*.py") if path.parent.name != "versions"
)


def place(path: Path) -> tuple[str, str]:
    """Return a module's room and its name in there."""
    room, *rest = path.relative_to(ROOT / "omnidesk").with_suffix("").parts
    return ("" if room == "__init__" else room), (rest[0] if rest else "__init__")


def used(path: Path) -> Iterator[tuple[str, ...]]:
    """Return the dotted names that a module imports, or reaches from what it imports."""
    tree = ast.parse(path.read_text())
    known = dict(imported(tree))
    yield from known.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, *names = ast.unparse(node).split(".")
            if first in known:
                yield (*known[first], *names)


def imported(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return each name that a module's imports bind, and what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                whole = tuple(alias.name.split("."))
                yield (alias.asname, whole) if alias.asname else (whole[0], whole[:1])
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = (*(node.module or "").split("."), alias.name)
                yield alias.asname or alias.name, whole


def rooms(path: Path) -> Iterator[tuple[str, str]]:
    """Return the rooms that a module uses, and the names in there."""
    for name in used(path):
        if name[0] == "config":
            yield "config", ""
        if name[0] == "omnidesk" and len(name) > 1:
            yield name[1], (name[2] if len(name) > 2 else "__init__")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_imports_upwards(path: Path) -> None:
    room, name = place(path)

    for other, their in rooms(path):
        if other == room:
            assert FLOOR.get(their, 0) <= FLOOR.get(name, 9), (their, name)
        else:
            assert RUNG[other] < RUNG[room], (other, room)
            assert their != "views" or room == "", "only create_app knows another's views"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_models_and_the_database_know_nothing_of_http(path: Path) -> None:
    room, name = place(path)
    if room != "db" and name not in ("models", "passwords"):
        return

    for package, *names in used(path):
        assert package not in ("werkzeug", "flask_smorest", "flask_jwt_extended", "marshmallow")
        assert package != "flask" or names[0] in BELOW_HTTP, names
        assert (package, *names[:1]) != ("omnidesk", "http")


def test_views_are_short_and_files_are_not_long() -> None:
    for path in MODULES:
        text = path.read_text()
        assert len(text.splitlines()) <= 250, path
        for node in ast.parse(text).body:
            if (
                path.name == "views.py"
                and isinstance(node, ast.FunctionDef)
                and node.decorator_list
            ):
                assert len(node.body) <= 8, (path, node.name)


@pytest.fixture
def desk(agent: Caller) -> None:
    """A desk with fifty of everything."""
    client_id = make_client().client_id
    conversation = make_conversation(client_id=client_id)
    for number in range(50):
        make_client()
        ticket = make_ticket(client_id, assigned_to=agent.user.user_id)
        make_tag(ticket, "vip")
        make_tag(ticket, f"tag-{number}")
        make_event(created_by=agent.user.user_id)
        make_user(f"other{number}")
        make_conversation(client_id=client_id)
        make_message(conversation, sender="bot")


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/api/tickets", 2),
        ("/api/tickets?status=abierto&priority=media&assigned_to=1&client_id=1", 2),
        ("/api/events", 2),
        ("/api/users", 2),
        ("/api/clients", 2),
        ("/api/conversations", 2),
        ("/api/conversations/1/messages", 2),
        ("/api/tickets/1", 2),
        ("/api/tickets?tag=vip", 2),
        ("/api/tags", 2),
        ("/api/events/1", 2),
        ("/api/conversations/1", 2),
        ("/api/summary", 2),
        ("/healthz", 0),
    ],
)
def test_a_read_asks_the_database_no_more_often_for_more_rows(
    agent: Caller, desk: None, path: str, most: int
) -> None:
    with recorded_statements() as run:
        answer = agent.get(path)

    assert answer.status_code == 200
    if isinstance(answer.json, list):
        assert len(answer.json) == 50
    assert min(1, most) <= len(run) <= most, run


def test_a_new_ticket_costs_its_checks_and_one_insert(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "subject": "Help", "assigned_to": 1}

    with recorded_statements() as run:
        assert agent.post("/api/tickets", json=body).status_code == 201

    assert len(run) == 3, run
