"""What HTTP means here, for every resource: requests, responses, lists, errors, documentation."""

from omnidesk.http import app, cors
from omnidesk.http.blueprint import Blueprint
from omnidesk.http.openapi import Api
from omnidesk.http.queries import PreparedSelect
from omnidesk.http.responses import current_user
from omnidesk.http.schemas import (
    PageQuery,
    PatchSchema,
    ResponseSchema,
    Schema,
    TextPageQuery,
    TimePageQuery,
)
from omnidesk.http.shortcuts import App

__all__ = [
    "Api",
    "App",
    "Blueprint",
    "PageQuery",
    "PatchSchema",
    "PreparedSelect",
    "ResponseSchema",
    "Schema",
    "TextPageQuery",
    "TimePageQuery",
    "app",
    "cors",
    "current_user",
]
