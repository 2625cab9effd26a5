"""Checks of the settings that are allowed, and still are not what a server should run with."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from urllib.parse import urlsplit

from flask import current_app

from omnidesk.operations.doctor.findings import FAULT, WARNING, Finding
from omnidesk.setting_values import UNIX

MIN_DIFFERENT = 12  # characters of a random key; one of 32 bytes in hexadecimal has about 14
MIN_PREFIX = {4: 16, 6: 48}  # bits of a network on the internet that one operator has
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def mode() -> Iterator[Finding]:
    """Find a mode, or public reads, that let strangers in."""
    config = current_app.config
    if config["ENV"] != "production":
        problem = (
            f"The mode is {config['ENV']}, in which strangers can read and nothing is limited."
        )
        yield Finding("mode", WARNING, problem, "For a real desk, set OMNIDESK_ENV=production.")
    elif config["PUBLIC_READS"]:
        readable = ", ".join(config["PUBLIC_READS"])
        problem = f"Anybody can read {readable} without a token."
        yield Finding("mode", WARNING, problem, "If that is not meant, unset PUBLIC_READS.")


def secret() -> Iterator[Finding]:
    """Find a key that looks made up, and an old one that is still accepted."""
    config: Any = current_app.config
    if len(set(config["JWT_SECRET_KEY"])) < MIN_DIFFERENT:
        problem = "SECRET_KEY has few different characters, so it is probably not random."
        cure = "Change it to one of `openssl rand -base64 48`."
        yield Finding("secret", FAULT, problem, cure)
    if config["SECRET_KEY_PREVIOUS"]:
        problem = "SECRET_KEY_PREVIOUS is set, so tokens of the old key are accepted."
        cure = "An hour after the change of keys, unset it and restart."
        yield Finding("secret", WARNING, problem, cure)


def cors() -> Iterator[Finding]:
    """Find origins whose pages others can change on their way."""
    for origin in current_app.config["CORS_ORIGINS"]:
        parts = urlsplit(origin)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            problem = f"CORS_ORIGINS allows {origin}, whose pages are sent unencrypted."
            yield Finding("cors", WARNING, problem, "Serve them over https and name that origin.")


def trusted_proxies() -> Iterator[Finding]:
    """Find proxies that are not trusted, or so many that callers are among them."""
    config, name = current_app.config, "trusted proxies"
    if not config["TRUSTED_PROXIES"] and config["ENV"] == "production":
        problem = "TRUSTED_PROXIES is empty: behind a proxy, all callers share one limit."
        yield Finding(name, WARNING, problem, "Set it to the proxy's address, such as 127.0.0.1.")
    for network in config["TRUSTED_PROXIES"]:
        if network != UNIX and is_the_internet(network):
            problem = f"TRUSTED_PROXIES has {network}, so callers can make up their addresses."
            yield Finding(name, FAULT, problem, "Name only the addresses of your own proxies.")


def is_the_internet(network: IPv4Network | IPv6Network) -> bool:
    """Return whether strangers have addresses in a network."""
    return network.prefixlen < MIN_PREFIX[network.version] and not network.is_private


def metrics() -> Iterator[Finding]:
    """Find a token of the metrics that is another secret, too."""
    config = current_app.config
    if config["METRICS_TOKEN"] and config["METRICS_TOKEN"] == config["JWT_SECRET_KEY"]:
        problem = "METRICS_TOKEN is SECRET_KEY, so Prometheus could sign access tokens."
        yield Finding("metrics", FAULT, problem, "Give each a value of its own.")
