"""Clients as JSON."""

from omnidesk.clients.models import Client
from omnidesk.http import PageQuery, PatchSchema, ResponseSchema, Schema
from omnidesk.http.fields import (
    EMAIL,
    BooleanField,
    BooleanParameter,
    IdField,
    TextField,
    TimeField,
)


class ClientQuery(PageQuery):
    """The filters of clients."""

    q = TextField(max_length=128, example="ada")
    active = BooleanParameter(example=True)
    external_id = TextField(max_length=128, example="crm-55")


class ClientCreate(Schema):
    """A new client."""

    full_name = TextField(Client.full_name, required=True, example="Ada Lovelace")
    email = TextField(Client.email, pattern=EMAIL, load_default=None, example="ada@example.com")
    phone = TextField(Client.phone, load_default=None, example="+57 601 555 0155")
    external_id = TextField(Client.external_id, load_default=None, example="crm-55")
    active = BooleanField(load_default=True, example=True)


class ClientPatch(PatchSchema, ClientCreate):
    """The fields of a client that can be changed."""


class ClientSchema(ResponseSchema, ClientCreate):
    """A client."""

    client_id = IdField(example=55)
    created_at = TimeField(example="2025-10-01T08:00:00Z")

    class Meta:
        """The order of the columns."""

        fields = (
            "client_id",
            "full_name",
            "email",
            "phone",
            "external_id",
            "active",
            "created_at",
        )
