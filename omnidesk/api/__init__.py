"""The edge: everything that HTTP means here, written once for every resource."""

from omnidesk.api.blueprint import Blueprint, current_user
from omnidesk.api.openapi import Api
from omnidesk.api.schemas import Answer, PageQuery, Schema, TimelineQuery

__all__ = ["Answer", "Api", "Blueprint", "PageQuery", "Schema", "TimelineQuery", "current_user"]
