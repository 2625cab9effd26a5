"""Identities of clients as JSON."""

from omnidesk.clients.identities import Identity
from omnidesk.http import PageQuery, ResponseSchema, RowEtag, Schema
from omnidesk.http.fields import IdField, TextField, TimeField
from omnidesk.http.parameters import IncludeField


class IdentityCreate(Schema):
    """What a channel calls a client."""

    channel = TextField(
        Identity.channel, required=True, example="whatsapp", description="The channel"
    )
    external_user_id = TextField(
        Identity.external_user_id,
        required=True,
        example="573015550155",
        description="The id of the client on the channel",
    )


class IdentitySchema(ResponseSchema, IdentityCreate):
    """A user of a channel, who is a client."""

    identity_id = IdField(example=1, description="The id of the identity")
    client_id = IdField(example=55, description="The client")
    created_at = TimeField(
        example="2025-10-29T09:12:00Z", description="When the identity was added"
    )

    class Meta:
        """The order of the columns."""

        fields = ("identity_id", "client_id", "channel", "external_user_id", "created_at")

    related = {"etag": RowEtag()}


class IdentityQuery(PageQuery):
    """What a list of identities shows."""

    include = IncludeField(IdentitySchema)
