"""The OpenAPI document has what linters, generators of clients and Swagger UI need."""

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from omnidesk.sample_data import demo
from tests.conftest import Caller, make_ticket, make_user, on_sqlite
from tests.routes import SEARCHES
from tests.test_openapi import document, operations

assert document  # a fixture

ENUMS = {
    "Order": "desc",
    "Scope": "messages:relay",
    "Status": "abierto",
    "Priority": "alta",
    "Role": "empleado",
    "Occurrence": "comment",
    "Sender": "bot",
    "Inboundkind": "image",
    "Kind": "note",
    "Channeltype": "telegram",
    "Deliverystate": "unknown",
    "Conversationsort": "updated_at",
    "Entity": "ticket",
    "Op": "updated",
    "Importstatus": "unchanged",
    "Field": "comment",
    "Webhooktype": "ticket.*",
    "Webhookformat": "slack",
    "Webhookeventtype": "ticket.closed",
    "Webhookdeliverystate": "pending",
}


def nodes(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return every object in the document and where it is, but for what is within examples."""
    if isinstance(value, dict):
        yield path, value
        for name, inner in value.items():
            if name != "example":
                yield from nodes(inner, (*path, name))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from nodes(inner, (*path, str(position)))


def faults(document: Any, schema: Any, value: Any) -> list[str]:
    """Return what is wrong with a value by a schema of the document."""
    whole = {"components": document["components"], "allOf": [schema]}
    validator = OAS30Validator(whole, format_checker=oas30_format_checker)
    return [error.message for error in validator.iter_errors(value)]


@on_sqlite
def test_everything_that_can_be_described_is(document: Any) -> None:
    for path, node in nodes(document):
        if path[-1:] == ("properties",):
            for name, schema in node.items():
                assert schema.get("description"), (path, name)
        is_described = "in" in node or path[-2:-1] == ("headers",) or "operationId" in node
        if is_described or (path[:1] == ("tags",) and path[1:]):
            assert node.get("description"), path


@on_sqlite
def test_every_example_is_right_by_its_own_schema(document: Any) -> None:
    seen = 0
    for path, node in nodes(document):
        if "example" in node and path[-1] != "properties":
            schema = node.get("schema", node)
            assert faults(document, schema, node["example"]) == [], path
            seen += 1
    assert seen > 200


@on_sqlite
def test_nothing_that_may_be_left_out_has_a_default(document: Any) -> None:
    assert [path for path, node in nodes(document) if "default" in node] == []
    assert '(default: "media")' in str(document["components"]["schemas"]["TicketCreate"])


@on_sqlite
def test_every_enum_is_one_component(document: Any) -> None:
    found = {path for path, node in nodes(document) if "enum" in node}

    assert found == {("components", "schemas", name) for name in ENUMS}
    for name, value in ENUMS.items():
        assert value in document["components"]["schemas"][name]["enum"]
        assert str(document).count(f"'#/components/schemas/{name}'") > 0


@pytest.mark.parametrize("prefix", ["", "/desk2"])
@on_sqlite
def test_the_servers_are_where_it_was_asked_for(anybody: Caller, prefix: str) -> None:
    base = f"https://desk.example.com:8443{prefix}"

    document = anybody.get("/api/openapi.json", base_url=base).json

    assert [each["url"] for each in document["servers"]] == [base, prefix or "/"]
    assert all(path.startswith(("/api/", "/healthz", "/readyz")) for path in document["paths"])


@on_sqlite
def test_what_ends_the_session_comes_last(document: Any) -> None:
    tags = [tag["name"] for tag in document["tags"]]
    by_tag = sorted(operations(document).values(), key=lambda each: tags.index(each["tags"][0]))
    for order in (list(operations(document).values()), by_tag):
        ids = [operation["operationId"] for operation in order]
        assert ids[0] == "login"
        assert ids[-4:] == ["list_sessions", "end_session", "change_password", "logout"]


def error_schema(document: Any, name: str, status: str) -> Any:
    """Return the schema of an operation's error."""
    answer = operations(document)[name]["responses"][status]
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    return answer["content"]["application/json"]["schema"]


@pytest.mark.parametrize(
    ("body", "nested"),
    [
        ({"ticket_ids": [0], "set": {}}, {"ticket_ids": {"0": list}}),
        ({"ticket_ids": [1], "set": {"status": "?", "x": 1}}, {"set": {"status": list, "x": list}}),
        ({"ticket_ids": "1"}, {"ticket_ids": list, "set": list}),
    ],
)
def test_errors_are_lists_of_texts_that_nest_as_the_body_does(
    admin: Caller, document: Any, body: Any, nested: Any
) -> None:
    def shape(errors: Any) -> Any:
        return {k: shape(v) for k, v in errors.items()} if isinstance(errors, dict) else list

    answer = admin.patch("/api/tickets", json=body)

    assert shape(answer.json["errors"]) == nested
    schema = error_schema(document, "PATCH /api/tickets", "400")
    assert faults(document, schema, answer.json) == []
    assert faults(document, schema, {"detail": "Bad Request", "errors": {"subject": 1}})


@on_sqlite
def test_each_412_shows_its_own_resource(admin: Caller, document: Any) -> None:
    make_ticket()
    changing = [
        (name, operation)
        for name, operation in operations(document).items()
        if any(each["name"] == "If-Match" for each in operation["parameters"])
    ]
    answer = admin.patch("/api/tickets/1", json={"subject": "Hi"}, headers={"If-Match": '"9"'})

    assert len(changing) > 8
    for name, operation in changing:
        component = error_schema(document, name, "412")["$ref"].rpartition("/")[2]
        current = document["components"]["schemas"][component]["properties"]["current"]
        shown = operation["responses"].get("200", {})
        if shown:
            row = shown["content"]["application/json"]["schema"]
            assert current["allOf"] == [row], name
    ticket = error_schema(document, "PATCH /api/tickets/{ticket_id}", "412")
    assert answer.status_code == 412
    assert faults(document, ticket, answer.json) == []
    assert faults(document, ticket, answer.json | {"current": {"ticket_id": 1}})


def test_changes_hold_columns_of_simple_types(app: Any, document: Any) -> None:
    demo.add()
    follower = Caller(app, make_user("follower", role="admin"))

    changes = follower.get("/api/changes?limit=200").json

    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Change"}}
    assert len(changes) > 20
    assert faults(document, rows, changes) == []
    assert faults(document, rows, [changes[0] | {"after": {"tags": [{}]}}])


def test_rows_are_read_as_their_schemas_say(app: Any, document: Any) -> None:
    demo.add()
    follower = Caller(app, make_user("follower", role="admin"))
    sent = {"content": "", "kind": "file", "meta": {"name": "invoice.pdf", "sizes": [1, None]}}
    assert follower.post("/api/conversations/1/messages", json=sent).status_code == 201

    for name, operation in operations(document).items():
        method, path = name.split()
        if method != "GET" or path in SEARCHES or "{" in path or not path.startswith("/api/"):
            continue
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        limit = "?limit=200" if schema.get("type") == "array" else ""
        assert faults(document, schema, follower.get(path + limit).json) == [], path
    messages = follower.get("/api/conversations/1/messages").json
    rows = {"type": "array", "items": {"$ref": "#/components/schemas/Message"}}
    assert faults(document, rows, messages) == []


@pytest.mark.parametrize("username", ["admin", "user1"])
def test_every_read_of_the_demo_shows_something_without_a_field_filled_in(
    app: Any, anybody: Caller, document: Any, username: str
) -> None:
    demo.add()
    credentials = {"username": username, "password": demo.PASSWORD}
    token = anybody.post("/api/login", json=credentials).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    for name, operation in operations(document).items():
        method, path = name.split()
        if method == "GET" and operation["tags"] != ["hooks"]:  # a provider's, which signs
            for parameter in operation["parameters"]:
                if parameter["in"] == "path":
                    name_in_path = f"{{{parameter['name']}}}"
                    path = path.replace(name_in_path, str(parameter["schema"]["example"]))
                elif parameter["in"] == "query" and parameter.get("required"):
                    path += f"?{parameter['name']}={parameter['schema']['example']}"
            answer = anybody.get(path, headers=headers)
            for_admins = "Only admins" in operation["description"] and username != "admin"
            assert answer.status_code == (403 if for_admins else 200), name
            assert answer.json or answer.mimetype == "application/x-ndjson", name
