"""Settings: safe by default, and told all at once when they are wrong."""

import re
from pathlib import Path

import pytest

import config

KEY = "k" * 32


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's own, and an instance folder of the test's."""
    for name in ("OMNIDESK_ENV", "SECRET_KEY", "DATABASE_URL", "PUBLIC_READS", "CORS_ORIGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(config, "INSTANCE", tmp_path / "instance")


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> config.Production:
    """Return the settings that an environment asks for."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return config.from_environment()


def test_production_is_the_default_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch, SECRET_KEY=KEY)

    assert chosen.ENV == "production"
    assert chosen.PUBLIC_READS == chosen.CORS_ORIGINS == []
    assert chosen.LOCAL_ORIGINS == ""
    assert str(chosen.SQLALCHEMY_DATABASE_URI) == "sqlite:///omnidesk.db"


def test_development_is_as_the_contract_says(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch, OMNIDESK_ENV="development")

    assert chosen.PUBLIC_READS == ["events", "tickets", "conversations"]
    for origin in ("http://localhost:3000", "null"):
        assert re.fullmatch(chosen.LOCAL_ORIGINS, origin)


def test_developments_key_is_made_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = settings(monkeypatch, OMNIDESK_ENV="development").JWT_SECRET_KEY

    assert len(first) >= 32
    assert first == settings(monkeypatch).JWT_SECRET_KEY
    assert (config.INSTANCE / "secret_key").stat().st_mode & 0o077 == 0
    assert settings(monkeypatch, SECRET_KEY=KEY).JWT_SECRET_KEY == KEY


@pytest.mark.parametrize(
    "given", ["postgres://u:p@h/d", "postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"]
)
def test_a_postgres_url_gets_our_driver(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    chosen = settings(monkeypatch, SECRET_KEY=KEY, DATABASE_URL=given)

    assert chosen.SQLALCHEMY_DATABASE_URI.drivername == "postgresql+psycopg"
    assert chosen.SQLALCHEMY_DATABASE_URI.password == "p"


def test_lists_may_have_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch, SECRET_KEY=KEY, PUBLIC_READS="tickets, events")

    assert chosen.PUBLIC_READS == ["tickets", "events"]
    assert settings(monkeypatch, PUBLIC_READS="").PUBLIC_READS == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "k" * 31),
        ("OMNIDESK_ENV", "prod"),
        ("DATABASE_URL", "mysql://h/d"),
        ("DATABASE_URL", "nothing"),
        ("PUBLIC_READS", "users"),
        ("PUBLIC_READS", "summary"),
        ("PUBLIC_READS", "tickets,user"),
        ("THREADS", "0"),
        ("THREADS", "many"),
        ("PORT", "99999"),
        ("WEB_CONCURRENCY", "0"),
        ("DATABASE_URL", "sqlite://"),
        ("DATABASE_URL", "sqlite:///:memory:"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://desk.example.com/"),
        ("CORS_ORIGINS", "http://localhost:3000,localhost:3000"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "https://desk.example.com:99999"),
        ("CORS_ORIGINS", "https://user@desk.example.com"),
        ("CORS_ORIGINS", "https://desk.example.com?x"),
        ("CORS_ORIGINS", "https://[::1"),
        ("CORS_ORIGINS", "https://[1]"),
        ("CORS_ORIGINS", "http://127.1"),
        ("CORS_ORIGINS", "https://münchen..example"),
        ("CORS_ORIGINS", "https://a\nb"),
        ("CORS_ORIGINS", "capacitor://"),
        ("CORS_ORIGINS", "chrome-extension://*"),
        ("CORS_ORIGINS", "file://"),
        ("CORS_ORIGINS", "wss://desk.example.com"),
        ("CORS_ORIGINS", "null"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(config.InvalidSettings) as refused:
        settings(monkeypatch, **{"SECRET_KEY": KEY, name: value})

    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_all_bad_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(config.InvalidSettings, match=r"SECRET_KEY.*DATABASE_URL.*THREADS"):
        settings(monkeypatch, SECRET_KEY="", DATABASE_URL="x", THREADS="x")
