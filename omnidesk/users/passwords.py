"""Passwords: argon2id (RFC 9106) with OWASP's parameters, and none of the commonest ones."""

from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import current_app

SHORTEST, LONGEST = 8, 128


@cache
def hasher(time_cost: int, memory_cost: int, parallelism: int) -> PasswordHasher:
    """Give the hasher for these costs (memory in KiB)."""
    return PasswordHasher(time_cost, memory_cost, parallelism)


def hashed(password: str) -> str:
    """Give the argon2id hash to store."""
    return hasher(**current_app.config["ARGON2"]).hash(password)


def verify(stored: str, password: str) -> bool:
    """Tell whether the password is the one that was hashed."""
    try:
        return hasher(**current_app.config["ARGON2"]).verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def renewed(stored: str, password: str) -> str:
    """Give the hash to store from now on: another where it would cost another today."""
    if hasher(**current_app.config["ARGON2"]).check_needs_rehash(stored):
        return hashed(password)
    return stored


@cache
def unknown() -> str:
    """Give the hash of no password: an unknown name costs what a known one does."""
    return hashed("")


@cache
def commonest() -> frozenset[str]:
    """Give the passwords that are tried first, in lower case."""
    return frozenset((files(__package__) / "common_passwords.txt").read_text().split())
