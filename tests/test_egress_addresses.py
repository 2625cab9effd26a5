"""The addresses that requests of the server may go to: public ones, whatever a name stands for."""

import socket
import threading
from ipaddress import ip_address, ip_network

import pytest

from omnidesk.egress import ForbiddenUrl, NotConnected, Rules, check_url, connect
from omnidesk.egress.addresses import is_public
from omnidesk.egress.resolving import MAX_LOOKUPS
from tests.names import Names
from tests.receivers import DEVELOPMENT, PRODUCTION, receiver

PUBLIC, ALSO_PUBLIC, PRIVATE = "93.184.215.14", "2606:2800:21f:cb07::1", "10.0.0.5"

# Every row of IANA's registries of special-purpose addresses, as of October 2025.
REGISTRIES = (
    *("0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32"),
    *("192.0.0.10/32", "192.0.0.170/32", "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24"),
    *("192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16", "192.175.48.0/24"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32"),
    *("::1/128", "::/128", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64"),
    *("100:0:0:1::/64", "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128"),
    *("2001:1::3/128", "2001:2::/48", "2001:3::/32", "2001:4:112::/48", "2001:10::/28"),
    *("2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48"),
    *("3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10"),
)
# Multicast, site-local, reserved, and other forms of 127.0.0.1 and 169.254.169.254.
OTHERS = (
    *("224.0.0.0/4", "ff00::/8", "fec0::/10", "::/96", "200::/7", "4000::/3", "e000::/4"),
    *("168.63.129.16/32", "::127.0.0.1/128", "::ffff:169.254.169.254/128", "2002:7f00:1::/48"),
    *("64:ff9b::a9fe:a9fe/128", "64:ff9b:1::7f00:1/128", "2001:0:7f00:1::/64"),
)


@pytest.mark.parametrize("block", [*REGISTRIES, *OTHERS])
def test_no_address_with_a_special_purpose_is_public(block: str) -> None:
    network = ip_network(block)

    assert not is_public(network[0])
    assert not is_public(network[-1])
    assert not is_public(network[network.num_addresses // 2])


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
        ),
        *(
            "128.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
        ),
        *("198.17.255.255", "198.20.0.0", "223.255.255.255", "149.154.167.220", "2a03:2880::1"),
        *(
            "2001:200::",
            "2001:4860:4860::8888",
            "2003::1",
            "2606:4700::1111",
            "2001:db7::",
            "2001:db9::",
        ),
    ],
)
def test_all_others_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@pytest.mark.parametrize("addresses", [[PUBLIC], [ALSO_PUBLIC], [ALSO_PUBLIC, PUBLIC]])
def test_a_name_may_have_public_addresses(names: Names, addresses: list[str]) -> None:
    names.found = [addresses]

    check_url("https://hooks.example.com/x", PRODUCTION)


@pytest.mark.parametrize(
    "addresses",
    [
        *([PRIVATE], [PUBLIC, PRIVATE], [PRIVATE, PUBLIC], [ALSO_PUBLIC, "fd00::1"], ["127.0.0.1"]),
        *(["::1"], ["::ffff:10.0.0.5"], ["fe80::1%2"], [PUBLIC, "169.254.169.254"], ["0.0.0.9"]),
    ],
)
def test_a_name_with_one_address_that_is_not_public_is_refused(
    names: Names, addresses: list[str]
) -> None:
    names.found = [addresses]

    with pytest.raises(ForbiddenUrl, match=r"^hooks.example.com has an address that is not public"):
        check_url("https://hooks.example.com/x", PRODUCTION)
    with pytest.raises(ForbiddenUrl):
        connect("https://hooks.example.com/x", PRODUCTION)


@pytest.mark.parametrize(
    "found", [socket.gaierror(-2, "unknown"), socket.gaierror(-3, "later"), UnicodeError(), []]
)
def test_a_name_without_an_address_is_refused_and_not_connected(
    names: Names, found: list[str] | Exception
) -> None:
    names.found = [found]

    with pytest.raises(ForbiddenUrl, match=r"^The name hooks.example.com has no address"):
        check_url("https://hooks.example.com", PRODUCTION)
    with pytest.raises(NotConnected) as failed:
        connect("https://hooks.example.com", PRODUCTION)
    assert not isinstance(failed.value, ForbiddenUrl)  # it may have one later


def test_a_name_that_becomes_private_after_its_check_is_not_connected_to(names: Names) -> None:
    with receiver() as there:
        rules = Rules(development=False, ports=frozenset({there.port}))
        url = f"https://hooks.example.com:{there.port}/x"
        names.found = [[PUBLIC], ["127.0.0.1"]]
        check_url(url, rules)

        with pytest.raises(ForbiddenUrl, match="not public"):
            connect(url, rules)

        assert there.connections == 0


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(names: Names) -> None:
    with receiver() as there:
        names.found = [["127.0.0.1"], [PRIVATE]]

        with connect(f"http://hooks.example.com:{there.port}/x", DEVELOPMENT) as connection:
            answer = connection.request({}, b"")

    assert answer.status == 200
    assert names.lookups == ["hooks.example.com"]
    assert there.requests[0].headers["host"] == f"hooks.example.com:{there.port}"


def test_the_next_address_is_tried_where_one_takes_no_connection(names: Names) -> None:
    with receiver() as there:
        names.found = [["::1", "127.0.0.1"]]  # it listens on the second only

        with connect(f"http://hooks.example.com:{there.port}/x", DEVELOPMENT) as connection:
            assert connection.request({}, b"").status == 200


def test_a_resolver_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait() and [])
    try:
        for _ in range(MAX_LOOKUPS + 2):
            with pytest.raises(NotConnected, match="not resolved in time"):
                connect("https://hooks.example.com/x", PRODUCTION, timeout=0.02)
    finally:
        ended.set()
    monkeypatch.undo()

    check_url("http://127.0.0.1", DEVELOPMENT)  # the threads are free again
