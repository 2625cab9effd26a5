"""The OpenAPI document tells the whole truth about this server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from omnidesk.http.openapi import NEAR_THE_DOCS
from tests.conftest import Caller, on_sqlite
from tests.servers import flask

METHODS = ("get", "post", "put", "patch", "delete")
CONTRACT = """
    POST /api/login
    GET  /api/summary
    GET  /api/events
    GET  /api/events/{event_id}
    POST /api/events
    GET  /api/tickets
    GET  /api/tickets/{ticket_id}
    POST /api/tickets
    GET  /api/users
    POST /api/users
    GET  /api/conversations
    GET  /api/conversations/{conversation_id}
    GET  /api/conversations/{conversation_id}/messages
    POST /api/conversations/{conversation_id}/messages
"""


@pytest.fixture
def document(anybody: Caller) -> Any:
    """The document as it is served."""
    return anybody.get("/api/openapi.json").json


def operations(document: Any) -> dict[str, Any]:
    """Return each operation by its method and path, with the parameters of the path."""
    return {
        f"{method.upper()} {path}": operation
        | {"parameters": item.get("parameters", []) + operation.get("parameters", [])}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_it_is_an_openapi_document(document: Any) -> None:
    validate(document)


def test_it_has_every_route_of_the_app_and_no_other(app: Flask, document: Any) -> None:
    documented = {re.sub("{.*?}", "*", each) for each in operations(document)}

    served = {
        f"{method} {re.sub('<.*?>', '*', rule.rule)}"
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith(("api-docs.", "assets."))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert documented == served


def test_it_has_every_operation_of_the_contract(document: Any) -> None:
    wanted = {" ".join(line.split()) for line in CONTRACT.strip().splitlines()}

    assert wanted <= set(operations(document))


def test_each_operation_says_what_it_is(document: Any) -> None:
    names = []
    for name, operation in operations(document).items():
        names.append(operation["operationId"])
        assert operation["summary"], name
        assert operation["tags"], name
        assert {"400", "500"} < set(operation["responses"]), name
    assert len(names) == len(set(names))


def test_what_is_answered_from_before_has_the_headers_of_the_first_answer(document: Any) -> None:
    for name, operation in operations(document).items():
        answers = operation["responses"]
        if "304" in answers:
            assert "ETag" in answers["304"]["headers"], name
        if {"200", "201"} <= set(answers):
            first = answers["201"].get("headers", {}).keys() - {"Location"}
            assert first == answers["200"].get("headers", {}).keys(), name
        if "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}:
            for status in answers.keys() & {"200", "201", "204"}:
                assert "Idempotent-Replayed" in answers[status].get("headers", {}), name


def test_each_answer_with_a_body_says_what_it_is(document: Any) -> None:
    silent = {"POST /api/hooks/{channel_type}/{channel_id}"}  # a provider is told nothing

    for name, operation in operations(document).items():
        for status in operation["responses"].keys() & {"200", "201"} if name not in silent else ():
            content = operation["responses"][status]["content"]
            assert all("schema" in each for each in content.values()), name


def test_a_wrong_signature_is_401_and_a_wrong_challenge_403(document: Any) -> None:
    hook = document["paths"]["/api/hooks/{channel_type}/{channel_id}"]

    refused = {method: {"401", "403"} & {*hook[method]["responses"]} for method in ("get", "post")}

    assert refused == {"get": {"403"}, "post": {"401"}}


def test_each_operation_has_its_examples(document: Any) -> None:
    for name, operation in operations(document).items():
        contents = [operation.get("requestBody", {}).get("content")]
        contents += [
            answer.get("content")
            for status, answer in operation["responses"].items()
            if status.startswith("2")
        ]
        for content in filter(None, contents):
            (media_type,) = content.keys() - {"text/csv"}
            assert content[media_type]["example"], name
        for parameter in operation["parameters"]:
            has_example = "example" in parameter | parameter["schema"]
            assert has_example == parameter.get("required", False), "Swagger UI sends each example"


def test_a_token_is_asked_for_where_it_is_needed(app: Flask, document: Any, app_with: Any) -> None:
    closed = Caller(app_with(PUBLIC_READS=[])).get("/api/openapi.json").json

    assert document["components"]["securitySchemes"]["BearerAuth"]["bearerFormat"] == "JWT"
    for name, operation in operations(document).items():
        is_read = name.startswith("GET") and operation["tags"][0] in app.config["PUBLIC_READS"]
        is_public = operation["tags"] == ["health"] or name == "POST /api/login"
        is_public |= "/api/hooks/" in name
        needed: list[Any] = [] if is_public else [{"BearerAuth": []}]
        assert operation["security"] == ([{}, *needed] if is_read else needed), name
        assert operations(closed)[name]["security"] == needed, name


def test_lists_have_their_headers_and_preference(document: Any) -> None:
    for name, operation in operations(document).items():
        if any(each["name"] == "limit" for each in operation["parameters"]):
            assert {"Link", "X-Total-Count"} < set(operation["responses"]["200"]["headers"]), name
            assert "Prefer" in {each["name"] for each in operation["parameters"]}


def test_every_row_that_is_made_has_an_address(document: Any) -> None:
    for name, operation in operations(document).items():
        if "201" in operation["responses"]:
            assert "Location" in operation["responses"]["201"]["headers"], name


def test_a_ticket_is_shown_as_it_is(document: Any) -> None:
    ticket = document["components"]["schemas"]["Ticket"]

    included = {"client", "assignee", "etag", "match"}
    assert set(ticket["required"]) == set(ticket["properties"]) - included
    assert document["components"]["schemas"]["TicketCreate"]["required"] == ["client_id", "subject"]


def test_no_password_goes_out(document: Any) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name not in ("UserCreate", "UserPatch", "Login", "PasswordChange", "TokenCreate"):
            assert not any(
                "password" in key and key != "password_changed_at"
                for key in schema.get("properties", {})
            ), name


def test_swagger_ui_is_served_from_here_alone(anybody: Caller) -> None:
    page = anybody.get("/api/docs").text

    assets = re.findall('(?:src|href)="([^"]*)"', page)
    assert len(assets) == 3
    for asset in assets:
        assert asset.startswith("/api/docs/assets/")
        assert anybody.get(asset).status_code == 200
    assert "/api/openapi.json" in page
    assert "https:" not in page


@on_sqlite
@pytest.mark.parametrize("path", NEAR_THE_DOCS)
def test_addresses_that_developers_try_lead_to_swagger_ui(
    anybody: Caller, app_with: Any, path: str
) -> None:
    found = anybody.get(path)
    below_a_prefix = anybody.get(path, environ_overrides={"SCRIPT_NAME": "/desk"})
    production = Caller(app_with(ENV="production")).get(path)

    assert (found.status_code, found.headers["Location"]) == (302, "/api/docs")
    assert below_a_prefix.headers["Location"] == "/desk/api/docs"
    assert (production.status_code, production.json) == (404, {"detail": "Not Found"})


@on_sqlite
def test_the_document_can_be_written_to_a_file(
    environment: dict[str, str], tmp_path: Path, document: Any
) -> None:
    written = tmp_path / "openapi.json"
    environment = environment | {"PORT": "8123", "SCRIPT_NAME": "/desk"}

    run = flask(environment, "openapi", "write", str(written))

    assert run.returncode == 0, run.stderr
    servers = [{"url": "http://127.0.0.1:8123/desk"}]
    assert json.loads(written.read_text()) == document | {"servers": servers}


def test_a_list_whose_rows_can_be_changed_can_show_their_tags(document: Any) -> None:
    paths = document["paths"]
    lists = [
        path.rpartition("/{")[0].replace("/comments", "/tickets/{ticket_id}/comments")
        for path, item in paths.items()
        if path.endswith("}") and "patch" in item
    ]

    shown = [
        parameter["schema"]["pattern"]
        for path in lists
        for parameter in paths[path]["get"]["parameters"]
        if parameter.get("name") == "include"
    ]

    assert len(shown) == len(lists) > 7
    assert all("etag" in pattern for pattern in shown)
