"""Clients are found by words of their names and addresses, alike on both databases."""

import unicodedata
from typing import Any

import pytest
from sqlalchemy import insert, select

from omnidesk.clients.models import Client
from omnidesk.db import db, utcnow
from omnidesk.db.folding import email_key, phone_key, user_search_text
from omnidesk.db.words import client_words
from omnidesk.migrations.frozen import folding_v1, folding_v2, words_v2
from tests.conftest import Caller, make_client

PEOPLE: tuple[dict[str, Any], ...] = (
    {"full_name": "Grace Hopper", "phone": "+57 301 555 0177"},
    {"full_name": "José Núñez", "email": "jose.nunez@Example.com", "external_id": "CRM-55-7"},
    {"full_name": "Бьёрн Йонссон", "email": "user@münchen.example"},
    {"full_name": "Straße Größe", "email": "user@XN--mnchen-3ya.example"},
    {"full_name": "Łukasz Øster", "phone": "(020) 7946-0958", "external_id": "100%_a\\b"},
    {"full_name": "İpek Işık ＡＤＡ"},
    {"full_name": "ガルシア हिन्दी 김민수"},
)


@pytest.fixture
def names(agent: Caller) -> Any:
    """Find clients by a text: the first names of those that are found."""
    for person in PEOPLE:
        assert agent.post("/api/clients", json=person).status_code == 201

    def find(text: str) -> set[str]:
        answer = agent.get("/api/clients", query_string={"q": text})
        assert answer.status_code == 200
        return {client["full_name"].split()[0] for client in answer.json}

    return find


FOUND = (
    *((text, "Grace") for text in ("grace hop", "hopper GRACE", '"grace  hopper"', "gra")),
    *((text, "Grace") for text in ("3015550177", "301 555 0177", "+57 (301) 555-0177")),
    *((text, "Grace") for text in ("+573015550177", "555-0177", "301.555.0177", "+57 hop")),
    *((text, "Grace") for text in ("grace 301 555 0177", "0177", "177", "550177", "301 55")),
    *((text, "José") for text in ("JOSÉ", "jose", "nunez", "núñez jose", "NUN\u0303EZ")),
    *((text, "José") for text in ("example.com", "jose.nunez@EXAMPLE.com", "jose@ nun")),
    *((text, "José") for text in ("crm-55", "55-7", "crm 55 7", "crm 557", "CRM")),
    *((text, "Бьёрн") for text in ("бьёрн", "БЬЕРН", "йонс", "ионссон", "бье\u0308рн")),
    *((text, "Straße") for text in ("strasse", "STRASSE", "grösse", "xn--mnchen-3ya")),
    ("münchen.example", "Бьёрн Straße"),
    *((text, "Łukasz") for text in ("lukasz", "oster", "ØSTER", "02079460958", "(020)")),
    *((text, "Łukasz") for text in ("100%", "100 b\\", "0207 946")),
    *((text, "İpek") for text in ("ipek", "isik", "ada", "ＩＰＥＫ")),
    *((text, "ガルシア") for text in ("ガルシ", "ｶﾞﾙｼｱ", "हिन्दी", "김민수")),
    *((text, "") for text in ("grace nunez", "カルシア", "+1", "gracehopper", "' OR 1=1")),
    *((text, "") for text in ("rac opp", "gr hopper", "5550178", "٣٠١", '"hopper grace"')),
)


def test_a_client_is_found(names: Any) -> None:
    for text, found in FOUND:
        assert names(text) == set(found.split()), text


@pytest.mark.parametrize(
    "text", ["\u0301", "", " ", "%_", "a" * 201, "a\x00", " ".join("abcdefghijk")]
)
def test_what_has_no_words_is_refused(agent: Caller, text: str) -> None:
    answer = agent.get("/api/clients", query_string={"q": text})

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["q"])


def test_a_number_is_found_however_it_is_written(agent: Caller) -> None:
    written = ("+57 301 555 0177", "+573015550177", "0057-301-555-0177", "(301) 5550177")
    for n, phone in enumerate(written):
        make_client(full_name=str(n), phone=phone)

    for text in (*written[3:], "3015550177", "301 555 0177", "555 0177", "301-55", "5550"):
        found = agent.get("/api/clients", query_string={"q": text}).json
        assert [client["phone"] for client in found] == [*written], text
    found = agent.get("/api/search", query_string={"q": "301 555 0177"}).json
    assert [client["phone"] for client in found["clients"]] == [*written]


def test_a_client_is_found_by_what_was_changed(agent: Caller) -> None:
    path = agent.post("/api/clients", json={"full_name": "Ada"}).headers["Location"]
    agent.patch(path, json={"full_name": "Renée", "phone": "+1 202"})

    def found(text: str) -> int:
        return len(agent.get("/api/clients", query_string={"q": text}).json)

    assert (found("ada"), found("renee"), found("1202")) == (0, 1, 1)


def test_the_next_page_is_linked_with_the_text_as_it_was_sent(agent: Caller) -> None:
    for _ in range(3):
        make_client(full_name="José Núñez")

    first = agent.get("/api/clients", query_string={"q": "NÚÑEZ jos", "limit": 2})
    following = first.headers["Link"].partition(">")[0].lstrip("<")

    assert len(agent.get(following).json) == 1


def test_clients_are_found_however_they_were_inserted(agent: Caller) -> None:
    new = {"full_name": "Renée", "active": True, "created_at": utcnow()}
    db.session.execute(insert(Client), [new, new])
    db.session.commit()

    assert len(agent.get("/api/clients?q=renee").json) == 2


def test_an_upgrade_folds_as_the_server_does() -> None:
    texts: list[Any] = [
        *(
            tuple(person.get(name) for name in ("full_name", "email", "phone", "external_id"))
            for person in PEOPLE
        ),
        ("".join(map(chr, range(1, 0x3000))), None, "+1 (2)-3", None),
        (unicodedata.normalize("NFD", "Ñandú ŭ"), "a@xn--nonsense-.example", None, "1/2"),
    ]

    emails = [some[1] for some in texts] + ["Ñu@GROẞ.example", "not an address", None]
    phones = [some[2] for some in texts] + ["0057 1", "+", "٣", None]
    assert [folding_v2.email_key(email) for email in emails] == [*map(email_key, emails)]
    assert [folding_v2.phone_key(phone) for phone in phones] == [*map(phone_key, phones)]
    assert [words_v2.client_words(*some) for some in texts] == [
        client_words(*some) for some in texts
    ]
    assert [
        folding_v1.search_text(name, email, None, other) for name, email, _, other in texts
    ] == [user_search_text(name, other or "", email) for name, email, _, other in texts]


def test_two_clients_do_not_share_an_external_id(agent: Caller) -> None:
    new = {"full_name": "Ada", "external_id": "crm-1"}
    first, second = (agent.post("/api/clients", json=new) for _ in range(2))
    other = agent.post("/api/clients", json=new | {"external_id": "CRM-1"})
    path = agent.post("/api/clients", json={"full_name": "Bob"}).headers["Location"]
    changed = agent.patch(path, json={"external_id": "crm-1"})
    same = agent.patch(first.headers["Location"], json={"external_id": "crm-1"})

    answers = (first, second, other, changed, same)
    assert [answer.status_code for answer in answers] == [201, 409, 201, 409, 200]
    for refused in (second, changed):
        assert refused.json["errors"] == {"external_id": ["Already taken."]}
    assert agent.post("/api/clients", json={"full_name": "Cy"}).status_code == 201
    assert len(db.session.scalars(select(Client)).all()) == 4
    db.session.rollback()
