"""Frozen: the words of texts, as version 0021 fills them in."""

import re
import unicodedata

from omnidesk.migrations.frozen.folding_v1 import fold

MAX_WORD = 64
MAX_WORDS_TEXT = 262_144
UNASSIGNED = ("Cn", "Co", "Cs")
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


class FoldedSigns(dict[int, str]):
    """By code point: what it is in a folded word, a blank where it is no part of one."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        if unicodedata.category(sign) in UNASSIGNED:  # a million, too many to keep
            return " "
        folded = "".join(part if is_part_of_word(part) else " " for part in fold(sign))
        self[code] = folded
        return folded


def is_part_of_word(sign: str) -> bool:
    """Return whether a folded sign is a letter, a digit, or a mark on one, and can be seen."""
    category = unicodedata.category(sign)
    return category[0] in "LNM" and category != "Me" and not INVISIBLE.match(sign)


FOLDED = FoldedSigns()


def split(text: str) -> list[str]:
    """Return the folded words of a text."""
    separated = unicodedata.normalize("NFKD", text).translate(FOLDED)
    return [word[:MAX_WORD] for word in separated.split()]


def words(*texts: str | None) -> str:
    """Return all words of a row's texts, as a column holds them: ` cannot login  user reports `."""
    found = "".join(f" {' '.join(each)} " for each in map(split, filter(None, texts)) if each)
    if len(found) > MAX_WORDS_TEXT:
        found = found[: MAX_WORDS_TEXT - 1].rpartition(" ")[0] + " "
    return found
