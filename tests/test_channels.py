"""Channels: who brings and sends the messages of conversations, and with what."""

from typing import Any

import pytest

from tests.conftest import Caller, make_conversation, make_message
from tests.names import Names

CHANNELS = "/api/channels"
TELEGRAM = {
    "channel": "telegram",
    "type": "telegram",
    "secrets": {"bot_token": "CHANNEL_BOT_TOKEN", "webhook_secret": "CHANNEL_WEBHOOK_SECRET"},
}
WHATSAPP = {"channel": "wa", "type": "whatsapp", "settings": {"phone_number_id": "106540352242922"}}
WEBHOOK = {
    "channel": "sms",
    "type": "webhook",
    "settings": {"url": "http://127.0.0.1:9/sms?to=all"},
    "secrets": {"signing_secret": "CHANNEL_SMS_SECRET"},
}
NONE = {"channel": "paper", "type": "none"}
LONGEST = "CHANNEL_" + "A" * 100


def created(admin: Caller, body: dict[str, Any]) -> dict[str, Any]:
    """Set up a channel and return it."""
    answer = admin.post(CHANNELS, json=body)
    assert answer.status_code == 201, answer.json
    assert admin.get(answer.headers["Location"]).json == answer.json
    return dict(answer.json)


def test_a_channel_is_set_up_with_what_its_type_needs(admin: Caller) -> None:
    shown = created(admin, TELEGRAM)

    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "channel_id": 1,
        **TELEGRAM,
        "settings": {"api_base": "https://api.telegram.org"},
        "active": True,
        "bot_first": False,
        "reopen_hours": None,
    }


def test_the_makers_address_is_the_default(admin: Caller) -> None:
    own = {"phone_number_id": "1", "api_version": "v23.0", "api_base": "http://127.0.0.1:8081/"}

    shown = [
        created(admin, body)["settings"]
        for body in (WHATSAPP, WHATSAPP | {"channel": "other", "settings": own})
    ]

    default = {"api_base": "https://graph.facebook.com", "api_version": "v25.0"}
    assert shown[0] == default | WHATSAPP["settings"]  # type: ignore[operator]
    assert shown[1] == own | {"api_base": "http://127.0.0.1:8081"}


def test_every_type_is_listed(admin: Caller) -> None:
    made = [created(admin, body) for body in (TELEGRAM, WHATSAPP, WEBHOOK, NONE)]

    assert admin.get(CHANNELS).json == made
    assert (made[3]["settings"], made[3]["secrets"]) == ({}, {})


@pytest.mark.parametrize(
    ("change", "field", "name"),
    [
        ({"type": "smoke"}, "type", None),
        ({"channel": ""}, "channel", None),
        ({"channel": "x" * 33}, "channel", None),
        ({"channel_id": 1}, "channel_id", None),
        ({"reopen_hours": -1}, "reopen_hours", None),
        ({"reopen_hours": 878_401}, "reopen_hours", None),
        ({"bot_first": "yes"}, "bot_first", None),
        ({"settings": None}, "settings", None),
        ({"settings": {"token": "x"}}, "settings", "token"),
        ({"settings": {"url": "http://127.0.0.1/"}}, "settings", "url"),
        ({"settings": {"api_base": "http://127.0.0.1/?x"}}, "settings", "api_base"),
        ({"settings": {"api_base": "ftp://127.0.0.1/"}}, "settings", "api_base"),
        ({"settings": {"api_base": "http://10.0.0.1/"}}, "settings", "api_base"),
        ({"settings": {"api_base": 7}}, "settings", "api_base"),
        ({"type": "whatsapp", "settings": {}, "secrets": {}}, "settings", "phone_number_id"),
        (
            {"type": "whatsapp", "secrets": {}, "settings": {"phone_number_id": "+57 1"}},
            *("settings", "phone_number_id"),
        ),
        (
            {
                "type": "whatsapp",
                "secrets": {},
                "settings": {"phone_number_id": "1", "api_version": "../v23.0"},
            },
            *("settings", "api_version"),
        ),
        ({"type": "webhook", "secrets": {}}, "settings", "url"),
        ({"secrets": {"bot_token": "SECRET_KEY"}}, "secrets", "bot_token"),
        ({"secrets": {"bot_token": "channel_token"}}, "secrets", "bot_token"),
        ({"secrets": {"bot_token": "123:abc"}}, "secrets", "bot_token"),
        ({"secrets": {"bot_token": "CHANNEL_"}}, "secrets", "bot_token"),
        ({"secrets": {"bot_token": LONGEST + "A"}}, "secrets", "bot_token"),
        ({"secrets": {"app_secret": "CHANNEL_APP"}}, "secrets", "app_secret"),
        ({"secrets": {"other": "CHANNEL_OTHER"}}, "secrets", "other"),
        ({"type": "none"}, "secrets", "bot_token"),
    ],
)
def test_a_channel_that_is_set_up_wrongly_is_refused(
    admin: Caller, change: dict[str, Any], field: str, name: str | None
) -> None:
    answer = admin.post(CHANNELS, json=TELEGRAM | change)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [field])
    if name is not None:
        assert name in answer.json["errors"][field]
    assert admin.get(CHANNELS).json == []


def test_an_address_is_looked_up_before_it_is_stored(admin: Caller, names: Names) -> None:
    names.found = [["10.0.0.7"], ["8.8.8.8", "10.0.0.7"], OSError(), ["8.8.8.8"]]
    body = WEBHOOK | {"settings": {"url": "https://program.example/sms"}}

    answers = [admin.post(CHANNELS, json=body) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 201]
    assert [*answers[0].json["errors"]["settings"]] == ["url"]


def test_a_name_is_taken_once(admin: Caller) -> None:
    created(admin, TELEGRAM)

    answer = admin.post(CHANNELS, json=NONE | {"channel": "telegram"})

    assert (answer.status_code, [*answer.json["errors"]]) == (409, ["channel"])


def test_a_channel_is_changed_name_by_name(admin: Caller) -> None:
    address = f"{CHANNELS}/{created(admin, WHATSAPP)['channel_id']}"

    admin.patch(address, json={"settings": {"api_version": "v24.0"}, "reopen_hours": 8})
    admin.patch(address, json={"secrets": {"app_secret": LONGEST}, "bot_first": True})
    admin.patch(address, json={"secrets": {"verify_token": "CHANNEL_V"}, "active": False})
    changed = admin.patch(address, json={"secrets": {"app_secret": None}})

    assert changed.status_code == 200
    assert changed.json == admin.get(address).json
    assert changed.json["settings"]["api_version"] == "v24.0"
    assert changed.json["secrets"] == {"verify_token": "CHANNEL_V"}
    assert [changed.json[name] for name in ("active", "bot_first", "reopen_hours")] == [
        *(False, True, 8)
    ]
    default = admin.patch(address, json={"settings": {"api_version": None}}).json
    assert default["settings"]["api_version"] == "v25.0"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channel": "other"}, "channel"),
        ({"type": "none"}, "type"),
        ({"settings": {"phone_number_id": None}}, "settings"),
        ({"settings": {"url": "http://127.0.0.1/"}}, "settings"),
        ({"settings": {"api_base": "https://192.168.0.1"}}, "settings"),
        ({"secrets": {"bot_token": "CHANNEL_X"}}, "secrets"),
        ({"active": None}, "active"),
    ],
)
def test_a_change_that_does_not_fit_the_type_is_refused(
    admin: Caller, change: dict[str, Any], field: str
) -> None:
    before = created(admin, WHATSAPP)
    address = f"{CHANNELS}/{before['channel_id']}"

    answer = admin.patch(address, json=change)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [field])
    assert admin.get(address).json == before


def test_a_channel_is_changed_only_as_its_admin_knows_it(admin: Caller) -> None:
    address = f"{CHANNELS}/{created(admin, TELEGRAM)['channel_id']}"
    known = {"If-Match": admin.get(address).headers["ETag"]}
    admin.patch(address, json={"active": False})

    answers = [
        admin.patch(address, json={"active": True}, headers=known),
        admin.delete(address, headers=known),
    ]

    assert [answer.status_code for answer in answers] == [412, 412]
    assert answers[0].json["current"]["active"] is False


def test_a_channel_is_deleted_when_no_conversation_is_on_it(admin: Caller) -> None:
    address = f"{CHANNELS}/{created(admin, NONE)['channel_id']}"
    make_message(make_conversation(channel="web"))

    assert admin.delete(address).status_code == 204
    assert admin.get(address).status_code == 404


def test_a_channel_stays_while_conversations_are_on_it(admin: Caller) -> None:
    address = f"{CHANNELS}/{created(admin, NONE)['channel_id']}"
    make_conversation(channel="paper", active=False)

    answer = admin.delete(address)

    assert (answer.status_code, [*answer.json["errors"]]) == (409, ["channel_id"])
    assert admin.get(address).status_code == 200


def test_channels_are_for_admins_alone(admin: Caller, agent: Caller) -> None:
    address = f"{CHANNELS}/{created(admin, TELEGRAM)['channel_id']}"

    answers = [
        agent.get(CHANNELS),
        agent.get(address),
        agent.post(CHANNELS, json=NONE),
        agent.patch(address, json={"active": False}),
        agent.delete(address),
    ]

    assert [answer.status_code for answer in answers] == [403] * 5


def test_a_secret_itself_is_shown_nowhere(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANNEL_BOT_TOKEN", "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw")
    created(admin, TELEGRAM)

    shown = admin.get(CHANNELS).get_data(as_text=True)

    assert "AAHdq" not in shown
    assert "CHANNEL_BOT_TOKEN" in shown
