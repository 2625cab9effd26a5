"""Frozen: the words of clients, as version 0023 fills them in."""

import re
import unicodedata

from omnidesk.migrations.frozen.folding_v1 import unicode_domain
from omnidesk.migrations.frozen.words_v1 import words

MIN_PREFIX = 3


def client_words(
    full_name: str, email: str | None, phone: str | None, external_id: str | None
) -> str:
    """Return all words of a client's names and addresses, and the endings of the number."""
    texts = [each for each in (full_name, email, phone, external_id) if each]
    texts += [re.sub("(?<=[0-9])[()./-]+(?=[0-9])", "", text) for text in texts]
    texts += [unicode_domain(email or "")]
    number = re.sub("[^0-9]", "", unicodedata.normalize("NFKC", phone or ""))
    endings = (number[start:] for start in range(len(number) - MIN_PREFIX + 1))
    return words(*dict.fromkeys(texts), " ".join(endings))
