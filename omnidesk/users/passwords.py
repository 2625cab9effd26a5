"""Password hashes: argon2id (RFC 9106) with OWASP's parameters; and the most common passwords."""

from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import current_app

MIN_LENGTH, MAX_LENGTH = 8, 128  # code points


@cache
def hasher(time_cost: int, memory_cost: int, parallelism: int) -> PasswordHasher:
    """Return the hasher with these costs (memory in KiB)."""
    return PasswordHasher(time_cost, memory_cost, parallelism)


def hash_password(password: str) -> str:
    """Return the argon2id hash to store."""
    return hasher(**current_app.config["ARGON2"]).hash(password)


def verify(stored: str, password: str) -> bool:
    """Return whether a stored hash is that of the password."""
    try:
        return hasher(**current_app.config["ARGON2"]).verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def renew(stored: str, password: str) -> str:
    """Return the hash, or a new one where the costs of hashing have changed since."""
    if hasher(**current_app.config["ARGON2"]).check_needs_rehash(stored):
        return hash_password(password)
    return stored


@cache
def unknown_hash() -> str:
    """Return a hash to verify for unknown names, so that they cost what known ones do."""
    return hash_password("")


@cache
def common_passwords() -> frozenset[str]:
    """Return the most common passwords, in lower case."""
    return frozenset((files(__package__) / "common_passwords.txt").read_text().split())
