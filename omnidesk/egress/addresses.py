"""Which addresses are public: those that no registry sets apart for a special purpose.

Python's own `is_global` is not asked: what it returns differs between the releases of Python, and
it holds addresses for public that stand for others.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# https://www.iana.org/assignments/iana-ipv4-special-registry, and the classes D and E
SPECIAL_IPV4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by the customers of a provider
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own services, as every machine there sees them
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols of the IETF
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]

# Global unicast. All else is loopback, local, multicast or reserved, or stands for an address of
# IPv4: mapped (::ffff:0:0/96), compatible (::/96), or of NAT64 (64:ff9b::/96, 64:ff9b:1::/48).
GLOBAL_IPV6 = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry, what is within global unicast
SPECIAL_IPV6 = [
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocols of the IETF, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
]


LOOPBACK: list[IPv4Network | IPv6Network] = [IPv4Network("127.0.0.0/8"), IPv6Network("::1/128")]


def is_allowed(text: str, *, loopback: bool) -> bool:
    """Return whether requests may go to an address: to public ones, and to loopback if so said."""
    address = ip_address(text)
    return is_public(address) or (loopback and any(address in network for network in LOOPBACK))


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether an address is one of the internet's own, with no special purpose."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in SPECIAL_IPV4)
    return address in GLOBAL_IPV6 and not any(address in network for network in SPECIAL_IPV6)
