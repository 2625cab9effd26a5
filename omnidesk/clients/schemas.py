"""Clients on the wire."""

from omnidesk.api import Answer, PageQuery, Patch, Schema
from omnidesk.api.fields import EMAIL, Flag, FlagParam, Id, Text, Time
from omnidesk.clients.models import Client


class ClientQuery(PageQuery):
    """Which clients to list."""

    q = Text(longest=128, example="ada")
    active = FlagParam(example=True)
    external_id = Text(longest=128, example="crm-55")


class ClientCreate(Schema):
    """A new client."""

    full_name = Text(Client.full_name, required=True, example="Ada Lovelace")
    email = Text(Client.email, pattern=EMAIL, load_default=None, example="ada@example.com")
    phone = Text(Client.phone, load_default=None, example="+57 601 555 0155")
    external_id = Text(Client.external_id, load_default=None, example="crm-55")
    active = Flag(load_default=True, example=True)


class ClientPatch(Patch, ClientCreate):
    """What is to be another in a client."""


class ClientSchema(Answer, ClientCreate):
    """A client."""

    client_id = Id(example=55)
    created_at = Time(example="2025-10-01T08:00:00Z")

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
