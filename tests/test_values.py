"""Values of a body: numbers, texts and the names of fields."""

import json
from typing import Any

import pytest

from tests.conftest import Caller, make_client

JSON = "application/json"

NO_IDS = (
    *("2147483648", "9223372036854775808", "-9223372036854775809", "1e400", "-0", "1e2"),
    *('"7"', "7.0", "7.5", "true", "false", "[]", "{}", "[7]"),
)


@pytest.mark.parametrize(
    ("field", "literal"),
    [*(("client_id", literal) for literal in NO_IDS), ("assigned_to", "2147483648")],
)
def test_a_number_is_a_whole_number_of_a_row(admin: Caller, field: str, literal: str) -> None:
    body = {"client_id": make_client().client_id, "subject": "Help"}
    body[field] = "HERE"

    answer = admin.post(
        "/api/tickets", data=json.dumps(body).replace('"HERE"', literal), content_type=JSON
    )

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


TEXTS = [
    ("/api/tickets", {"client_id": 1, "subject": "Help"}, "subject", 998),
    ("/api/tickets", {"client_id": 1, "subject": "Help"}, "description", 65_536),
    ("/api/clients", {"full_name": "Ada"}, "full_name", 120),
    ("/api/clients", {"full_name": "Ada"}, "phone", 32),
    ("/api/clients", {"full_name": "Ada"}, "external_id", 255),
]


UNITS = ("x", "ñ", "🔑", "e\u0301", "👩‍🔧")


# What a text may be is the same for each field; how long, a matter of its column.
@pytest.mark.parametrize(
    ("path", "body", "field", "longest", "unit"),
    [*((*TEXTS[0], unit) for unit in UNITS), *((*text, "🔑") for text in TEXTS[1:])],
)
def test_a_text_is_counted_in_code_points(
    agent: Caller, path: str, body: dict[str, Any], field: str, longest: int, unit: str
) -> None:
    make_client()
    fits = (unit * longest)[:longest]

    answer = agent.post(path, json=body | {field: fits})
    assert (answer.status_code, answer.json[field]) == (201, fits)

    answer = agent.post(path, json=body | {field: fits + "x"})
    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])


NO_TEXTS: tuple[object, ...] = ("a\x00b", "\ud800", "a\udfffb", 7, True, [], {})


@pytest.mark.parametrize(
    ("path", "body", "field", "value"),
    [
        *((*TEXTS[0][:3], value) for value in NO_TEXTS),
        *((*text[:3], "a\x00b") for text in TEXTS[1:]),
    ],
)
def test_a_text_without_meaning_is_refused_by_name(
    agent: Caller, path: str, body: dict[str, Any], field: str, value: object
) -> None:
    make_client()

    answer = agent.post(path, json=body | {field: value})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


@pytest.mark.parametrize(
    "blank",
    [
        "",
        " ",
        "\t\n",
        "\u200b",
        "\u00a0\u3000",
        "\ufeff\u2060",
        "\uffa0\u180f",
        "\ufff9\ufffb",
        "\U000e0020\U000e007f",
        "\U000e0100",
        "\U0001d173",
        "\U0001bca0",
    ],
)
def test_a_subject_shows_something(agent: Caller, blank: str) -> None:
    answer = agent.post(
        "/api/tickets", json={"client_id": make_client().client_id, "subject": blank}
    )

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == ["subject"]


@pytest.mark.parametrize(
    "value",
    [
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "{{7*7}} ${7*7} %s%n {0}",
        "'; DROP TABLE ticket; --",
        "a\u202eb",
        "line one\nline two\r\x07",
        "\u2028 \U0010ffff \ufffe",
    ],
)
def test_a_text_is_given_back_as_it_came(agent: Caller, value: str) -> None:
    body = {"client_id": make_client().client_id, "subject": value, "description": value}

    answer = agent.post("/api/tickets", json=body)

    assert answer.json["subject"] == value
    assert agent.get(answer.headers["Location"]).json["description"] == value


WHATSAPP = {"channel": "shop", "type": "whatsapp"}
URL = "an address that begins with https:// or http://"


@pytest.mark.parametrize(
    ("path", "body", "form"),
    [
        ("clients", {"email": "bad@"}, "an address such as ada@example.com"),
        ("users", {"username": "ada lovelace"}, "letters from a to z, digits, and . _ -"),
        ("channels", WHATSAPP | {"settings": {"phone_number_id": "+1"}}, "digits"),
        ("channels", WHATSAPP | {"settings": {"api_version": "25"}}, "a version such as v25.0"),
        ("channels", WHATSAPP | {"settings": {"api_base": "ftp://a"}}, f"{URL}, without a query"),
        ("channels", WHATSAPP | {"settings": {"url": "ftp://a"}}, URL),
        (
            "channels",
            WHATSAPP | {"secrets": {"app_secret": "FOO"}},
            "CHANNEL_ and then capital letters, digits and _",
        ),
        (
            "imports/clients",
            {"source": "Old desk"},
            "a to z, digits, and . _ - but not at the beginning",
        ),
    ],
)
def test_the_form_of_a_text_is_told_in_words(
    admin: Caller, path: str, body: dict[str, Any], form: str
) -> None:
    answer = admin.post(f"/api/{path}", json=body)

    assert f"Not allowed: must be {form}." in answer.text


def test_the_form_of_a_tag_is_told_in_words(agent: Caller) -> None:
    answer = agent.get("/api/tickets?tag=a%20b")

    form = "letters, digits, and _ . : - but not at the beginning"
    assert answer.json["errors"] == {"tag": [f"Not allowed: must be {form}."]}


def test_a_misspelt_field_is_told_the_right_one(agent: Caller) -> None:
    answer = agent.post("/api/tickets", json={"client_id": 1, "subjekt": "Help"})

    assert answer.json["errors"] == {
        "subject": ["Missing data for required field."],
        "subjekt": ["Unknown field. Did you mean 'subject'?"],
    }


@pytest.mark.parametrize("name", ["\ud800", "a\x00b", "x" * 100_000, "", "__proto__", "_schema"])
def test_an_unknown_field_may_have_any_name(agent: Caller, name: str) -> None:
    answer = agent.post("/api/clients", json={"full_name": "Ada", name: 1})

    assert answer.status_code == 400
    assert len(answer.json["errors"]) == 1


def test_many_unknown_fields_are_answered_too(agent: Caller) -> None:
    answer = agent.post("/api/clients", json={f"field{n}": n for n in range(50_000)})

    assert answer.status_code == 400
    assert len(answer.json["errors"]) == 21
    assert answer.json["errors"]["_schema"] == ["49980 more errors."]
