"""The routes of the identities of clients."""

from typing import Any

from omnidesk.clients.identities import Identity
from omnidesk.clients.identity_schemas import IdentityCreate, IdentityQuery, IdentitySchema
from omnidesk.clients.models import CLIENT_EXISTS, Client
from omnidesk.clients.views import blp
from omnidesk.db import db
from omnidesk.http import PreparedSelect
from omnidesk.http.responses import STORED

__all__ = ["blp"]

IDENTITIES = "/clients/<id(example=55):client_id>/identities"


@blp.get(IDENTITIES)
@blp.arguments(IdentityQuery, location="query")
@blp.page(IdentitySchema, parent=CLIENT_EXISTS)
def list_identities(filters: dict[str, Any], client_id: int) -> PreparedSelect:
    """List the identities of a client, oldest first"""
    return PreparedSelect(Identity.matching, {**filters, "client_id": client_id})


@blp.post(IDENTITIES)
@blp.arguments(IdentityCreate)
@blp.created(IdentitySchema, "get_identity")
@blp.alt_response(
    200, schema=IdentitySchema, example=IdentitySchema.example(), headers=STORED, success=True
)
def create_identity(data: dict[str, Any], client_id: int) -> Identity:
    """Add an identity to a client; one of another client is moved"""
    Identity.lock_all()
    db.get_or_404(Client, client_id, with_for_update={"key_share": True})
    return Identity.give(client_id, **data)


@blp.get(f"{IDENTITIES}/<id:identity_id>")
@blp.item(IdentitySchema)
def get_identity(client_id: int, identity_id: int) -> PreparedSelect:
    """Show an identity of a client"""
    return PreparedSelect(Identity.matching, {"client_id": client_id, "identity_id": identity_id})


@blp.delete(f"{IDENTITIES}/<id:identity_id>")
@blp.deleted(Identity, IdentitySchema)
def delete_identity(_identity: Identity) -> None:
    """Take an identity from a client"""
