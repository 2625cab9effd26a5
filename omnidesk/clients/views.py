"""Clients over HTTP."""

from typing import Any

from sqlalchemy import Select

from omnidesk.api import Blueprint, PageQuery
from omnidesk.clients.models import Client
from omnidesk.clients.schemas import ClientCreate, ClientSchema

blp = Blueprint("clients", description="Who asks for help")


@blp.get("/clients")
@blp.arguments(PageQuery, location="query")
@blp.page(ClientSchema)
def list_clients(filters: dict[str, Any]) -> Select[Any]:
    """List clients"""
    return Client.matching(**filters)


@blp.post("/clients")
@blp.arguments(ClientCreate)
@blp.created(ClientSchema, "get_client")
def create_client(data: dict[str, Any]) -> Client:
    """Create a client"""
    return Client(**data)


@blp.get("/clients/<id(example=55):client_id>")
@blp.item(ClientSchema)
def get_client(client_id: int) -> Select[Any]:
    """Show a client"""
    return Client.matching(client_id=client_id)
