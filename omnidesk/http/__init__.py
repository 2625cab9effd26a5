"""What HTTP means here, for every resource: requests, responses, lists, errors, documentation."""

from omnidesk.http import app, cors, metrics
from omnidesk.http.blueprint import Blueprint
from omnidesk.http.openapi import Api
from omnidesk.http.parameters import ME, with_caller, words_filters
from omnidesk.http.queries import PreparedSelect
from omnidesk.http.related import Related, RowEtag, may_read, require_readable
from omnidesk.http.responses import current_user
from omnidesk.http.schemas import (
    PageQuery,
    PatchSchema,
    QuerySchema,
    ResponseSchema,
    Schema,
    SortedPageQuery,
    TextPageQuery,
    TimePageQuery,
)
from omnidesk.http.shortcuts import App

__all__ = [
    "ME",
    "Api",
    "App",
    "Blueprint",
    "PageQuery",
    "PatchSchema",
    "PreparedSelect",
    "QuerySchema",
    "Related",
    "ResponseSchema",
    "RowEtag",
    "Schema",
    "SortedPageQuery",
    "TextPageQuery",
    "TimePageQuery",
    "app",
    "cors",
    "current_user",
    "may_read",
    "metrics",
    "require_readable",
    "with_caller",
    "words_filters",
]
