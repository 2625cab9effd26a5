"""The URLs that requests of the server may go to: their schemes, hosts and ports."""

import pytest

import config
from omnidesk.egress import ForbiddenUrl, Rules, check_url, connect
from omnidesk.egress.urls import parse_url
from tests.names import Names
from tests.receivers import DEVELOPMENT, PRODUCTION

PUBLIC = "93.184.215.14"
NUMBERS = (
    *("127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001"),
    *("0x7F.0x0.0x0.0x1", "127.0.0.1.", "1.2.3", "1.2.3.4.5", "256.1.1.1", "[127.0.0.1]", "0"),
)
NO_URLS = (
    *("", "https", "https://", "//example.com", "example.com", "https:example.com", "https:///x"),
    *("https://user@example.com", "https://user:password@example.com", "https://@example.com"),
    *("https://example.com#fragment", "https://example.com/#", "https://example.com/a b"),
    *("https://example.com/\r\nX: y", "https://example.com/x\n", " https://example.com"),
    *("https://example.com\\@127.0.0.1", "https://exa\tmple.com", "https://example.com/\x00"),
    *("https://example.com/%", "https://example.com/%zz", "https://example.com/ü"),
    *("https://example.com/{x}", "https://example.com:", "https://example.com:x", "https://a:1:2"),
    *("https://example.com:+443", "https://example.com:٤٤٣", "https://example.com:0443443"),
    *("https://%65xample.com", "https://[::1", "https://::1", "https://[fe80::1%25eth0]"),
    "https://example.com/" + "x" * 2048,
)
NO_HOSTS = (
    *(".", "-example.com", "example..com", ".example.com", "example.com.", "exa$mple.com", "a,b"),
    *(
        "[::1::]",
        "[::ffff:1.2.3]",
        "[1]",
        "a" * 64,
        ".".join(["a" * 60] * 5),
        "xn--\u00fc",
        "ex＠x",
    ),
)
BAD_PORTS = ("https://example.com:0", "https://example.com:65536", "https://example.com:99999")
BAD_SCHEMES = ("ftp://example.com", "file://example.com/etc/passwd", "gopher://example.com")


@pytest.mark.parametrize("rules", [PRODUCTION, DEVELOPMENT], ids=["production", "development"])
@pytest.mark.parametrize(
    "url",
    [*NO_URLS, *BAD_PORTS, *BAD_SCHEMES, *(f"https://{host}/" for host in NO_HOSTS + NUMBERS)],
)
def test_these_are_no_urls_that_requests_may_go_to(names: Names, url: str, rules: Rules) -> None:
    names.found = [[PUBLIC]]

    with pytest.raises(ForbiddenUrl):
        check_url(url, rules)
    with pytest.raises(ForbiddenUrl):
        connect(url, rules)
    assert names.lookups == []


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("https://example.com", "example.com", 443, "/"),
        ("HTTPS://Example.COM:8443/a//b?x=y?z", "example.com", 8443, "/a//b?x=y?z"),
        ("https://example.com?x", "example.com", 443, "/?x"),
        ("https://münchen.example/%C3%BC", "xn--mnchen-3ya.example", 443, "/%C3%BC"),
        ("https://bücher。example/", "xn--bcher-kva.example", 443, "/"),
        ("https://a_b.example/bot1:A-b_c/x", "a_b.example", 443, "/bot1:A-b_c/x"),
        ("https://①.①.①.①/", "1.1.1.1", 443, "/"),
        ("https://[2606:4700:0::1111]:443/", "[2606:4700::1111]", 443, "/"),
    ],
)
def test_a_url_has_these_parts(names: Names, url: str, host: str, port: int, target: str) -> None:
    names.found = [[PUBLIC]]

    check_url(url, PRODUCTION)

    parsed = parse_url(url)
    assert (parsed.host, parsed.port, parsed.target) == (host, port, target)
    assert names.lookups == [host.strip("[]")]


@pytest.mark.parametrize(
    ("rules", "url"),
    [
        (PRODUCTION, "http://hooks.example.com"),
        (PRODUCTION, "https://hooks.example.com:80"),
        (PRODUCTION, "https://hooks.example.com:22"),
        (PRODUCTION, "http://hooks.example.com:443"),
        (Rules(development=False, ports=frozenset()), "https://hooks.example.com"),
        (Rules(development=True, ports=frozenset({443})), "http://hooks.example.com"),
    ],
)
def test_a_scheme_or_a_port_that_is_not_allowed_is_refused(
    names: Names, rules: Rules, url: str
) -> None:
    names.found = [[PUBLIC]]

    with pytest.raises(ForbiddenUrl, match=r"https://|ports"):
        check_url(url, rules)
    assert names.lookups == []


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        *(
            ("http://127.0.0.1:1234/x", True),
            ("http://[::1]:80", True),
            ("https://127.9.9.9", True),
        ),
        *(("http://1.1.1.1", True), ("http://10.0.0.5", False), ("http://169.254.169.254", False)),
        *(("http://[::ffff:127.0.0.1]", False), ("http://0.0.0.0", False), ("http://[::]", False)),
    ],
)
def test_development_allows_http_and_loopback_and_no_more(url: str, is_allowed: bool) -> None:
    if is_allowed:
        check_url(url, DEVELOPMENT)
    else:
        with pytest.raises(ForbiddenUrl, match="not public"):
            check_url(url, DEVELOPMENT)
    with pytest.raises(ForbiddenUrl):
        check_url(url.replace("1.1.1.1", "127.0.0.1"), PRODUCTION)


def test_the_settings_say_what_is_allowed() -> None:
    settings = {name: getattr(config.Production, name) for name in ("ENV", "EGRESS_PORTS")}

    assert Rules.of(settings) == PRODUCTION
    assert Rules.of({"ENV": "development", "EGRESS_PORTS": None}) == DEVELOPMENT
