"""Swagger UI in a real browser: every GET works as it is filled in."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, Request

from omnidesk.sample_data import demo
from tests.clients.chromium import PATIENCE
from tests.conftest import on_sqlite

# A browser takes half a minute for all operations: what is shown does not depend on the database.
pytestmark = on_sqlite


class Shown(NamedTuple):
    """What Swagger UI shows after Execute, and the request that it sent."""

    operation: str
    status: int
    body: Any
    request: Request


@pytest.fixture
def token(app: Any, server: str) -> str:
    """An admin's token, of a desk in which every list has a row."""
    demo.add()
    credentials = {"username": "admin", "password": demo.PASSWORD}
    login = requests.post(f"{server}/api/login", json=credentials, timeout=30).json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    document = requests.get(f"{server}/api/openapi.json", timeout=30).json()
    for path in ("/api/tokens", "/api/tickets/{ticket_id}/comments"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        body = dict(content["application/json"]["example"])
        if "password" in body:
            body["password"] = demo.PASSWORD
        url = server + path.format(ticket_id=100)
        made = requests.post(url, json=body, headers=headers, timeout=30)
        assert made.status_code == 201, made.text
    return str(login["access_token"])


@pytest.fixture
def swagger_ui(browser: Browser, server: str) -> Iterator[Page]:
    """Swagger UI, as a developer who opens the server's address gets it."""
    with browser.new_page() as page:
        page.set_default_timeout(PATIENCE)
        page.goto(server)
        page.wait_for_selector(".opblock")
        yield page


def authorise(page: Page, token: str) -> None:
    """Paste a token into the Authorize dialog, as it is."""
    page.click(".auth-wrapper .authorize")
    page.fill(".modal-ux input", token)
    page.click(".modal-ux .auth-btn-wrapper .authorize")
    page.click(".modal-ux .btn-done")


def execute(page: Page, operation: Locator) -> Shown:
    """Open an operation, execute it without touching a field, and close it."""
    path = operation.locator(".opblock-summary-path").get_attribute("data-path") or ""
    operation.locator(".opblock-summary-control").click()
    operation.locator(".try-out__btn").click()
    with page.expect_request(lambda request: "/assets/" not in request.url) as sent:
        operation.locator(".execute").click()
    status = operation.locator(".live-responses-table tr.response .response-col_status").first
    status.wait_for()
    answer = sent.value.response()
    assert answer is not None, path
    assert str(answer.status) in status.inner_text()
    operation.locator(".opblock-summary-control").click()
    body: Any = answer.body() or None
    if body and not path.endswith("/export"):  # which is lines of JSON
        body = answer.json()
    return Shown(path, answer.status, body, sent.value)


def test_every_get_works_as_it_is_filled_in(server: str, token: str, swagger_ui: Page) -> None:
    document = requests.get(f"{server}/api/openapi.json", timeout=30).json()
    reads = {path: item["get"] for path, item in document["paths"].items() if "get" in item}
    authorise(swagger_ui, token)

    shown = [execute(swagger_ui, each) for each in swagger_ui.locator(".opblock-get").all()]

    assert {each.operation for each in shown} == set(reads)
    for operation, status, body, request in shown:
        documented = reads[operation]["responses"]
        assert str(status) in documented, (operation, status, body)
        assert status in {200, 404}, (operation, status, body)
        sent = {*parse_qs(urlsplit(request.url).query)}
        required = {
            each["name"]
            for each in reads[operation]["parameters"]
            if each["in"] == "query" and each.get("required")
        }
        assert sent == required, "no optional parameter is sent by itself"
        assert "if-none-match" not in request.headers
        assert re.match(rf"{re.escape(server)}/", request.url)
        kind = "x-ndjson" if operation.endswith("/export") else "json"
        if "/hooks/" in operation:  # which answers a text, and to a provider alone
            continue
        schema = documented["200"]["content"][f"application/{kind}"]["schema"]
        if schema.get("type") == "array":
            assert status == 200, operation
            assert body, f"{operation} shows no rows"
