"""The route that tests a channel: it asks the provider, which models of channels cannot."""

from typing import Any

from flask import current_app
from marshmallow import fields

from omnidesk.channels.models import Channel
from omnidesk.db import db
from omnidesk.egress import Rules
from omnidesk.http import Blueprint, ResponseSchema
from omnidesk.http.fields import BooleanField, TextField
from omnidesk.providers.testing import check_channel

blp = Blueprint("channel_tests", description="Tests of channels")


class CheckSchema(ResponseSchema):
    """Something that was checked."""

    name = TextField(
        max_length=32, example="bot_token", description="A secret by its name, or `provider`"
    )
    ok = BooleanField(example=False, description="Whether nothing is wrong")
    error = TextField(
        max_length=1000,
        allow_none=True,
        example="The environment variable CHANNEL_TELEGRAM_BOT_TOKEN is not set.",
        description="What is wrong; null for nothing",
    )


class ChannelTestSchema(ResponseSchema):
    """What was checked of a channel."""

    ok = BooleanField(example=False, description="Whether nothing is wrong")
    checks = fields.List(
        fields.Nested(CheckSchema),
        metadata={"description": "What was checked", "example": [CheckSchema.example()]},
    )


@blp.post("/channels/<id:channel_id>/test")
@blp.admin_only
@blp.response(200, ChannelTestSchema)
def test_the_channel(channel_id: int) -> dict[str, Any]:
    """Test the secrets of a channel, and whether its provider accepts them, as an admin"""
    channel: Channel = db.get_or_404(Channel, channel_id)
    db.session.expunge(channel)
    db.session.rollback()  # nothing is locked while the provider is waited for
    checks = check_channel(channel, Rules.of(current_app.config))
    return {"ok": all(check.ok for check in checks), "checks": checks}
