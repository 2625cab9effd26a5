"""The edge: everything that HTTP means here, written once for every resource."""

from omnidesk.api.answers import current_user
from omnidesk.api.app import App
from omnidesk.api.blueprint import Blueprint
from omnidesk.api.openapi import Api
from omnidesk.api.schemas import Answer, PageQuery, Patch, Schema, TimelineQuery, WordQuery

__all__ = [
    "Answer",
    "Api",
    "App",
    "Blueprint",
    "PageQuery",
    "Patch",
    "Schema",
    "TimelineQuery",
    "WordQuery",
    "current_user",
]
