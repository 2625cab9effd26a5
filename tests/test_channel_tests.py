"""Whether a channel can work, as an admin finds out before messages do."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from omnidesk.providers import testing
from tests.conftest import Caller, make_channel
from tests.postgres import free_port
from tests.providers.habits import HANG, answer
from tests.providers.operator import Operator
from tests.providers.standin import StandIn
from tests.providers.telegram import Telegram
from tests.providers.whatsapp import WhatsApp

VARIABLES = {
    name: f"CHANNEL_{name.upper()}"
    for name in ("access_token", "app_secret", "verify_token", "bot_token", "webhook_secret")
}


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of the stand-ins, in the environment."""
    for name, variable in VARIABLES.items():
        owner = Telegram if name in ("bot_token", "webhook_secret") else WhatsApp
        monkeypatch.setenv(variable, getattr(owner, name.replace("bot_", "")))
    monkeypatch.setenv("CHANNEL_SIGNING_SECRET", Operator.secret)


@pytest.fixture(params=["telegram", "whatsapp", "webhook"])
def provider(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    """A stand-in, on which the channel 1 is."""
    kinds: dict[str, Any] = {"telegram": Telegram, "whatsapp": WhatsApp, "webhook": Operator}
    request.getfixturevalue("app")
    with kinds[request.param]() as running:
        make_channel(request.param, **setup_of(running))
        yield running


def setup_of(provider: StandIn) -> dict[str, Any]:
    """Return the settings and secrets of a channel that is on a stand-in."""
    if isinstance(provider, Operator):
        secrets = {"signing_secret": "CHANNEL_SIGNING_SECRET"}
        return {"settings": {"url": provider.url}, "secrets": secrets}
    settings = {"api_base": provider.url}
    if isinstance(provider, Telegram):
        names: tuple[str, ...] = ("bot_token", "webhook_secret")
    else:
        settings["phone_number_id"] = provider.business["phone_number_id"]  # type: ignore[attr-defined]
        names = ("access_token", "app_secret", "verify_token")
    return {"settings": settings, "secrets": {name: VARIABLES[name] for name in names}}


def checks_of(admin: Caller) -> dict[str, Any]:
    """Return what is wrong with the channel 1, by the name of the check; None for nothing."""
    answer = admin.post("/api/channels/1/test")
    assert answer.status_code == 200
    checks = answer.json["checks"]
    assert answer.json["ok"] == all(check["ok"] for check in checks)
    assert all(check["ok"] == (check["error"] is None) for check in checks)
    return {check["name"]: check["error"] for check in checks}


@pytest.mark.usefixtures("secrets")
def test_a_channel_that_can_work_is_found_right(provider: StandIn, admin: Caller) -> None:
    found = checks_of(admin)

    assert {*found.values()} == {None}
    assert found.keys() > {"provider"}
    assert [accepted.text for accepted in provider.accepted] in ([], ["test"])


def test_a_secret_that_is_missing_is_told_by_its_name(
    provider: StandIn, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*VARIABLES.values(), "CHANNEL_SIGNING_SECRET"):
        monkeypatch.delenv(variable, raising=False)

    found = checks_of(admin)

    assert found.pop("provider") == "Not asked without the secrets."
    assert all("CHANNEL_" in error for error in found.values())
    assert provider.requests == []


@pytest.mark.usefixtures("secrets")
def test_a_secret_that_is_not_accepted_is_told_and_not_shown(
    provider: StandIn, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = base64.b64encode(b"another secret of 24 bytes").decode()
    for variable in ("CHANNEL_BOT_TOKEN", "CHANNEL_ACCESS_TOKEN", "CHANNEL_SIGNING_SECRET"):
        monkeypatch.setenv(variable, f"whsec_{wrong}")

    found = checks_of(admin)

    assert "answered with status 4" in found["provider"]
    assert wrong not in str(found)


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    ("before", "after"), [("No bot ", " here"), ("x" * 265, "")], ids=["whole", "cut"]
)
def test_a_secret_that_a_provider_repeats_is_not_quoted_nor_a_part_of_it(
    admin: Caller, before: str, after: str
) -> None:
    with Telegram() as telegram:
        make_channel("telegram", **setup_of(telegram))
        said = f'{{"ok": false, "description": "{before}{telegram.token}{after}"}}'
        telegram.once(answer(401, said.encode()))

        found = checks_of(admin)

    assert found["provider"] == f"It answered with status 401: {before}***{after}"


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    ("base", "error"),
    [
        ("http://127.0.0.1:{port}", "it refused the connection"),
        ("http://10.0.0.1:{port}", "not public"),
        ("http://nowhere.invalid:{port}", "has no address"),
    ],
)
def test_a_provider_that_cannot_be_reached_is_told(admin: Caller, base: str, error: str) -> None:
    settings = {"api_base": base.format(port=free_port())}
    names = ("bot_token", "webhook_secret")
    make_channel(settings=settings, secrets={name: VARIABLES[name] for name in names})

    found = checks_of(admin)

    assert error in found["provider"]
    assert Telegram.token not in str(found)


@pytest.mark.usefixtures("secrets")
def test_a_provider_that_is_silent_is_not_waited_for_long(
    provider: StandIn, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "ANSWER_SECONDS", 0.05)
    provider.once(HANG)

    assert "took too long" in checks_of(admin)["provider"]
    assert testing.CONNECT_SECONDS + testing.ANSWER_SECONDS < 15


def test_a_channel_that_nobody_serves_needs_nothing(admin: Caller) -> None:
    make_channel("none")

    assert admin.post("/api/channels/1/test").json == {"ok": True, "checks": []}


def test_only_admins_test_channels_that_there_are(admin: Caller, agent: Caller) -> None:
    make_channel()

    assert agent.post("/api/channels/1/test").status_code == 403
    assert admin.post("/api/channels/2/test").status_code == 404
