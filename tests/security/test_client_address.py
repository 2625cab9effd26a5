"""The client's address: which proxies are trusted, and what addresses are counted by."""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from omnidesk.http.proxies import Proxies
from omnidesk.http.rate_limits.policy import rate_limit_key
from tests.conftest import Caller

TRUSTED = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
CLIENT = "203.0.113.1"


def seen_address(trusted: Any, peer: str, forwarded: str | None) -> str:
    """Return what an app takes for the client's address."""
    seen: list[str] = []
    app = Proxies(
        lambda environ, _: seen.append(environ["REMOTE_ADDR"]),
        {"TRUSTED_PROXIES": trusted, "SCRIPT_NAME": ""},
    )
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    app(environ, lambda *_: None)
    return seen[0]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", CLIENT, "198.51.100.7"),
        ("198.51.100.7", "junk", "198.51.100.7"),
        ("fe80::1%eth0", CLIENT, "fe80::1%eth0"),
        ("", CLIENT, ""),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", CLIENT, CLIENT),
        ("::ffff:127.0.0.1", CLIENT, CLIENT),
        ("fd00::1%eth0", CLIENT, CLIENT),
        ("127.0.0.1", f"1.1.1.1, {CLIENT}", CLIENT),
        ("127.0.0.1", f"1.1.1.1,{CLIENT}", CLIENT),
        ("127.0.0.1", f"{CLIENT}, 10.1.2.3", CLIENT),
        ("127.0.0.1", f"{CLIENT}, 10.1.2.3:443, [fd00::2]:80, ::ffff:10.0.0.1", CLIENT),
        ("127.0.0.1", f"junk, {CLIENT}", CLIENT),
        ("127.0.0.1", "10.0.0.9", "10.0.0.9"),
    ],
)
def test_only_trusted_proxies_are_believed_about_the_client_address(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert seen_address(TRUSTED, peer, forwarded) == client


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (f"{CLIENT}:51234", CLIENT),
        (f"{CLIENT}:", CLIENT),
        (f" \t{CLIENT} ", CLIENT),
        (f'"{CLIENT}:80"', CLIENT),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        (f"::ffff:{CLIENT}", CLIENT),
        (f"[::ffff:{CLIENT}]:443", CLIENT),
    ],
)
def test_an_address_is_counted_without_port_brackets_quotes_and_zone(
    forwarded: str, client: str
) -> None:
    assert seen_address(TRUSTED, "127.0.0.1", forwarded) == client


@pytest.mark.parametrize(
    "forwarded",
    [
        *("", " ", ",", f"{CLIENT},", f"{CLIENT}, ,", f"{CLIENT}, , 10.0.0.1", "unknown"),
        *(f"{CLIENT}, junk", f"{CLIENT}, unknown, 10.0.0.1", "_hidden", "unix:", "localhost"),
        *(f"{CLIENT}/32", f"{CLIENT} 1.1.1.1", f"{CLIENT}:80:80", f"[{CLIENT}", f"{CLIENT}:x"),
        *("[2001:db8::1", "2001:db8::1]:443", "[]", "[]:80", ":80", "2001:db8::1::", "for=1.1.1.1"),
        *("1.2.3", "1.2.3.4.5", "256.1.1.1", "010.0.0.1", "0x7f.1", "1", "::1%", "\xb2.1.1.1"),
        *("9" * 5000, ":" * 5000, "[" * 5000),
    ],
)
def test_what_is_no_address_counts_apart_and_never_as_the_proxy(forwarded: str) -> None:
    assert seen_address(TRUSTED, "127.0.0.1", forwarded) == "unknown"


def test_a_unix_socket_is_trusted_if_it_is_named() -> None:
    assert seen_address([*TRUSTED, "unix"], "", CLIENT) == CLIENT
    assert seen_address(["unix"], "127.0.0.1", CLIENT) == "127.0.0.1"
    assert seen_address(["unix"], "", f"{CLIENT}, 10.1.2.3") == "10.1.2.3"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.1", "203.0.113.1"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_an_ipv6_address_is_counted_by_its_first_64_bits(address: str | None, counted: str) -> None:
    assert rate_limit_key(address) == counted


def statuses(app_with: Any, forwarded: Callable[[int], str]) -> list[int]:
    """Return the responses to 25 failed logins that a trusted proxy forwards."""
    caller = Caller(app_with(TRUSTED_PROXIES=TRUSTED))
    answers = [
        caller.post(
            "/api/login",
            json={"username": f"user{n}", "password": "wrong"},
            headers={"X-Forwarded-For": forwarded(n)},
        )
        for n in range(25)
    ]
    return [answer.status_code for answer in answers]


def test_clients_behind_a_trusted_proxy_are_counted_apart(app_with: Any) -> None:
    assert statuses(app_with, lambda n: f"203.0.113.{n}:51234") == [401] * 25


def test_a_client_that_changes_its_port_is_counted_once(app_with: Any) -> None:
    assert statuses(app_with, lambda n: f"203.0.113.50:{n}") == [401] * 20 + [429] * 5


def test_clients_that_a_proxy_does_not_name_share_a_count_of_their_own(app_with: Any) -> None:
    assert statuses(app_with, lambda n: f"_hidden{n}") == [401] * 20 + [429] * 5
    own = statuses(app_with, "127.0.0.{}".format)
    assert own[:20] == [401] * 20, "it is not the proxy's own"
