"""Requests to erase a client, and what was erased."""

import marshmallow as ma

from omnidesk.clients.models import Client
from omnidesk.http import ResponseSchema, Schema
from omnidesk.http.fields import BooleanField, CountField, IdField, TextField


class ErasureRequest(Schema):
    """Who is to be erased, and whether all of it."""

    full_name = TextField(
        Client.full_name,
        required=True,
        example="Hedy Lamarr",
        description="The name of the client exactly as it is stored: no other is meant",
    )
    keep_comments = BooleanField(
        load_default=False,
        example=False,
        description="Whether the comments of staff on the client's tickets stay as they are",
    )
    dry_run = BooleanField(
        load_default=False,
        example=True,
        description="Whether to count only what would be erased",
    )


class ErasedCounts(ResponseSchema):
    """How many rows of each kind."""

    client = CountField(example=1, description="The client, and those who were merged into it")
    identity = CountField(example=1, description="Identities, which are deleted")
    conversation = CountField(example=1, description="Conversations")
    message = CountField(example=1, description="Messages")
    ticket = CountField(example=1, description="Tickets")
    event = CountField(example=0, description="Events about these tickets")
    comment = CountField(example=1, description="Comments on these tickets")
    answer = CountField(example=0, description="Responses kept for an `Idempotency-Key`")


class ErasureSchema(ResponseSchema):
    """What was erased, or would be."""

    client_id = IdField(example=57, description="The client")
    finished = BooleanField(
        example=False,
        description="Whether all is erased; if not, send the request again until it is",
    )
    rows = ma.fields.Nested(
        ErasedCounts,
        metadata={
            "description": "How many rows this request has emptied, or with `dry_run` would",
            "example": ErasedCounts.example(),
        },
    )
