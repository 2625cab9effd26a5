"""Texts in which something can be seen."""

import re

# White space, control characters and invisible marks: a text of these alone is blank.
INVISIBLE = (
    "\\x01-\\x20\\x7f-\\xa0\\xad\\u034f\\u061c\\u115f\\u1160\\u1680\\u17b4\\u17b5\\u180b-\\u180f"
    "\\u2000-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff"
    "\\uffa0\\ufff0-\\ufffb"
)
# The same for what lies beyond U+FFFF, which the patterns of the OpenAPI document cannot tell.
INVISIBLE_BEYOND = "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
VISIBLE_TEXT = rf"[{INVISIBLE}]*[^\x00{INVISIBLE}][^\x00]*"
VISIBLE = re.compile(rf"[^\x00{INVISIBLE}{INVISIBLE_BEYOND}]")


def is_visible(text: str) -> bool:
    """Return whether something in a text can be seen."""
    return VISIBLE.search(text) is not None
