"""The parts of what a provider sends, read without trust in what is where.

Functions that read a part take any JSON value, and find nothing in what is of another type.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeGuard

from omnidesk.db.visible import is_visible

MAX_CONTENT = 65_536  # code points of a message
MAX_NAME = 120  # code points of a client's name
MAX_ID_LENGTH = 255  # code points
MAX_META = 4096  # bytes of JSON
MAX_META_TEXT = 500  # code points of a text in it
MAX_META_DEPTH = 20  # of its arrays and objects in each other: few readers of JSON take any depth
MAX_INTEGER = 2**63
MAX_MESSAGE_ID = 2**31 - 1
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

Part = dict[str, Any]  # a JSON object


class Content(NamedTuple):
    """What a message says."""

    kind: str
    text: str = ""
    meta: Part = {}


def loads(body: bytes) -> Any:
    """Return the value of a JSON text; None where it has none that can be read."""
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError):
        return None


def part(value: Any, *names: str) -> Part:
    """Return the object at the end of a path; an empty one where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def parts(value: Any, name: str) -> list[Part]:
    """Return the objects in the list of this name."""
    found = value.get(name) if isinstance(value, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def text(value: Part, name: str, longest: int = MAX_CONTENT) -> str | None:
    """Return a text, cut and with signs that can be stored; None where none can be seen."""
    found = value.get(name)
    stored = storable(found, longest) if isinstance(found, str) else ""
    return stored if is_visible(stored) else None


def storable(found: str, longest: int = MAX_CONTENT) -> str:
    """Return a text, cut, with U+FFFD for NUL and lone surrogates."""
    return UNSTORABLE.sub("\ufffd", found[:longest])


def identifier(value: Part, *names: str) -> str | None:
    """Return the first id of these names, a number as a text; None for none that can be stored."""
    for name in names:
        found = value.get(name)
        if is_integer(found):
            return str(found)
        if isinstance(found, str) and is_identifier(found):
            return found
    return None


def is_identifier(found: str) -> bool:
    """Return whether a text can be stored as an id. To cut it would make it another's."""
    return len(found) <= MAX_ID_LENGTH and is_visible(found) and not UNSTORABLE.search(found)


def is_integer(found: Any) -> TypeGuard[int]:
    """Return whether it is an integer of at most 64 bits."""
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return is_number and -MAX_INTEGER <= found < MAX_INTEGER


def message_id(value: Part, name: str) -> int | None:
    """Return one of our own ids of messages, also from a text; None for none."""
    found = value.get(name)
    if isinstance(found, str) and re.fullmatch("[1-9][0-9]{0,9}", found):
        found = int(found)
    return found if is_integer(found) and 1 <= found <= MAX_MESSAGE_ID else None


def seconds(value: Part, name: str) -> datetime | None:
    """Return the time at these seconds since 1970, also from a text; None for none."""
    found = value.get(name)
    if isinstance(found, str) and re.fullmatch("[0-9]{1,11}", found):
        found = int(found)
    if not is_integer(found) or not 0 < found < 7_258_118_400:  # the year 2200
        return None
    return datetime.fromtimestamp(found, UTC)


def picked(value: Part, *names: str) -> Part:
    """Return the members of these names, as far as they can be stored."""
    return {name: plain(value[name], MAX_META_DEPTH - 1) for name in names if name in value}


def plain(value: Any, depth: int = MAX_META_DEPTH) -> Any:
    """Return a JSON value with what cannot be stored replaced, and long texts cut."""
    if isinstance(value, str):
        return storable(value, MAX_META_TEXT)
    if isinstance(value, dict | list) and not depth:
        return None
    if isinstance(value, dict):
        return {plain(name): plain(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool) or is_integer(value) else None


def meta_text(fields: Part) -> str | None:
    """Return an object as JSON of at most `MAX_META` bytes, without its last members if need be.

    Members that are null or empty are left out; None for an object without any.
    """
    found = {name: item for name, item in fields.items() if item not in (None, "", [], {})}
    while found:
        shown = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        if len(shown.encode()) <= MAX_META:
            return shown
        found.popitem()
    return None
