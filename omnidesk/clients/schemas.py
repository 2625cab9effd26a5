"""Clients as JSON."""

from omnidesk.clients.models import Client
from omnidesk.db.folding import email_key, phone_key
from omnidesk.http import PageQuery, PatchSchema, ResponseSchema, RowEtag, Schema
from omnidesk.http.fields import BooleanField, EmailField, IdField, TextField, TimeField
from omnidesk.http.parameters import (
    BooleanParameter,
    IdsParameter,
    IncludeField,
    KeyField,
    QueryField,
)


class ClientCreate(Schema):
    """A new client."""

    full_name = TextField(
        Client.full_name, required=True, example="Ada Lovelace", description="The full name"
    )
    email = EmailField(
        Client.email,
        load_default=None,
        example="ada@example.com",
        description="The email address",
    )
    phone = TextField(
        Client.phone, load_default=None, example="+57 601 555 0155", description="The phone number"
    )
    external_id = TextField(
        Client.external_id,
        load_default=None,
        example="crm-1029",
        description="The id of the client in another system",
    )
    active = BooleanField(
        load_default=True, example=True, description="Whether the client is still a customer"
    )


class ClientPatch(PatchSchema, ClientCreate):
    """The fields of a client that can be changed."""

    external_id = TextField(
        Client.external_id,
        example="crm-55",  # the one that the client of the example has
        description="The id of the client in another system",
    )


class ClientMerge(Schema):
    """The client that another one is merged into."""

    into = IdField(required=True, example=54, description="The client who stays")


class ClientSchema(ResponseSchema, ClientCreate):
    """A client."""

    client_id = IdField(example=55, description="The id of the client")
    created_at = TimeField(example="2025-10-01T08:00:00Z", description="When the client was added")
    merged_into = IdField(
        allow_none=True,
        example=None,
        description="The client who has all that this one had; null where they were not merged",
    )

    class Meta:
        """The order of the columns."""

        fields: tuple[str, ...] = (
            "client_id",
            "full_name",
            "email",
            "phone",
            "external_id",
            "active",
            "created_at",
            "merged_into",
        )

    related = {"etag": RowEtag()}


class RelatedClient(ClientSchema):
    """What other rows show of their client."""

    class Meta:
        """The order of the columns."""

        fields = ("client_id", "full_name", "email", "phone", "active")

    related = {}


class ClientQuery(PageQuery):
    """The filters of clients."""

    client_id = IdsParameter(description="Only these clients, such as `55,56`")
    q = QueryField("Only clients with these words, such as `ada`")
    active = BooleanParameter(description="Only active clients, or only others")
    email = KeyField(
        email_key, max_length=254, description="Only clients with this email address, in any case"
    )
    phone = KeyField(
        phone_key,
        max_length=32,
        description="Only clients with this phone number, such as `576015550155`",
    )
    external_id = TextField(
        max_length=255,
        description="Only the client with this id in another system, such as `crm-55`",
    )
    include = IncludeField(ClientSchema)
