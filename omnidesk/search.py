"""One search for all that an agent may look for."""

from typing import Any

from flask import Response
from marshmallow import fields

from omnidesk.clients.queries import select_clients
from omnidesk.clients.schemas import ClientSchema
from omnidesk.conversations.finding import searched
from omnidesk.conversations.message_schemas import MessageSchema
from omnidesk.http import Blueprint, PreparedSelect, QuerySchema, ResponseSchema, words_filters
from omnidesk.http.etags import json_response
from omnidesk.http.parameters import QueryField
from omnidesk.tickets.queries import select_tickets
from omnidesk.tickets.schemas import TicketSchema

MOST = 10  # rows of each kind

blp = Blueprint("search", description="One search for tickets, messages and clients")


class SearchParameters(QuerySchema):
    """What is searched for."""

    q = QueryField("Words that must all be found", required=True, example="password")


class FoundSchema(ResponseSchema):
    """What was found of each kind."""

    tickets = fields.Nested(
        TicketSchema(many=True),
        metadata={"description": "Tickets, newest first", "example": [TicketSchema.example()]},
    )
    messages = fields.Nested(
        MessageSchema(many=True),
        metadata={"description": "Messages, newest first", "example": [MessageSchema.example()]},
    )
    clients = fields.Nested(
        ClientSchema(many=True),
        metadata={"description": "Clients, oldest first", "example": [ClientSchema.example()]},
    )


@blp.get("/search")
@blp.scope("tickets:read", "conversations:read", "clients:read")
@blp.arguments(SearchParameters, location="query")
@blp.response(200, FoundSchema)
def search(query: dict[str, Any]) -> Response:
    """Search tickets, messages and clients for words: the first ten of each"""
    words = query["q"]
    clients = select_clients({"q": words})
    tickets = select_tickets(query)
    messages = PreparedSelect(searched, words_filters(words), notes=True)
    found = {
        "tickets": tickets.first(TicketSchema, MOST),
        "messages": messages.first(MessageSchema, MOST),
        "clients": clients.first(ClientSchema, MOST),
    }
    keys = (f'"{name}":{rows}' for name, rows in found.items())
    return json_response(f"{{{','.join(keys)}}}")
