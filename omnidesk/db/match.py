"""Where a text says what somebody looks for: a part of it, and what to highlight there."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate, islice
from typing import Any

from omnidesk.db.words import FOLDED, MAX_WORD, SearchQuery, separated

MAX_SHOWN = 160  # code points
SHOWN_BEFORE = 40  # code points before the first match

Range = tuple[int, int]  # the first code point, and the one after the last


def first_match(query: SearchQuery, texts: Mapping[str, str | None]) -> dict[str, Any] | None:
    """Return where texts first say something of what is asked for, or None where they do not.

    That is the `field`, the name of the text; `text`, at most 160 code points of it around that
    place; and the `ranges` in these that match, each of whole words.
    """
    pattern = matching(query)
    for field, text in texts.items():
        found = ranges(pattern, text) if text and pattern else iter(())
        for first in found:
            start, end = part_around(first, text or "")
            shown = [(first[0] - start, min(first[1], end) - start)]
            for each in found:
                if each[0] >= end:
                    break
                shown.append((each[0] - start, min(each[1], end) - start))
            return {"field": field, "text": (text or "")[start:end], "ranges": shown}
    return None


def matching(query: SearchQuery) -> re.Pattern[str] | None:
    """Return the pattern of what is asked for, at the beginning of a folded word; None for nothing.

    It is looked ahead for, since phrases can overlap.
    """
    wanted = [" +".join(map(whole_word, phrase.split())) for phrase in query.phrases]
    wanted += map(whole_word, query.words)
    if query.prefix:
        wanted.append(f"{query.prefix}[^ ]*")
    return re.compile(f"(?<![^ ])(?=({'|'.join(wanted)})(?![^ ]))") if wanted else None


def whole_word(word: str) -> str:
    """Return the pattern of a folded word, which `split` may have cut."""
    return f"{word}[^ ]*" if len(word) == MAX_WORD else word


def ranges(pattern: re.Pattern[str], text: str) -> Iterator[Range]:
    """Yield the ranges of a text that match, merged where they overlap."""
    # Where the folded form of each code point ends. A mark without one belongs to its letter.
    lengths = accumulate(map(len, map(FOLDED.__getitem__, map(ord, text))))
    ends: list[int] = []
    last: Range | None = None
    for found in pattern.finditer(separated(text)):
        start, end = found.span(1)
        while (not ends or ends[-1] <= end) and (more := list(islice(lengths, MAX_SHOWN))):
            ends += more
        start = bisect_right(ends, start)
        end = max(bisect_right(ends, end), bisect_left(ends, end) + 1)
        if last and start < last[1]:
            last = last[0], max(last[1], end)
            continue
        if last:
            yield last
        last = start, end
    if last:
        yield last


def part_around(first: Range, text: str) -> Range:
    """Return the part of a text to show around a range, between words where that can be."""
    if len(text) <= MAX_SHOWN:
        return 0, len(text)
    start = max(0, min(first[0] - SHOWN_BEFORE, len(text) - MAX_SHOWN))
    if word := re.compile(r"(?<!\S)\S").search(text, start, first[0] + 1):
        start = word.start()
    end = min(start + MAX_SHOWN, len(text))
    after = re.search(r"\s+\S*\Z", text[first[1] : end + 1]) if end < len(text) else None
    return start, first[1] + after.start() if after else end
