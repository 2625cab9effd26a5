"""Settings: safe by default, and told all at once when they are wrong."""

import re
import subprocess
from pathlib import Path

import pytest

import config
from tests.servers import BIN, ROOT, environ

KEY = "k" * 32


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine's own, and an instance folder of the test's."""
    for name in BAD:
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


def test_a_path_may_end_with_a_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        settings(monkeypatch, SECRET_KEY=KEY, SCRIPT_NAME=name).SCRIPT_NAME
        for name in ("/desk", "/desk/", "/a/b.c-d_e~f", "/", "")
    ]

    assert found == ["/desk", "/desk", "/a/b.c-d_e~f", "", ""]


def test_lists_may_have_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(monkeypatch, SECRET_KEY=KEY, PUBLIC_READS="tickets, events")

    assert chosen.PUBLIC_READS == ["tickets", "events"]
    assert settings(monkeypatch, PUBLIC_READS="").PUBLIC_READS == []
    proxies = settings(monkeypatch, TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8 ,::1,unix")
    assert [str(each) for each in proxies.TRUSTED_PROXIES] == [
        *("127.0.0.1/32", "10.0.0.0/8", "::1/128", "unix")
    ]


def test_requests_may_go_to_these_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, SECRET_KEY=KEY).EGRESS_PORTS == [443, 8443]
    assert settings(monkeypatch, OMNIDESK_ENV="development").EGRESS_PORTS is None
    assert settings(monkeypatch, EGRESS_PORTS="443, 9443").EGRESS_PORTS == [443, 9443]
    assert settings(monkeypatch, EGRESS_PORTS="").EGRESS_PORTS == []


def test_there_may_be_a_previous_key_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, SECRET_KEY=KEY).SECRET_KEY_PREVIOUS == ""
    assert settings(monkeypatch, SECRET_KEY_PREVIOUS=KEY).SECRET_KEY_PREVIOUS == KEY
    assert settings(monkeypatch, SECRET_KEY_PREVIOUS="").SECRET_KEY_PREVIOUS == ""


def test_changes_are_kept_for_so_many_days_or_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(monkeypatch, SECRET_KEY=KEY).CHANGE_LOG_DAYS is None
    assert settings(monkeypatch, CHANGE_LOG_DAYS="30").CHANGE_LOG_DAYS == 30
    assert settings(monkeypatch, CHANGE_LOG_DAYS="").CHANGE_LOG_DAYS is None


NO_TEXT = "\udcff" * 40  # what Python makes of bytes that are not UTF-8
KEYS = ("", "k" * 31, NO_TEXT)
RATES = (
    *("x", " ", "5", "5 per", "per minute", "0 per minute", "-1 per minute", "5.5 per minute"),
    *("5 per fortnight", "5 per minute; 10 per hour", "9999999999 per year", "5 per 99 years"),
    *("a\nb", NO_TEXT),
)
BAD = {
    "OMNIDESK_ENV": ("prod", "", "Production", " development", "testing", NO_TEXT),
    "SECRET_KEY": KEYS,
    "SECRET_KEY_PREVIOUS": KEYS[1:],
    "DATABASE_URL": (
        *("", "nothing", "mysql://h/d", "sqlite://", "sqlite:///:memory:", "postgresql://h:x/d"),
        *("postgresql://h:99999/d", "postgresql://[::1/d", "postgresql+psycopg2://h/d", NO_TEXT),
        *("sqlite:///desk.db?timeout=x", "sqlite:///desk.db?uri=true", "sqlite:///desk.db?mode=ro"),
        *("postgresql:///d?host=a,b,c&port=1,2", "postgresql://h/d?port=1,2"),
    ),
    "PUBLIC_READS": ("users", "summary", "tickets,user", "tickets,,events", "*", "a\nb", NO_TEXT),
    "CORS_ORIGINS": (
        *("*", "https://desk.example.com/", "http://localhost:3000,localhost:3000", "http://[::1"),
        *("https://desk.example.com,", "a\nb", NO_TEXT, "https://*.example.com", "https://[::1"),
        *("https://desk.example.com:99999", "https://user@desk.example.com", "https://[1]"),
        *("https://desk.example.com?x", "http://127.1", "https://münchen..example", "file://"),
        *("capacitor://", "chrome-extension://*", "wss://desk.example.com", "null"),
    ),
    "RATE_LIMIT_TOKEN": RATES,
    "RATE_LIMIT_ANONYMOUS": RATES,
    "RATE_LIMIT_LOGIN": RATES,
    "RATE_LIMIT_LOGIN_ADDRESS": RATES,
    "RATE_LIMIT_STORAGE": (
        *("", "redis", "redis://", "redis:///0", "redis://h:x", "redis://h:99999", "redis://h?x=y"),
        *("redis://h?db=x", "memory://", "database://x", "a\nb", NO_TEXT),
    ),
    "METRICS_TOKEN": ("secret", "x" * 15, "x" * 16 + " ", "ü" * 16, NO_TEXT),
    "TRUSTED_PROXIES": (
        *("localhost", "127.0.0.1,localhost", "127.0.0.1,", "127.0.0.1 10.0.0.1", "127.0.0.1:80"),
        *("[::1]", "10.0.0.1/8", "10.0.0.0/99", "010.0.0.1", "999.0.0.1", "1", "*", "unix:"),
        *("a\nb", NO_TEXT),
    ),
    "SCRIPT_NAME": (
        *(
            "desk",
            "//evil",
            "/a b",
            "/a//b",
            "/..",
            "/a/./b",
            "/a?b",
            "/a#b",
            "/%41",
            "/a,/b",
            '/"',
        ),
        *("http://evil", "/" + "x" * 300, "/\xe9", "/a\n", NO_TEXT),
    ),
    "REOPEN_HOURS": ("x", "", "-1", "1.5", "9999999"),
    "EGRESS_PORTS": (
        *("https", "0", "-1", "65536", "443,", "443 8443", "8443,x", "4.5", "٤٤٣", "a\nb"),
        NO_TEXT,
    ),
    "BACKUP_DIR": ("backups", "./backups", "/var/\nbackups", NO_TEXT),
    "CHANGE_LOG_DAYS": ("x", " ", "0", "-1", "1.5", "9999999"),
    "PORT": ("x", "", "0", "-1", "65536", "80.5", "80 81"),
    "WEB_CONCURRENCY": ("0", "257", "x", "", "1.5", "-1"),
    "THREADS": ("0", "65", "x", "", "1.5"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_bad_setting_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(config.InvalidSettings) as refused:
        settings(monkeypatch, **{"SECRET_KEY": KEY, name: value})

    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("command", [("flask", "--app", "wsgi", "prune"), ("gunicorn", "wsgi:app")])
@pytest.mark.parametrize("turn", range(2))
def test_a_start_with_bad_settings_ends_with_one_line_that_names_them_all(
    command: tuple[str, ...], turn: int
) -> None:
    # Before our settings, gunicorn itself reads WEB_CONCURRENCY: it must be a number here.
    bad = {name: values[turn % len(values)] for name, values in BAD.items()}

    start = subprocess.run(
        [BIN / command[0], *command[1:]],
        env=environ(bad),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert start.returncode == 1
    (line,) = start.stderr.splitlines()
    assert line.startswith("omnidesk cannot start: ")
    assert [name for name in BAD if f" {name} " not in line] == []


@pytest.mark.parametrize("name", ["nowhere/desk.db", "instance", "file/desk.db"])
def test_a_file_that_cannot_be_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "instance").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(config.InvalidSettings, match=f"DATABASE_URL .*{tmp_path}") as refused:
        settings(monkeypatch, SECRET_KEY=KEY, DATABASE_URL=f"sqlite:///{tmp_path}/{name}")

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("env", ["production", "development"])
def test_an_instance_folder_that_cannot_be_made_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, env: str
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(config, "INSTANCE", tmp_path / "file" / "instance")
    given = {"SECRET_KEY": KEY} if env == "production" else {}

    with pytest.raises(config.InvalidSettings, match=f"{tmp_path}/file") as refused:
        settings(monkeypatch, OMNIDESK_ENV=env, **given)

    assert "\n" not in str(refused.value)


def test_all_bad_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(config.InvalidSettings, match=r"SECRET_KEY.*DATABASE_URL.*THREADS"):
        settings(monkeypatch, SECRET_KEY="", DATABASE_URL="x", THREADS="x")
