"""Password hashes: argon2id (RFC 9106) with OWASP's parameters; and the most common passwords."""

from functools import cache
from importlib.resources import files

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import current_app

from omnidesk.db.folding import nfc

DEMO = "secret"  # public: production refuses the demo
MIN_LENGTH, MAX_LENGTH = 8, 128  # code points


@cache
def hasher(time_cost: int, memory_cost: int, parallelism: int) -> PasswordHasher:
    """Return the hasher with these costs (memory in KiB)."""
    return PasswordHasher(time_cost, memory_cost, parallelism)


def hash_password(password: str) -> str:
    """Return the argon2id hash to store, of the password's composed form."""
    return hasher(**current_app.config["ARGON2"]).hash(nfc(password))


def verify(stored: str, password: str) -> bool:
    """Return whether a stored hash is that of the password, composed or as it was sent.

    Keyboards differ in how they write the same letter; older hashes are of what was sent.
    """
    composed = nfc(password)
    return matches(stored, composed) or (composed != password and matches(stored, password))


def matches(stored: str, password: str) -> bool:
    """Return whether a stored hash is that of exactly this text."""
    try:
        return hasher(**current_app.config["ARGON2"]).verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


def renew(stored: str, password: str) -> str:
    """Return the hash, or a new one where it was made with other costs or of another form."""
    composed = nfc(password)
    if composed != password and not matches(stored, composed):
        return hash_password(password)
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
