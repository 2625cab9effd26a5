"""Logs: lines that machines read and nobody forges, without what is nobody's business."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask

from omnidesk.log_format import JsonFormatter, TextFormatter
from tests.conftest import PASSWORD, Caller, make_conversation
from tests.servers import gunicorn

SECRETS = ("s3cret-content", PASSWORD, "wrong-password", "odk_", "eyJ", "Bearer", "?status")


@pytest.fixture
def production(environment: dict[str, str]) -> dict[str, str]:
    """The settings of a production server."""
    return environment | {"OMNIDESK_ENV": "production"}


def test_production_logs_each_request_as_a_line_of_json(
    production: dict[str, str], tmp_path: Path, agent: Caller
) -> None:
    conversation = make_conversation()
    with gunicorn(production, tmp_path) as address:
        said = {"content": 's3cret-content\n{"forged": 1}'}
        path = f"{address}/api/conversations/{conversation.conversation_id}/messages"
        requests.post(path, json=said, headers=agent.headers, timeout=5)
        wrong = {"username": 'x\n{"forged": 1}', "password": "wrong-password"}
        requests.post(f"{address}/api/login", json=wrong, timeout=5)
        named = agent.headers | {"X-Request-ID": "find-me"}
        requests.get(f"{address}/api/tickets?status=abierto", headers=named, timeout=5)
        made = {"name": "Bot", "scopes": ["tickets:read"], "password": PASSWORD}
        requests.post(f"{address}/api/tokens", json=made, headers=agent.headers, timeout=5)
        requests.get(f"{address}/nothing%0A%7B%22forged%22%3A1%7D", timeout=5)

    text = (tmp_path / "gunicorn.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    answered = {(line["method"], line["route"]): line for line in lines if "route" in line}
    (found,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert list(found) == ["time", "request_id", "method", "route", "status", "ms", "user_id"]
    assert (found["route"], found["status"]) == ("/api/tickets", 200)
    assert found["user_id"] == agent.user.user_id
    assert answered["POST", "/api/login"]["user_id"] is None
    assert answered["POST", "/api/login"]["status"] == 401
    said_in = "/api/conversations/{conversation_id}/messages"
    assert answered["POST", said_in]["status"] == 201
    assert answered["GET", None]["status"] == 404
    for secret in (*SECRETS, "forged"):
        assert secret not in text


def test_development_logs_what_a_developer_reads(agent: Caller, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "omnidesk")

    agent.get("/api/tickets?status=abierto", headers={"X-Request-ID": "one"})

    assert caplog.messages[-1].startswith("GET /api/tickets 200 in ")
    assert caplog.messages[-1].endswith(f"user {agent.user.user_id}, one")


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_no_message_makes_two_lines(formatter: logging.Formatter) -> None:
    forged = "a\n12:00:00 INFO b\r\x1b[31m\u2028"
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (forged,), None)

    line = formatter.format(record)

    assert len(line.splitlines()) == 1
    assert line.isprintable()


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_message_in_a_request_context_that_no_server_made_is_a_line(
    app: Flask, formatter: logging.Formatter
) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "Said", (), None)

    with app.test_request_context("/"):
        assert "Said" in formatter.format(record)


def test_an_invalid_request_is_not_repeated_in_the_log() -> None:
    said = "Invalid request from ip=127.0.0.1: Invalid HTTP header: 'Authorization: Bearer eyJ'"
    record = logging.LogRecord("gunicorn.error", logging.WARNING, "", 0, said, (), None)

    assert (
        json.loads(JsonFormatter().format(record))["message"] == "Invalid request from ip=127.0.0.1"
    )


def test_a_fault_is_one_line_with_its_traceback() -> None:
    try:
        raise ValueError("broken")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("omnidesk", logging.ERROR, "", 0, "Failed", (), info)

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]
