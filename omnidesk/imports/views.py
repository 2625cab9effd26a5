"""The routes that import rows of other systems."""

from typing import Any

from omnidesk.db import db
from omnidesk.http import Blueprint
from omnidesk.http.errors import http_error
from omnidesk.imports.kinds import KINDS
from omnidesk.imports.request_schemas import (
    ClientsImport,
    CommentsImport,
    ImportQuery,
    ImportResult,
    MessagesImport,
    TicketsImport,
)
from omnidesk.imports.rows import Row
from omnidesk.imports.storing import store_rows

MAX_VALUES = 20_000  # of a body with many rows

blp = Blueprint("imports", description="Rows of other systems")


@blp.post("/imports/clients")
@blp.admin_only
@blp.arguments(ImportQuery, location="query")
@blp.arguments(ClientsImport, max_values=MAX_VALUES)
@blp.response(200, ImportResult)
def import_clients(query: dict[str, bool], data: dict[str, Any]) -> dict[str, Any]:
    """Import clients of another system, each once, as an admin"""
    return import_rows("clients", query, data)


@blp.post("/imports/tickets")
@blp.admin_only
@blp.arguments(ImportQuery, location="query")
@blp.arguments(TicketsImport, max_values=MAX_VALUES)
@blp.response(200, ImportResult)
def import_tickets(query: dict[str, bool], data: dict[str, Any]) -> dict[str, Any]:
    """Import tickets of another system, each once, as an admin"""
    return import_rows("tickets", query, data)


@blp.post("/imports/comments")
@blp.admin_only
@blp.arguments(ImportQuery, location="query")
@blp.arguments(CommentsImport, max_values=MAX_VALUES)
@blp.response(200, ImportResult)
def import_comments(query: dict[str, bool], data: dict[str, Any]) -> dict[str, Any]:
    """Import comments of another system, each once, as an admin"""
    return import_rows("comments", query, data)


@blp.post("/imports/messages")
@blp.admin_only
@blp.arguments(ImportQuery, location="query")
@blp.arguments(MessagesImport, max_values=MAX_VALUES)
@blp.response(200, ImportResult)
def import_messages(query: dict[str, bool], data: dict[str, Any]) -> dict[str, Any]:
    """Import messages of another system, each once, as an admin"""
    return import_rows("messages", query, data)


def import_rows(name: str, query: dict[str, bool], data: dict[str, Any]) -> dict[str, Any]:
    """Store the rows of a request; return what has become of each. Raise 400 if all must be taken.

    The transaction that this would leave is rolled back with the request.
    """
    kind = KINDS[name]
    rows = [Row.load(kind.schema, sent) for sent in data["rows"]]  # before the transaction begins
    store_rows(kind, data["source"], rows)
    errors = {position: row.errors for position, row in enumerate(rows) if row.errors}
    if errors and query["atomic"]:
        raise http_error(400, {"rows": errors})
    db.session.commit()
    return {"results": rows}
