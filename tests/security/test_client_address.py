"""The client's address: which proxies are trusted, and what addresses are counted by."""

from ipaddress import ip_network
from typing import Any

import pytest

from omnidesk.http.rate_limits.policy import client_address, rate_limit_key
from tests.conftest import Caller

TRUSTED = [ip_network("127.0.0.1"), ip_network("10.0.0.0/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", "203.0.113.1", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "1.1.1.1, 203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "203.0.113.1, 10.1.2.3", "203.0.113.1"),
        ("127.0.0.1", "203.0.113.1, junk", "127.0.0.1"),
        ("127.0.0.1", "junk, 203.0.113.1", "203.0.113.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.9", "10.0.0.9"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("", "203.0.113.1", ""),
    ],
)
def test_only_trusted_proxies_are_believed_about_the_client_address(
    peer: str, forwarded: str, client: str
) -> None:
    assert client_address(TRUSTED, peer, forwarded) == client


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


def test_a_trusted_proxy_is_believed(app_with: Any) -> None:
    caller = Caller(app_with(TRUSTED_PROXIES=TRUSTED))

    answers = [
        caller.post(
            "/api/login",
            json={"username": f"user{n}", "password": "wrong"},
            headers={"X-Forwarded-For": f"203.0.113.{n}"},
        )
        for n in range(25)
    ]

    assert {answer.status_code for answer in answers} == {401}
