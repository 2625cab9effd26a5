"""What a body that is refused costs: little time, and a short answer that lists a few faults."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.conftest import Caller, on_sqlite

MIB = 2**20
HEADERS = {"Content-Type": "application/json"}


def full(unit: str, before: str = "[", after: str = "]") -> str:
    """Return almost a megabyte of one text, with commas between."""
    count = (MIB - 100) // (len(unit) + 1)
    return before + ",".join([unit] * count) + after


def values(count: int, value: str) -> str:
    """Return an array of a JSON value."""
    return "[" + ",".join([value] * count) + "]"


def fields(count: int, name: str = "field-{:06}") -> str:
    """Return an object with so many fields that nobody knows."""
    return "{" + ",".join(f'"{name.format(n)}":0' for n in range(count)) + "}"


def inside(name: str, value: str, more: str = "") -> str:
    """Return an object with a field that has this JSON as its value."""
    return f'{{"{name}":{value}{more}}}'


BODIES: dict[str, tuple[str, Callable[[], str]]] = {
    "ids": ("patch /api/tickets", lambda: inside("ticket_ids", full("0"), ',"set":{}')),
    "scopes": ("post /api/tokens", lambda: inside("scopes", full('""'), ',"name":"x"')),
    "lists": (
        "patch /api/tickets",
        lambda: inside("ticket_ids", full("[]")),
    ),
    "rows": ("post /api/imports/tickets", lambda: inside("rows", full("{}"))),
    "values": ("post /api/imports/tickets", lambda: inside("rows", full("0"))),
    "tags of rows": (
        "post /api/imports/tickets",
        lambda: inside("rows", "[" + ",".join([inside("tags", values(900, '"x"'))] * 99) + "]"),
    ),
    "unknown in rows": (
        "post /api/imports/tickets",
        lambda: inside("rows", "[" + ",".join([fields(190)] * 100) + "]"),
    ),
    "types": ("post /api/webhooks", lambda: inside("types", full('"x"'))),
    "settings": ("post /api/channels", lambda: inside("settings", fields(45_000))),
    "secrets": ("post /api/channels", lambda: inside("secrets", fields(45_000))),
    "meta": ("post /api/inbound", lambda: inside("meta", fields(45_000))),
    "deep meta": ("post /api/inbound", lambda: inside("meta", '{"a":' * 500 + "{}" + "}" * 500)),
    "unknown": ("post /api/tickets", lambda: fields(45_000)),
    "nested unknown": ("patch /api/tickets", lambda: inside("set", fields(45_000))),
    "long names": ("post /api/tickets", lambda: fields(30, "x" * 30_000 + "{}")),
    "duplicates": ("post /api/tickets", lambda: full('"subject":"x"', "{", "}")),
    "objects": ("post /api/tickets", lambda: full("{}")),
    "numbers": ("post /api/tickets", lambda: full("1.5")),
    "one number": ("post /api/tickets", lambda: inside("client_id", "9" * (MIB - 20))),
    "one text": ("post /api/tickets", lambda: inside("subject", f'"{"x" * (MIB - 40)}"')),
    "one time": ("post /api/tickets", lambda: inside("due_at", f'"{"1" * (MIB - 40)}"')),
    "one address": ("post /api/clients", lambda: inside("email", f'"{"@." * 500_000}"')),
    "one password": (
        "post /api/users",
        lambda: inside("password", '"' + "\u0316\u0301" * 260_000 + '"'),
    ),
    "one login": ("post /api/login", lambda: fields(1_000)),
    "quotes": ("post /api/tickets", lambda: '"' * (MIB - 10)),
    "brackets": ("post /api/tickets", lambda: "[" * (MIB - 10)),
}


@on_sqlite
@pytest.mark.parametrize("name", BODIES)
def test_a_refusal_is_quick_and_short(admin: Caller, name: str) -> None:
    route, make = BODIES[name]
    method, path = route.split()
    body = make().encode()
    assert len(body) <= MIB
    getattr(admin, method)(path, data=b"{}", headers=HEADERS)

    began = time.process_time()
    answer = getattr(admin, method)(path, data=body, headers=HEADERS)
    took = time.process_time() - began

    assert answer.status_code in (400, 413)
    assert len(answer.data) < 4096
    assert took < 0.3, "seconds of a processor; 0.05 on an idle machine"


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("patch", "/api/tickets", {"ticket_ids": [0] * 101, "set": {}}, "ticket_ids"),
        ("patch", "/api/tickets", {"ticket_ids": [0] * 300_000, "set": {}}, "ticket_ids"),
        (
            "post",
            "/api/tokens",
            {"name": "x", "password": "x", "scopes": ["a"] * 20},
            "scopes",
        ),
    ],
)
def test_a_list_that_is_too_long_has_one_fault(
    admin: Caller, method: str, path: str, body: Any, field: str
) -> None:
    answer = getattr(admin, method)(path, json=body)

    assert list(answer.json["errors"]) == [field]
    (message,) = answer.json["errors"][field]
    assert message.startswith("Length must be between")


def faults(errors: Any) -> int:
    """Return how many messages there are."""
    if isinstance(errors, dict):
        return sum(map(faults, errors.values()))
    return len(errors)


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path", "request_", "more"),
    [
        (
            "post",
            "/api/clients",
            {"json": {f"x{n}": 0 for n in range(50)} | {"full_name": "A"}},
            30,
        ),
        ("post", "/api/clients", {"json": {f"x{n}": 0 for n in range(49)}}, 30),
        ("patch", "/api/tickets", {"json": {"ticket_ids": [0] * 100, "set": {}}}, 80),
        (
            "patch",
            "/api/tickets",
            {"json": {"ticket_ids": [1], "set": {f"x{n}": 0 for n in range(25)}}},
            5,
        ),
        (
            "patch",
            "/api/tickets",
            {"json": {"ticket_ids": [1], "set": {f"x{n}": 0 for n in range(5000)}}},
            4980,
        ),
        ("patch", "/api/tickets", {"json": {"ticket_ids": [*range(1, 101)], "set": {}}}, 80),
        ("get", "/api/clients", {"query_string": {f"x{n}": 0 for n in range(21)}}, 1),
        ("get", "/api/summary", {"query_string": {f"x{n}": 0 for n in range(22)}}, 2),
        (
            "get",
            "/api/clients",
            {"query_string": [(f"x{n // 2}", 0) for n in range(46)]},
            3,
        ),
    ],
)
def test_twenty_faults_are_listed_and_the_others_counted(
    admin: Caller, method: str, path: str, request_: Any, more: int
) -> None:
    answer = getattr(admin, method)(path, **request_)

    assert answer.status_code == 400
    errors = answer.json["errors"]
    assert errors.pop("_schema") == [f"{more} more errors."]
    assert faults(errors) == 20


@on_sqlite
def test_twenty_faults_are_all_listed(admin: Caller) -> None:
    body = {f"x{n}": 0 for n in range(20)} | {"full_name": "Ada"}

    errors = admin.post("/api/clients", json=body).json["errors"]

    assert (faults(errors), "_schema" in errors) == (20, False)


@on_sqlite
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(16 * 1024 - 1, 400), (16 * 1024 + 1, 413)])
def test_a_login_has_a_shorter_body(server: str, size: int, status: int, chunked: bool) -> None:
    body = b'{"username":"' + b"x" * (size - 15) + b'"}'
    data: Any = iter([body]) if chunked else body

    answer = requests.post(f"{server}/api/login", data=data, headers=HEADERS, timeout=10)

    assert (len(body), answer.status_code) == (size, status)
