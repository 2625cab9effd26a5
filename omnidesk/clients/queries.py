"""The clients that a list or a search finds."""

from typing import Any

from omnidesk.clients.models import Client
from omnidesk.db.words import SearchQuery
from omnidesk.http import PreparedSelect, words_filters


def select_clients(filters: dict[str, Any]) -> PreparedSelect:
    """Return the clients that meet the filters; a number is found however it is written."""
    query: SearchQuery | None = filters.pop("q", None)
    if query is not None:
        filters = filters | words_filters(query.as_one_number())
    return PreparedSelect(Client.matching, filters)
