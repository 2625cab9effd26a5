"""The routes of clients."""

from typing import Any

from omnidesk.clients.merging import merge
from omnidesk.clients.models import Client
from omnidesk.clients.queries import select_clients
from omnidesk.clients.schemas import (
    ClientCreate,
    ClientMerge,
    ClientPatch,
    ClientQuery,
    ClientSchema,
)
from omnidesk.db import db
from omnidesk.http import Blueprint, PreparedSelect
from omnidesk.http.errors import http_error

blp = Blueprint("clients", description="Customers of the desk")


@blp.get("/clients")
@blp.arguments(ClientQuery, location="query")
@blp.page(ClientSchema)
def list_clients(filters: dict[str, Any]) -> PreparedSelect:
    """List clients"""
    return select_clients(filters)


@blp.post("/clients")
@blp.arguments(ClientCreate)
@blp.created(ClientSchema, "get_client")
def create_client(data: dict[str, Any]) -> Client:
    """Create a client"""
    return Client(**data)


@blp.get("/clients/<id(example=55):client_id>")
@blp.item(ClientSchema)
def get_client(client_id: int) -> PreparedSelect:
    """Show a client"""
    return PreparedSelect(Client.matching, {"client_id": client_id})


@blp.patch("/clients/<id(example=55):client_id>")
@blp.arguments(ClientPatch)
@blp.changed(Client, ClientSchema)
@blp.alt_response(409, "CONFLICT")
def update_client(client: Client, data: dict[str, Any]) -> None:
    """Change a client"""
    client.change(**data)


@blp.post("/clients/<id(example=56):client_id>/merge")
@blp.admin_only
@blp.arguments(ClientMerge)
@blp.response(200, ClientSchema)
@blp.alt_response(409, "CONFLICT")
def merge_client(data: dict[str, Any], client_id: int) -> Client:
    """Move all that a client has to another client, as an admin"""
    client = merge(client_id, data["into"])
    if client is None:
        raise http_error(404)
    db.session.commit()
    return client


@blp.delete("/clients/<id(example=55):client_id>")
@blp.deleted(Client, ClientSchema)
@blp.alt_response(409, "CONFLICT")
def delete_client(_client: Client) -> None:
    """Delete a client to whom nothing refers"""
